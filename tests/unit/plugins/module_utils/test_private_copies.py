# SPDX-License-Identifier: Apache-2.0
"""What a private copy lacks, and what the keeper on the host does about it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import (
    file_capabilities,
    private_copies,
    processes,
    service_units,
)
from ansible_collections.hotstack.os.plugins.module_utils.service_units import State

GID = os.getegid()
ADMIN = ["cap_net_admin"]


@pytest.fixture(autouse=True)
def capabilities(monkeypatch: pytest.MonkeyPatch) -> dict[int, file_capabilities.FileCapabilities]:
    """Keep capabilities of files in a dict, so that the tests need no privilege."""
    kept: dict[int, file_capabilities.FileCapabilities] = {}
    monkeypatch.setattr(file_capabilities, "read", lambda fd: kept.get(os.fstat(fd).st_ino, file_capabilities.NONE))
    monkeypatch.setattr(file_capabilities, "write", lambda fd, value: kept.update({os.fstat(fd).st_ino: value}))
    return kept


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "program").write_text("code")
    return str(tmp_path / "program")


def ensure(source: str, path: Path, dry: bool = False) -> list[str]:
    return private_copies.ensure(source, str(path), GID, ADMIN, dry=dry)


def test_made_once(tmp_path: Path, source: str) -> None:
    path = tmp_path / "folder" / "copy"
    assert ensure(source, path, dry=True) == ["absent"]
    assert not path.parent.exists()
    assert ensure(source, path) == ["absent"]
    assert path.read_text() == "code"
    assert path.stat().st_mode & 0o7777 == 0o750
    assert ensure(source, path) == []
    assert [entry.name for entry in path.parent.iterdir()] == ["copy"]


@pytest.mark.parametrize("what", ["content", "mode", "capabilities", "not a file", "owner"])
def test_mended(
    tmp_path: Path, source: str, what: str, capabilities: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "copy"
    ensure(source, path)
    if what == "content":
        path.write_text("older")
    elif what == "mode":
        path.chmod(0o755)
    elif what == "capabilities":
        capabilities.clear()
    elif what == "not a file":
        path.unlink()
        path.symlink_to(source)
    else:
        assert private_copies.compare(source, str(path), GID + 1, 0o750) == [what]
        return
    assert ensure(source, path, dry=True) == [what]
    assert ensure(source, path) == [what]
    assert ensure(source, path) == []


def test_the_group_gets_to_it_whatever_the_umask_is(tmp_path: Path, source: str) -> None:
    before = os.umask(0o077)
    try:
        ensure(source, tmp_path / "a" / "b" / "copy")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/copy")] == [0o755, 0o755, 0o750]


def test_a_full_disk_is_said_of_the_copy(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left on device") as raised:
        ensure(source, tmp_path / "folder" / "copy")
    assert raised.value.filename == str(tmp_path / "folder" / "copy")
    assert list((tmp_path / "folder").iterdir()) == []


class FakeManager:
    """A user's service manager with one running service."""

    calls: list[tuple[str, ...]]
    refuses = False

    def __init__(self, user: pwd.struct_passwd) -> None:
        self.user = user

    def states(self, names: list[str]) -> dict[str, State]:
        return {name: State(pid=7) for name in names}

    def wake(self) -> None:
        self.calls.append(("wake",))

    def call(self, *arguments: str) -> str:
        if self.refuses:
            raise service_units.UnitError("refused")
        self.calls.append(arguments)
        return ""


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> type[FakeManager]:
    FakeManager.calls, FakeManager.refuses = [], False
    monkeypatch.setattr(service_units, "Manager", FakeManager)
    monkeypatch.setattr(private_copies, "SETTLE", 0)
    return FakeManager


@pytest.fixture
def reasons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return why the running process is outdated, one answer a question."""
    answers: list[str] = []
    monkeypatch.setattr(processes, "outdated", lambda *_arguments: answers.pop(0) if answers else None)
    return answers


def options(source: str, *more: str) -> list[str]:
    user = pwd.getpwuid(os.geteuid()).pw_name
    return [f"--source={source}", "--capability=cap_net_admin", f"--user={user}", "--unit=libvirt.service", *more]


def test_keeper_mends_the_copy_and_restarts_what_runs_an_older_one(
    tmp_path: Path, source: str, manager: type[FakeManager], reasons: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    reasons.append("its program was replaced")
    copy = tmp_path / "copy"
    assert private_copies.main(options(source, f"--copy={copy}")) == 0
    assert copy.read_text() == "code"
    assert manager.calls == [("restart", "libvirt.service")]
    expected = f"{copy}: absent, libvirt.service restarted because its program was replaced\n"
    assert capsys.readouterr().out == expected


def test_keeper_of_the_program_itself(
    source: str, manager: type[FakeManager], reasons: list[str], capabilities: dict[int, Any]
) -> None:
    assert private_copies.main(options(source, "--start")) == 0
    assert [str(value) for value in capabilities.values()] == ["cap_net_admin=ep"]
    assert manager.calls == [("wake",), ("start", "libvirt.service")]


def test_keeper_waits_for_a_program_that_an_update_just_replaces(
    tmp_path: Path, manager: type[FakeManager], capsys: pytest.CaptureFixture[str]
) -> None:
    assert private_copies.main(options(str(tmp_path / "absent"))) == 1
    assert capsys.readouterr().out.count("not yet possible") == 30


def test_keeper_says_why_a_start_failed(
    source: str, manager: type[FakeManager], reasons: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    manager.refuses = True
    assert private_copies.main(options(source, "--start")) == 1
    assert "refused" in capsys.readouterr().err
