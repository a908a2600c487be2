# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.modules import text_files as module


def files(folder: Path, **texts: str) -> list[dict[str, Any]]:
    return [{"path": str(folder / name), "content": text, "mode": "0640"} for name, text in texts.items()]


def test_new_files_and_folders(tmp_path: Path) -> None:
    wanted = files(tmp_path / "a" / "b", one="1\n", two="2")
    result = module.run(wanted, False)
    assert result["paths"] == [file["path"] for file in wanted]
    assert (tmp_path / "a/b/two").read_text() == "2\n"
    assert (tmp_path / "a/b/one").stat().st_mode & 0o777 == 0o640
    assert module.run(wanted, False) == {"changed": False, "paths": [], "diff": []}


def test_new_folders_can_be_entered_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        module.run(files(tmp_path / "a" / "b", one="1"), False)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o755, 0o755]


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    module.run(files(tmp_path, one="1", two="2"), False)
    result = module.run(files(tmp_path, one="1", two="3"), False)
    assert result["paths"] == [str(tmp_path / "two")]
    assert (result["diff"][0]["before"], result["diff"][0]["after"]) == ("2\n", "3\n")


def test_a_mode_that_differs(tmp_path: Path) -> None:
    module.run(files(tmp_path, one="1"), False)
    (tmp_path / "one").chmod(0o666)
    result = module.run(files(tmp_path, one="1"), False)
    assert result["diff"][1]["before"] == "mode 0666\n"
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o640


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    assert module.run(files(tmp_path / "a", one="1"), True)["changed"] is True
    assert not (tmp_path / "a").exists()


def test_a_foreign_file_stays(tmp_path: Path) -> None:
    wanted = [{**file, "mark": "# Ours"} for file in files(tmp_path, one="# Ours\n1")]
    (tmp_path / "one").write_text("theirs\n")
    result = module.run(wanted, False)
    assert (result["changed"], (tmp_path / "one").read_text()) == (False, "theirs\n")
    assert "is not ours" in result["warnings"][0]
    (tmp_path / "one").write_bytes(b"\x7fELF\xff")
    assert "is not ours" in module.run(wanted, False)["warnings"][0]
    (tmp_path / "one").write_text("# Ours\n0\n")
    assert module.run(wanted, False)["changed"] is True


def test_a_failure_leaves_no_rubbish(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_source: str, _destination: str) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="No space left"):
        module.run(files(tmp_path, one="1"), False)
    assert list(tmp_path.iterdir()) == []


class StoppedError(Exception):
    """What ends a module."""


class Ansible:
    """As much of AnsibleModule as `main` uses."""

    check_mode = False

    def __init__(self, argument_spec: dict[str, Any], supports_check_mode: bool) -> None:
        pass

    def fail_json(self, msg: str) -> None:
        raise StoppedError(msg)

    def exit_json(self, **result: Any) -> None:
        raise StoppedError(f"changed={result['changed']}")


@pytest.mark.parametrize(
    ("below", "message"),
    [("new", "changed=True"), ("file/new", "file can't be written: File exists.|Not a directory.")],
)
def test_main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, below: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    params = {"files": files(tmp_path / below, one="1")}
    monkeypatch.setattr(module, "AnsibleModule", type("Host", (Ansible,), {"params": params}))
    with pytest.raises(StoppedError, match=message):
        module.main()
