# SPDX-License-Identifier: Apache-2.0
"""Capabilities of a real file where the tests may set them, of an imitated one elsewhere."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ansible_collections.hotstack.os.plugins.module_utils.file_capabilities import CapabilityError
from ansible_collections.hotstack.os.plugins.modules import file_capability


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file whose attributes live in a dict, so that the test needs no privilege."""
    attributes: dict[int, bytes] = {}

    def getxattr(descriptor: int, _name: str) -> bytes:
        inode = os.fstat(descriptor).st_ino
        if inode not in attributes:
            raise OSError(errno.ENODATA, "No data available")
        return attributes[inode]

    monkeypatch.setattr(os, "getxattr", getxattr)
    monkeypatch.setattr(os, "setxattr", lambda fd, _name, value: attributes.update({os.fstat(fd).st_ino: value}))
    monkeypatch.setattr(os, "removexattr", lambda fd, _name: attributes.pop(os.fstat(fd).st_ino))
    path = tmp_path / "program"
    path.touch()
    return path


def run(path: Path, state: str, *names: str, check_mode: bool = False) -> dict[str, Any]:
    params = {"path": str(path), "capabilities": list(names), "state": state, "effective": True}
    return file_capability.run(params, check_mode)


def test_added_once_and_put_back_when_lost(program: Path) -> None:
    first = run(program, "present", "cap_net_admin")
    assert (first["changed"], first["capabilities"]) == (True, "cap_net_admin=ep")
    assert first["diff"]["before"] == "\n"
    assert not run(program, "present", "cap_net_admin")["changed"]
    assert run(program, "exact")["capabilities"] == ""
    assert run(program, "present", "cap_net_admin")["changed"]


def test_others_are_kept(program: Path) -> None:
    run(program, "present", "cap_net_raw")
    assert run(program, "present", "cap_net_admin")["capabilities"] == "cap_net_admin,cap_net_raw=ep"
    assert run(program, "absent", "cap_net_admin")["capabilities"] == "cap_net_raw=ep"
    assert run(program, "exact", "cap_net_admin")["capabilities"] == "cap_net_admin=ep"
    assert run(program, "absent", "cap_net_admin")["capabilities"] == ""
    assert not run(program, "absent", "cap_net_admin")["changed"]


def test_check_mode_changes_nothing(program: Path) -> None:
    assert run(program, "present", "cap_net_admin", check_mode=True)["changed"]
    assert run(program, "present", "cap_net_admin", check_mode=True)["diff"]["before"] == "\n"


def test_check_mode_before_the_program_is_installed(tmp_path: Path) -> None:
    result = run(tmp_path / "absent", "present", "cap_net_admin", check_mode=True)
    assert (result["changed"], result["capabilities"]) == (True, "cap_net_admin=ep")
    assert not run(tmp_path / "absent", "absent", "cap_net_admin", check_mode=True)["changed"]


def test_main(program: Path) -> None:
    params = {"path": str(program), "capabilities": ["cap_net_raw"], "state": "present", "effective": True}
    module = mock.Mock(params=params, check_mode=False)
    module.fail_json.side_effect = SystemExit
    with mock.patch.object(file_capability, "AnsibleModule", return_value=module):
        file_capability.main()
        module.params = {**params, "capabilities": ["raw"]}
        with pytest.raises(SystemExit):
            file_capability.main()
    assert module.exit_json.call_args.kwargs["changed"]
    assert "no capability called raw" in module.fail_json.call_args.kwargs["msg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="setting a capability needs root")
def test_a_real_file(tmp_path: Path) -> None:
    path = tmp_path / "real"
    path.touch()
    try:
        first = run(path, "present", "cap_net_admin")
    except CapabilityError as error:
        pytest.skip(f"this file system keeps no capabilities: {error}")
    assert first["changed"]
    assert not run(path, "present", "cap_net_admin")["changed"]
    os.removexattr(path, "security.capability")
    assert run(path, "present", "cap_net_admin")["changed"]
