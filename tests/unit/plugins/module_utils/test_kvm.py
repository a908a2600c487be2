# SPDX-License-Identifier: Apache-2.0
"""KVM is judged by what a guest does, in a process that may hang or die."""

from __future__ import annotations

import fcntl
import mmap
import os
import platform
import struct
import time
from typing import Callable

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import kvm

Guest = Callable[[], tuple[int, float]]


def missing() -> tuple[int, float]:
    raise FileNotFoundError


def denied() -> tuple[int, float]:
    raise PermissionError(13, "Permission denied")


def hanging() -> tuple[int, float]:
    time.sleep(60)
    return kvm.EXIT_IO, 0.0


def dying() -> tuple[int, float]:
    os._exit(3)


GUESTS: dict[str, tuple[Guest, str]] = {
    "runs": (lambda: (kvm.EXIT_IO, 0.00002), ""),
    "no device": (missing, "there is no /dev/kvm"),
    "no permission": (denied, "/dev/kvm refuses: Permission denied"),
    "fails": (lambda: (17, 0.0), "a guest ended for the wrong reason (17)"),
    "is slow": (lambda: (kvm.EXIT_IO, 0.1), "it interprets what a guest's kernel does instead of running it"),
    "hangs": (hanging, "a guest of a few instructions did not end within 0.3 s"),
    "dies": (dying, "a guest's process ended without a word"),
}


@pytest.mark.parametrize(("guest", "expected"), GUESTS.values(), ids=GUESTS)
def test_fault(guest: Guest, expected: str) -> None:
    assert kvm.fault(guest, 0.3 if guest is hanging else 5) == expected


def test_verdicts_in_this_process() -> None:
    for name, (guest, expected) in GUESTS.items():
        if name not in ("hangs", "dies"):
            assert kvm.verdict(guest) == expected


def test_program_and_registers() -> None:
    assert struct.pack("<I", kvm.ROUNDS) in kvm.program()
    special = kvm.special_registers(bytes(312))
    assert len(special) == 312
    assert struct.unpack_from("<Q", special, 240)[0] == kvm.TABLES


def test_guest_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls of the kernel's interface in their order, with a kernel that says yes."""
    called: list[int] = []
    processor, real = 777, mmap.mmap

    def ioctl(_file: int, request: int, *_arguments: object) -> int:
        called.append(request)
        return {kvm.CREATE_VCPU: processor, kvm.GET_RUN_SIZE: 4096}.get(request, 3)

    def memory(file: int, size: int) -> mmap.mmap:
        state = real(-1, size)
        if file == processor:
            state[8:12] = struct.pack("<I", kvm.EXIT_IO)
        return state

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    monkeypatch.setattr(mmap, "mmap", memory)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(os, "open", lambda *_arguments: 5)
    reason, seconds = kvm.run_guest()
    assert reason == kvm.EXIT_IO
    assert 0 <= seconds < kvm.SLOW
    assert called[0] == kvm.CREATE_VM
    assert called[-1] == kvm.RUN
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    called.clear()
    assert kvm.run_guest() == (kvm.EXIT_IO, 0.0)
    assert called == [kvm.CREATE_VM]


def test_this_machine_has_an_answer() -> None:
    assert isinstance(kvm.fault(), str)
