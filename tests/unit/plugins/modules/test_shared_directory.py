# SPDX-License-Identifier: Apache-2.0
"""Shared folders below a temporary one."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import file_access
from ansible_collections.hotstack.os.plugins.modules import shared_directory

US = {"owner": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name}


def parameters(path: Path, **more: Any) -> dict[str, Any]:
    return {"path": str(path), **US, "mode": "2775", "mend": False, "directories": None, **more}


def test_made_then_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "parent" / "folder"
    first = shared_directory.run(parameters(path), check_mode=False)
    assert first["changed"]
    assert first["diff"]["before"][str(path)] == {"state": "absent"}
    assert path.stat().st_mode & 0o7777 == 0o2775
    assert not shared_directory.run(parameters(path), check_mode=False)["changed"]


def test_folders_above_can_be_entered_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        shared_directory.run(parameters(tmp_path / "a" / "b" / "folder"), check_mode=False)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o755, 0o755]


def test_check_mode_makes_nothing(tmp_path: Path) -> None:
    params = parameters(tmp_path / "folder", owner="nobody-yet", group="nor-this-group")
    result = shared_directory.run(params, check_mode=True)
    assert result["diff"]["after"][params["path"]] == {"owner": "nobody-yet", "group": "nor-this-group", "mode": "2775"}
    assert list(tmp_path.iterdir()) == []


def test_mends_on_request(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    (tmp_path / "disk").touch(mode=0o644)
    assert not shared_directory.run(parameters(tmp_path), check_mode=False)["changed"]
    for check_mode, expected in [(True, [f"{tmp_path}/disk"]), (False, [f"{tmp_path}/disk"]), (False, [])]:
        assert shared_directory.run(parameters(tmp_path, mend=True), check_mode)["mended"] == expected


def test_several(tmp_path: Path) -> None:
    folders = [parameters(tmp_path / name, mode=mode) for name, mode in [("a", "0755"), ("b", "2770")]]
    result = shared_directory.run({"path": None, "directories": folders}, check_mode=False)
    assert result["changed"]
    assert [(tmp_path / name).stat().st_mode & 0o7777 for name in "ab"] == [0o755, 0o2770]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "relative"}, "not absolute"),
        ({"owner": "no-such-user"}, "User no-such-user does not exist on this host"),
        ({"group": "no-such-group"}, "Group no-such-group does not exist on this host"),
        ({"mode": "abc"}, "not an octal number"),
    ],
)
def test_main_explains(tmp_path: Path, change: dict[str, str], message: str) -> None:
    module = mock.Mock(params={**parameters(tmp_path / "folder"), **change}, check_mode=False)
    module.fail_json.side_effect = SystemExit
    with mock.patch.object(shared_directory, "AnsibleModule", return_value=module), pytest.raises(SystemExit):
        shared_directory.main()
    assert message in module.fail_json.call_args.kwargs["msg"]


def test_main_reports(tmp_path: Path) -> None:
    module = mock.Mock(params=parameters(tmp_path / "folder"), check_mode=False)
    with mock.patch.object(shared_directory, "AnsibleModule", return_value=module):
        shared_directory.main()
    assert module.exit_json.call_args.kwargs["changed"]


def test_main_names_what_can_not_be_mended(tmp_path: Path) -> None:
    module = mock.Mock(params=parameters(tmp_path, mend=True), check_mode=False)
    module.fail_json.side_effect = SystemExit
    failure = PermissionError(1, "Operation not permitted", "disk")
    with (
        mock.patch.object(shared_directory, "AnsibleModule", return_value=module),
        mock.patch.object(file_access, "mend_below", side_effect=failure),
        pytest.raises(SystemExit),
    ):
        shared_directory.main()
    assert module.fail_json.call_args.kwargs["msg"] == "disk can't be mended: Operation not permitted."


def test_a_number_without_a_name_is_shown() -> None:
    assert shared_directory.name_of(pwd.getpwuid, 3999999999) == "3999999999"
