# SPDX-License-Identifier: Apache-2.0
"""File capabilities, read and written as the kernel keeps them: the attribute security.capability.

Only the standard library: a host unit runs this file as well, without Ansible.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

ATTRIBUTE = "security.capability"
# By number, see linux/capability.h.
NAMES = (
    *("cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_fsetid", "cap_kill", "cap_setgid"),
    *("cap_setuid", "cap_setpcap", "cap_linux_immutable", "cap_net_bind_service", "cap_net_broadcast"),
    *("cap_net_admin", "cap_net_raw", "cap_ipc_lock", "cap_ipc_owner", "cap_sys_module", "cap_sys_rawio"),
    *("cap_sys_chroot", "cap_sys_ptrace", "cap_sys_pacct", "cap_sys_admin", "cap_sys_boot", "cap_sys_nice"),
    *("cap_sys_resource", "cap_sys_time", "cap_sys_tty_config", "cap_mknod", "cap_lease", "cap_audit_write"),
    *("cap_audit_control", "cap_setfcap", "cap_mac_override", "cap_mac_admin", "cap_syslog", "cap_wake_alarm"),
    *("cap_block_suspend", "cap_audit_read", "cap_perfmon", "cap_bpf", "cap_checkpoint_restore"),
)
# How many 32-bit pairs (permitted, inheritable) follow the header of each revision, and whether a root uid does.
LAYOUTS = {1: (1, False), 2: (2, False), 3: (2, True)}
FLAG_EFFECTIVE = 1


class CapabilityError(Exception):
    """What is there or asked for can't be used; the text says why."""


@dataclass(frozen=True)
class FileCapabilities:
    """The capabilities of a file: two sets of bits, one flag, and the root user whose namespace they are for."""

    permitted: int = 0
    inheritable: int = 0
    effective: bool = False
    root_uid: int = 0

    def __bool__(self) -> bool:
        """Say whether the file has any."""
        return bool(self.permitted or self.inheritable)

    def __str__(self) -> str:
        """Describe them as getcap does."""
        groups: dict[str, list[str]] = {}
        for number in range(64):
            permitted, inheritable = self.permitted >> number & 1, self.inheritable >> number & 1
            if permitted or inheritable:
                name = NAMES[number] if number < len(NAMES) else f"cap_{number}"
                flags = "e" * self.effective + "i" * inheritable + "p" * permitted
                groups.setdefault(flags, []).append(name)
        return " ".join(f"{','.join(names)}={flags}" for flags, names in groups.items())


NONE = FileCapabilities()


def decode(data: bytes) -> FileCapabilities:
    """Return what the attribute's value says."""
    if len(data) >= 4:
        (header,) = struct.unpack_from("<I", data)
        pairs, has_root = LAYOUTS.get(header >> 24, (0, False))
        if pairs and len(data) == 4 + 8 * pairs + 4 * has_root:
            words = struct.unpack_from(f"<{2 * pairs}I", data, 4)
            return FileCapabilities(
                permitted=sum(word << 32 * index for index, word in enumerate(words[0::2])),
                inheritable=sum(word << 32 * index for index, word in enumerate(words[1::2])),
                effective=bool(header & FLAG_EFFECTIVE),
                root_uid=struct.unpack_from("<I", data, 4 + 8 * pairs)[0] if has_root else 0,
            )
    raise CapabilityError(f"The value of {ATTRIBUTE} is in a form that this program does not know: {data.hex()}.")


def encode(capabilities: FileCapabilities) -> bytes:
    """Return the attribute's value: revision 3 only where it is needed."""
    revision = 3 if capabilities.root_uid else 2
    words = [capabilities.permitted, capabilities.inheritable]
    low_and_high = [word >> shift & 0xFFFFFFFF for shift in (0, 32) for word in words]
    root = [capabilities.root_uid] if capabilities.root_uid else []
    return struct.pack(
        f"<{1 + len(low_and_high) + len(root)}I",
        revision << 24 | (FLAG_EFFECTIVE if capabilities.effective else 0),
        *low_and_high,
        *root,
    )


def mask(names: Iterable[str]) -> int:
    """Return the bits of these capabilities."""
    bits = 0
    for name in names:
        if name.lower() not in NAMES:
            raise CapabilityError(f"There is no capability called {name}; an example of one is cap_net_admin.")
        bits |= 1 << NAMES.index(name.lower())
    return bits


def wanted(before: FileCapabilities, state: str, names: Iterable[str], effective: bool = True) -> FileCapabilities:
    """Return the capabilities after these were added (present), taken away (absent) or made the only ones (exact)."""
    bits = mask(names)
    if state == "absent":
        after = FileCapabilities(
            before.permitted & ~bits, before.inheritable & ~bits, before.effective, before.root_uid
        )
        return after if after else NONE
    if not bits:
        return NONE if state == "exact" else before
    if state == "exact":
        return FileCapabilities(bits, 0, effective, before.root_uid)
    return replace(before, permitted=before.permitted | bits, effective=before.effective or effective)


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Give a descriptor of the regular file that `path` itself names: never of what a link points to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = (
            "is a link; name the file itself" if error.errno == errno.ELOOP else f"can't be opened: {error.strerror}"
        )
        raise CapabilityError(f"{path} {reason}.") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CapabilityError(f"{path} is not a regular file, so it can't have capabilities.")
        yield descriptor
    finally:
        os.close(descriptor)


def read(descriptor: int) -> FileCapabilities:
    """Return the capabilities of an open file."""
    try:
        return decode(os.getxattr(descriptor, ATTRIBUTE))
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.EOPNOTSUPP}:
            return NONE
        raise


def write(descriptor: int, capabilities: FileCapabilities) -> None:
    """Give an open file these capabilities, or none."""
    try:
        if capabilities:
            os.setxattr(descriptor, ATTRIBUTE, encode(capabilities))
        elif read(descriptor):
            os.removexattr(descriptor, ATTRIBUTE)
    except OSError as error:
        raise CapabilityError(f"The capabilities can't be changed: {error.strerror}.") from error


def ensure(path: str, state: str, names: Iterable[str], effective: bool, *, dry: bool) -> tuple[str, str]:
    """Bring the capabilities of a file to what is wanted; return them before and after, as text."""
    with opened(path) as descriptor:
        before = read(descriptor)
        after = wanted(before, state, names, effective)
        if before != after and not dry:
            write(descriptor, after)
    return str(before), str(after)
