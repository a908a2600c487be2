# SPDX-License-Identifier: Apache-2.0
"""The modules that install wrappers, with the wrappers of the collection."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from ansible_collections.hotstack.os.plugins.action.qemu_img_wrapper import FOLDER, PROGRAMS
from ansible_collections.hotstack.os.plugins.module_utils import wrappers
from ansible_collections.hotstack.os.plugins.modules import mount_nfs_wrapper, qemu_img_wrapper

SHARE = {"share": "nfs.local:/srv/share", "local_path": "/srv/local"}
CASES = [(qemu_img_wrapper, "/usr/local/bin/qemu-img"), (mount_nfs_wrapper, "/sbin/mount.nfs")]


def parameters(root: Path, module: ModuleType, **more: Any) -> dict[str, Any]:
    """Return a task's parameters; the distribution's programs are in the root folder."""
    for name in ("usr/bin/qemu-img", "sbin/mount.nfs"):
        if not (root / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("theirs")
    program = FOLDER / PROGRAMS[module.__name__.rpartition(".")[2]]
    texts = {"program": program.read_text(), "self_test": "test"}
    return {"state": "present", "root": str(root), **SHARE, **texts, **more}


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was tried; nothing fails."""
    calls: list[tuple[str, str]] = []
    monkeypatch.setattr(wrappers, "try_out", lambda place, _test, option: calls.append((option, place.path)))
    return calls


@pytest.mark.parametrize(("module", "path"), CASES)
def test_there_unchanged_and_gone(module: ModuleType, path: str, tmp_path: Path, tried: list[tuple[str, str]]) -> None:
    wanted = parameters(tmp_path, module)
    assert module.run(wanted, check_mode=True)["changed"]
    assert tried == []
    first = module.run(wanted, check_mode=False)
    assert (first["changed"], first["path"]) == (True, path)
    assert (tmp_path / path[1:]).read_text() == wanted["program"]
    assert len(tried) == 1
    assert tried[0][1] == path
    second = module.run(wanted, check_mode=False)
    assert (second["changed"], second["diff"], len(tried)) == (False, [], 1)
    gone = parameters(tmp_path, module, state="absent", share=None, local_path=None, program=None)
    assert module.run(gone, check_mode=True)["changed"]
    assert module.run(gone, check_mode=False)["changed"]
    assert not module.run(gone, check_mode=False)["changed"]


def test_configuration(tmp_path: Path) -> None:
    mount_nfs_wrapper.run(parameters(tmp_path, mount_nfs_wrapper), check_mode=False)
    config = tmp_path / "etc/hotstack/mount-wrapper.conf"
    assert config.read_text() == "NFS_SHARE=nfs.local:/srv/share\nLOCAL_PATH=/srv/local\n"
    changed = mount_nfs_wrapper.run(parameters(tmp_path, mount_nfs_wrapper, local_path="/x"), check_mode=False)
    assert [entry["after_header"] for entry in changed["diff"]] == ["/etc/hotstack/mount-wrapper.conf"]


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"share": "x"}, None, "share is x, but must be host:/path."),
        (
            {"program": None},
            None,
            "program and self_test are missing: call hotstack.os.mount_nfs_wrapper by its full name.",
        ),
        ({}, PermissionError(13, "Permission denied", "/sbin"), "/sbin can't be used: Permission denied."),
    ],
)
def test_main_explains(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: dict[str, Any],
    error: OSError | None,
    message: str,
) -> None:
    module = mock.Mock(params=parameters(tmp_path, mount_nfs_wrapper, **more), check_mode=False)
    module.fail_json.side_effect = SystemExit
    if error:
        monkeypatch.setattr(wrappers, "try_out", mock.Mock(side_effect=error))
    with mock.patch.object(mount_nfs_wrapper, "AnsibleModule", return_value=module), pytest.raises(SystemExit):
        mount_nfs_wrapper.main()
    assert module.fail_json.call_args.kwargs["msg"] == message


def test_main_reports(tmp_path: Path) -> None:
    module = mock.Mock(params=parameters(tmp_path, qemu_img_wrapper), check_mode=False)
    with mock.patch.object(qemu_img_wrapper, "AnsibleModule", return_value=module):
        qemu_img_wrapper.main()
    assert module.exit_json.call_args.kwargs["changed"]
