# SPDX-License-Identifier: Apache-2.0
"""Modes of shared folders, and what is left alone when mending."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import file_access
from ansible_collections.hotstack.os.plugins.module_utils.file_access import Access, AccessError


@pytest.mark.parametrize(("mode", "expected"), [(0o755, 0o2775), (0o700, 0o2770), (0o2775, 0o2775), (0o1777, 0o3777)])
def test_shared_mode(mode: int, expected: int) -> None:
    assert file_access.shared_mode(mode) == expected


@pytest.mark.parametrize(("mode", "expected"), [(0o644, 0o664), (0o600, 0o660), (0o664, 0o664), (0o4755, 0o775)])
def test_shared_file_mode(mode: int, expected: int) -> None:
    assert file_access.shared_file_mode(mode) == expected


@pytest.mark.parametrize(("text", "mode"), [("2775", 0o2775), ("0755", 0o755), ("0", 0)])
def test_parse_mode(text: str, mode: int) -> None:
    assert file_access.parse_mode(text) == mode


@pytest.mark.parametrize("text", ["", "u=rwx", "789", "-1", "17777"])
def test_parse_mode_refuses(text: str) -> None:
    with pytest.raises(AccessError, match="not an octal number"):
        file_access.parse_mode(text)


def test_mend_below(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.touch(mode=0o600)
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True, mode=0o755)
    (root / "folder").chmod(0o700)
    (root / "folder" / "disk").touch(mode=0o644)
    (root / "twice").touch(mode=0o600)
    os.link(root / "twice", tmp_path / "second name")
    (root / "link").symlink_to(outside)
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe", 0o600)
    expected = [f"{root}/folder", f"{root}/folder/disk"]
    assert file_access.mend_below(str(root), os.getegid(), dry=True) == expected
    assert file_access.mend_below(str(root), os.getegid(), dry=False) == expected
    assert file_access.mend_below(str(root), os.getegid(), dry=False) == []
    modes = {path.name: path.lstat().st_mode & 0o7777 for path in [*root.rglob("*"), outside]}
    assert {name: modes[name] for name in ("folder", "disk", "twice", "pipe", "outside")} == {
        "folder": 0o2770,
        "disk": 0o664,
        "twice": 0o600,
        "pipe": 0o600,
        "outside": 0o600,
    }


def test_what_others_remove_meanwhile_needs_no_mending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a-late", "b-early", "c-stays"):
        (tmp_path / name).touch(mode=0o600)
    (tmp_path / "folder").mkdir()
    walk, opened = os.fwalk, file_access.opened

    def walking(path: str, follow_symlinks: bool) -> Any:
        for found in walk(path, follow_symlinks=follow_symlinks):
            (tmp_path / "b-early").unlink()
            (tmp_path / "folder").rmdir()
            yield found

    def opening(path: str, folder: int) -> Any:
        (tmp_path / "a-late").unlink(missing_ok=True)
        return opened(path, folder=folder)

    monkeypatch.setattr(os, "fwalk", walking)
    monkeypatch.setattr(file_access, "opened", opening)
    assert file_access.mend_below(str(tmp_path), os.getegid(), dry=False) == [f"{tmp_path}/c-stays"]


def test_owner_and_group_are_set_before_the_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, tuple[int, ...]]] = []
    monkeypatch.setattr(os, "fchown", lambda _fd, *ids: calls.append(("owner", ids)))
    monkeypatch.setattr(os, "fchmod", lambda _fd, *mode: calls.append(("mode", mode)))
    with file_access.opened(str(tmp_path)) as descriptor:
        file_access.apply(descriptor, Access(4242, 4343, 0o2775))
    assert calls == [("owner", (4242, 4343)), ("mode", (0o2775,))]


def test_links_and_files_are_no_folders(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name, message in {"file": "not a folder", "link": "is a link", "file/x": "can't be examined"}.items():
        with pytest.raises(AccessError, match=message):
            file_access.current(str(tmp_path / name))
    for name in ("link", "file/x"):
        with pytest.raises(AccessError, match="can't be prepared"):
            file_access.ensure_folder(str(tmp_path / name), Access(None, None, 0o755))
