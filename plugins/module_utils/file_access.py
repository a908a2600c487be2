# SPDX-License-Identifier: Apache-2.0
"""Owners and modes of folders that several users work in."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ansible_collections.hotstack.os.plugins.module_utils.files import make_folders


class AccessError(Exception):
    """What is there or asked for can't be used; the text says why."""


@dataclass(frozen=True)
class Access:
    """Who owns a path and who may do what. None stands for an id that does not exist yet."""

    uid: int | None
    gid: int | None
    mode: int


def shared_mode(mode: int) -> int:
    """Return `mode` with what a folder shared by its group needs: rwx and setgid."""
    return mode | stat.S_IRWXG | stat.S_ISGID


def shared_file_mode(mode: int) -> int:
    """Return `mode` with what a file shared by its group needs: rw. Nobody wants such a file setuid."""
    return (mode | stat.S_IRGRP | stat.S_IWGRP) & ~(stat.S_ISUID | stat.S_ISGID)


def mended(status: os.stat_result, gid: int | None) -> Access:
    """Return the access that something below a shared folder should have; its owner stays."""
    mode = stat.S_IMODE(status.st_mode)
    return Access(status.st_uid, gid, shared_mode(mode) if stat.S_ISDIR(status.st_mode) else shared_file_mode(mode))


def parse_mode(text: str) -> int:
    """Return the number that an octal mode such as 2775 stands for."""
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise AccessError(f"The mode {text} is not an octal number from 0 to 7777, such as 2775.")
    return mode


def access_of(status: os.stat_result) -> Access:
    """Return the access that a path has."""
    return Access(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


@contextmanager
def opened(path: str, folder: int | None = None, directory: bool = False) -> Iterator[int]:
    """Give a descriptor of what `path` itself names: never of what a link points to."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_DIRECTORY if directory else 0)
    descriptor = os.open(path, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def apply(descriptor: int, access: Access) -> None:
    """Give an open file or folder this access."""
    status = os.fstat(descriptor)
    uid = -1 if access.uid is None else access.uid
    gid = -1 if access.gid is None else access.gid
    if uid not in {-1, status.st_uid} or gid not in {-1, status.st_gid}:
        os.fchown(descriptor, uid, gid)
        status = os.fstat(descriptor)
    if stat.S_IMODE(status.st_mode) != access.mode:
        os.fchmod(descriptor, access.mode)


def mend_below(path: str, gid: int | None, dry: bool) -> list[str]:
    """Give all files and folders below `path` to the group; return the paths where that changed something.

    Links are neither followed nor changed, other file systems are not entered, and a file with a second name
    is left alone: that name may lie anywhere.
    """
    done: list[str] = []
    device = os.lstat(path).st_dev
    for folder, folders, files, descriptor in os.fwalk(path, follow_symlinks=False):
        entries = {}
        for name in (*folders, *files):
            # Who works there may remove it meanwhile.
            with suppress(FileNotFoundError):
                entries[name] = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        folders[:] = [name for name in folders if name in entries and entries[name].st_dev == device]
        for name, status in sorted(entries.items()):
            single = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
            after = mended(status, gid)
            if status.st_dev != device or not (single or stat.S_ISDIR(status.st_mode)) or access_of(status) == after:
                continue
            if not dry:
                try:
                    with opened(name, folder=descriptor) as entry:
                        apply(entry, mended(os.fstat(entry), gid))
                except FileNotFoundError:
                    continue
            done.append(os.path.join(folder, name))
    return done


def current(path: str) -> Access | None:
    """Return the access of a folder, or None if it is not there."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AccessError(f"{path} can't be examined: {error.strerror}.") from error
    if not stat.S_ISDIR(status.st_mode):
        what = "a link" if stat.S_ISLNK(status.st_mode) else "not a folder"
        raise AccessError(f"{path} is {what}; name or make a folder of its own.")
    return access_of(status)


def ensure_folder(path: str, access: Access) -> None:
    """Make the folder if it is not there, its parents too, and give it this access."""
    try:
        make_folders(os.path.dirname(path))
        with suppress(FileExistsError):
            os.mkdir(path, access.mode & 0o700)
        with opened(path, directory=True) as descriptor:
            apply(descriptor, access)
    except OSError as error:
        reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise AccessError(f"{path} can't be prepared: {reason}.") from error
