# SPDX-License-Identifier: Apache-2.0
"""The module around a private copy."""

from __future__ import annotations

import grp
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ansible_collections.hotstack.os.plugins.modules import private_copy

GROUP = grp.getgrgid(os.getegid()).gr_name


def parameters(folder: Path, **more: Any) -> dict[str, Any]:
    (folder / "program").write_text("code")
    wish = {"source": str(folder / "program"), "path": str(folder / "copy"), "group": GROUP, "capabilities": []}
    return {**wish, **more}


def test_made_then_unchanged(tmp_path: Path) -> None:
    first = private_copy.run(parameters(tmp_path), check_mode=False)
    assert (first["changed"], first["found"]) == (True, ["absent"])
    assert first["diff"]["before"] == "not right: absent\n"
    second = private_copy.run(parameters(tmp_path), check_mode=False)
    assert not second["changed"]
    assert second["diff"]["before"] == second["diff"]["after"]


@pytest.mark.parametrize("change", [{}, {"group": "no-such-group"}, {"source": "/absent"}])
def test_check_mode_makes_nothing(tmp_path: Path, change: dict[str, str]) -> None:
    assert private_copy.run(parameters(tmp_path, **change), check_mode=True)["found"] == ["absent"]
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": "no-such-group"}, "Group no-such-group does not exist on this host."),
        ({"source": "/absent"}, "There is no program /absent to copy; install the package that brings it."),
        ({"capabilities": ["all"]}, "There is no capability called all; an example of one is cap_net_admin."),
        ({"path": "/proc/none/copy"}, "/proc/none can't be used: No such file or directory."),
    ],
)
def test_main_explains(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    module = mock.Mock(params=parameters(tmp_path, **change), check_mode=False)
    module.fail_json.side_effect = SystemExit
    with mock.patch.object(private_copy, "AnsibleModule", return_value=module), pytest.raises(SystemExit):
        private_copy.main()
    assert module.fail_json.call_args.kwargs["msg"] == message


def test_main_reports(tmp_path: Path) -> None:
    module = mock.Mock(params=parameters(tmp_path), check_mode=False)
    with mock.patch.object(private_copy, "AnsibleModule", return_value=module):
        private_copy.main()
    assert module.exit_json.call_args.kwargs["changed"]
