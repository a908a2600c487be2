# SPDX-License-Identifier: Apache-2.0
"""How text files are read and replaced, and with whose rights."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import files

NOBODY = pwd.getpwnam("nobody")


def test_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = str(tmp_path / "folder" / "file")
    assert files.read_text(path) == (None, None)
    files.write_text(path, "text\n", 0o600)
    assert files.read_text(path) == ("text\n", 0o600)
    assert os.listdir(tmp_path / "folder") == ["file"]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o4755])
def test_the_mode_is_exact(tmp_path: Path, mode: int) -> None:
    mask = os.umask(0o077)
    try:
        files.write_text(str(tmp_path / "file"), "new", mode)
    finally:
        os.umask(mask)
    assert files.read_text(str(tmp_path / "file")) == ("new", mode)


@pytest.mark.parametrize(("private", "mode"), [(False, 0o755), (True, 0o700)])
def test_folders_do_not_depend_on_the_umask(tmp_path: Path, private: bool, mode: int) -> None:
    before = os.umask(0o027)
    try:
        files.make_folders(str(tmp_path / "a" / "b"), private)
    finally:
        assert os.umask(before) == 0o027
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [mode, mode]
    files.make_folders(str(tmp_path / "a" / "b"))


def test_a_file_is_replaced_and_what_a_killed_run_left_too(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("theirs")
    (tmp_path / ".file.new").symlink_to("target")
    (tmp_path / "file").symlink_to("target")
    files.write_text(str(tmp_path / "file"), "ours", 0o644)
    assert not (tmp_path / "file").is_symlink()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "ours", "target": "theirs"}


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    files.write_text(str(tmp_path / "file"), "ä\r\nb", 0o644)
    assert (tmp_path / "file").read_bytes() == b"\xc3\xa4\r\nb"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_the_file_is_the_owners_before_it_is_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, seen = os.rename, []

    def watch(source: str, path: str) -> None:
        seen.append((os.stat(source).st_uid, os.stat(source).st_gid, stat.S_IMODE(os.stat(source).st_mode)))
        rename(source, path)

    monkeypatch.setattr(os, "rename", watch)
    files.write_text(str(tmp_path / "file"), "text", 0o640, NOBODY.pw_uid, NOBODY.pw_gid)
    files.write_text(str(tmp_path / "file"), "text", 0o640)
    assert seen == [(NOBODY.pw_uid, NOBODY.pw_gid, 0o640), (os.geteuid(), os.getegid(), 0o640)]


@pytest.mark.parametrize("function", ["fchown", "fchmod", "fsync", "rename"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_changes_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, error: BaseException
) -> None:
    def refuse(*_arguments: object) -> None:
        raise type(error)(*error.args)

    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(type(error)) as raised:
        files.write_text(str(tmp_path / "file"), "new", 0o644)
    assert getattr(raised.value, "filename", str(tmp_path / "file")) == str(tmp_path / "file")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "old"}


@pytest.mark.parametrize(
    ("path", "error"),
    [
        pytest.param("folder", IsADirectoryError, id="a folder"),
        pytest.param("absent/file", FileNotFoundError, id="in no folder"),
        pytest.param("text/file", NotADirectoryError, id="in a file"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, path: str, error: type[OSError]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").touch()
    with pytest.raises(error):
        files.write_text(str(tmp_path / path), "", 0o600)
    assert sorted(os.listdir(tmp_path)) == ["folder", "text"]


@pytest.mark.skipif(os.geteuid() != 0, reason="acting as another user needs root")
def test_acting_as_another_user(tmp_path: Path) -> None:
    with files.acting_as(NOBODY):
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (NOBODY.pw_uid, NOBODY.pw_gid, [])
        with pytest.raises(PermissionError):
            files.write_text(str(tmp_path / "file"), "", 0o600)
    assert os.geteuid() == 0
    with files.acting_as(None):
        assert os.geteuid() == 0


def test_acting_as_gives_rights_up_in_order_and_takes_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, object]] = []
    for name, own in (("geteuid", 0), ("getegid", 1), ("getgroups", [2, 3])):
        monkeypatch.setattr(os, name, lambda own=own: own)
    for name in ("setgroups", "setegid", "seteuid"):
        monkeypatch.setattr(os, name, lambda value, name=name: done.append((name, value)))
    with pytest.raises(KeyError), files.acting_as(NOBODY):
        raise KeyError
    assert done == [
        ("setgroups", []),
        ("setegid", NOBODY.pw_gid),
        ("seteuid", NOBODY.pw_uid),
        ("seteuid", 0),
        ("setegid", 1),
        ("setgroups", [2, 3]),
    ]


def test_home_of_whoever_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert files.in_home("~/.ssh/id") == "/home/someone/.ssh/id"
    assert files.in_home("/etc/~") == "/etc/~"
