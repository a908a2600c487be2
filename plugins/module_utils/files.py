# SPDX-License-Identifier: Apache-2.0
"""Text files of a host: read them, replace them in one step, and touch them with no more rights than their owner."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def acting_as(user: pwd.struct_passwd | None) -> Iterator[None]:
    """Do what follows with the rights of a user, so that a link in a home leads nowhere that its user may not write.

    None stands for the one who runs this already.
    """
    if user is None or user.pw_uid == os.geteuid():
        yield
        return
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def read_text(path: str) -> tuple[str | None, int | None]:
    """Return text and mode of a file, None for one that is not there."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return None, None


def make_folders(path: str, private: bool = False) -> None:
    """Make the folder and those above it that are missing, for everybody to enter; private ones for their owner alone.

    Whatever the umask is: on some hosts it would shut out those who need what is in them.
    """
    mask = os.umask(0o077 if private else 0o022)
    try:
        os.makedirs(path, exist_ok=True)
    finally:
        os.umask(mask)


def write_text(path: str, text: str, mode: int, uid: int = -1, gid: int = -1) -> None:
    """Replace a file at once: nobody ever sees half of it, nor its text with other rights than its own.

    Its folder must be there. Without `uid` and `gid` the file belongs to the one who writes it.
    """
    folder, name = os.path.split(path)
    # Always the same name: the next run replaces what a killed one left.
    temporary = os.path.join(folder, f".{name}.new")
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename is None:
            # A disk that is full does not say for which file.
            error.filename = path
        raise


def in_home(path: str) -> str:
    """Return a path in which `~` at the beginning is replaced by the home of whoever runs this."""
    return os.path.expanduser(path)
