# SPDX-License-Identifier: Apache-2.0
"""KVM is judged by what a guest does, in a process that may hang or die."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import platform
import pwd
import re
import resource
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import kvm

USER = pwd.getpwuid(os.geteuid()).pw_name
INTERPRETS = "KVM interprets what a guest's kernel does instead of running it"

# What a guest's run ends with, or the error that it raises; what is wrong then.
VERDICTS: dict[str, tuple[tuple[int, int] | OSError, str]] = {
    "runs": ((kvm.EXIT_IO, 0), ""),
    "KVM helps with an instruction": ((kvm.EXIT_IO, 4), ""),
    "interprets": ((kvm.EXIT_IO, 2 * kvm.ROUNDS + 2), INTERPRETS),
    "stops too early": ((17, 0), "a test guest stopped for KVM's exit reason 17"),
    "no device": (OSError(errno.ENOENT, "No such file", "/dev/kvm"), "there is no /dev/kvm"),
    "no module": (OSError(errno.ENODEV, "No such device", "/dev/kvm"), f"{USER} can't open /dev/kvm: No such device"),
    "no permission": (OSError(errno.EACCES, "Denied", "/dev/kvm"), f"{USER} can't open /dev/kvm: Denied"),
    "refuses": (OSError(errno.EINVAL, "Invalid argument"), "/dev/kvm refuses a guest: Invalid argument"),
}


@pytest.mark.parametrize(("outcome", "expected"), VERDICTS.values(), ids=VERDICTS)
def test_verdict(outcome: tuple[int, int] | OSError, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_guest() -> tuple[int, int]:
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    monkeypatch.setattr(kvm, "run_guest", run_guest)
    assert kvm.verdict() == expected


CHOICES = {
    "auto where KVM works": ("auto", "", ("kvm", "KVM runs a test guest")),
    "auto where it does not": ("auto", "no", ("qemu", "no")),
    "emulation is set": ("qemu", "", ("qemu", "hotstack_os_virt_type is qemu")),
    "KVM is set where it does not work": ("kvm", "no", ("qemu", "no")),
}


@pytest.mark.parametrize(("virt_type", "why_not", "expected"), CHOICES.values(), ids=CHOICES)
def test_choice(virt_type: str, why_not: str, expected: tuple[str, str]) -> None:
    assert kvm.choice(virt_type, why_not) == expected


def dying() -> tuple[int, int]:
    os._exit(3)


def endless() -> tuple[int, int]:
    while True:
        pass


def waiting() -> tuple[int, int]:
    signal.pause()
    raise AssertionError


def failing() -> tuple[int, int]:
    raise ValueError("x")


HANGS = "a test guest did not end within 1 s of processor time, or 5 s"
# What runs in the place of a guest; what is wrong then.
PROCESSES: dict[str, tuple[Callable[[], tuple[int, int]], str]] = {
    "works": (lambda: (kvm.EXIT_IO, 0), ""),
    "has a fault": (lambda: (17, 0), "a test guest stopped for KVM's exit reason 17"),
    "never ends": (endless, HANGS),
    "waits for ever": (waiting, HANGS),
    "dies": (dying, HANGS),
    "fails": (failing, "the check failed: ValueError('x')"),
}


@pytest.mark.parametrize(("guest", "expected"), PROCESSES.values(), ids=PROCESSES)
def test_process(guest: Callable[[], tuple[int, int]], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("run_guest", guest), ("CPU_SECONDS", 1), ("WALL_SECONDS", 5)):
        monkeypatch.setattr(kvm, name, value)
    assert kvm.fault() == expected


def test_process_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    for name in ("initgroups", "setgid", "setuid"):
        monkeypatch.setattr(os, name, lambda *arguments: done.extend(arguments))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, limits: done.append(limits))
    monkeypatch.setattr(kvm, "verdict", lambda: "broken")
    assert kvm.judge(USER) == "broken"
    entry = pwd.getpwnam(USER)
    assert done == [(kvm.CPU_SECONDS, kvm.CPU_SECONDS), USER, entry.pw_gid, entry.pw_gid, entry.pw_uid]
    assert "KeyError" in kvm.judge("nobody-of-that-name")


def statistics(path: Path, **values: int) -> int:
    """Return a file like that of a virtual processor's statistics, with names of 48 bytes."""
    header, descriptors = 24, 24 + len(values) * 64
    content = struct.pack("<6I", 0, 48, len(values), 0, header, descriptors)
    for number, name in enumerate(values):
        content += struct.pack("<IhHII48s", 0, 0, 1, 8 * number, 0, name.encode())
    path.write_bytes(content + struct.pack(f"<{len(values)}Q", *values.values()))
    return os.open(path, os.O_RDONLY)


STATISTICS = {
    "there": ({"exits": 3, "insn_emulation": 2002, "insn_emulation_fail": 5}, 2002),
    "not counted": ({"exits": 3}, 0),
    "none at all": (None, 0),
}


@pytest.mark.parametrize(("values", "expected"), STATISTICS.values(), ids=STATISTICS)
def test_guest_is_set_up(
    values: dict[str, int] | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls of the kernel's interface in their order, with a kernel that says yes."""
    called: list[int] = []
    special: list[bytes] = []
    processor, real, real_open = 777, mmap.mmap, os.open

    def ioctl(_file: int, request: int, argument: Any) -> Any:
        called.append(request)
        if request == kvm.GET_STATS_FD:
            if values is None:
                raise OSError(errno.ENOTTY, "Inappropriate ioctl")
            return statistics(tmp_path / "statistics", **values)
        if request == kvm.GET_SREGS:
            argument[:8] = b"\xff" * 8
        if request == kvm.SET_SREGS:
            special.append(bytes(argument))
        return {kvm.CREATE_VCPU: processor, kvm.GET_VCPU_MMAP_SIZE: 4096, kvm.GET_SREGS: 0}.get(request, 3)

    def memory(file: int, size: int) -> mmap.mmap:
        state = real(-1, size)
        if file == processor:
            state[8:12] = struct.pack("<I", kvm.EXIT_IO)
        return state

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    monkeypatch.setattr(mmap, "mmap", memory)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(os, "open", lambda path, flags: 5 if path == "/dev/kvm" else real_open(path, flags))
    assert kvm.run_guest() == (kvm.EXIT_IO, expected)
    assert called[0] == kvm.CREATE_VM
    assert called[-2:] == [kvm.RUN, kvm.GET_STATS_FD]
    # No paging and no long mode, which Linux 6.12 refuses without CPUID.
    (registers,) = special
    assert len(registers) == 312
    assert struct.unpack_from("<Q", registers, 224)[0] == 0x11
    assert not any(registers[232:])
    assert not any(registers[:8])
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    called.clear()
    assert kvm.run_guest() == (kvm.EXIT_IO, 0)
    assert called == [kvm.CREATE_VM]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags of the processor are those of x86-64")
@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="this machine has no /dev/kvm to try")
def test_this_machine() -> None:
    """KVM runs guests exactly where the processor can; a /dev/kvm elsewhere interprets them."""
    can = re.search(r"^flags\s*:.* (vmx|svm)( |$)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    assert kvm.fault() == ("" if can else INTERPRETS)
