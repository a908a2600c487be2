# SPDX-License-Identifier: Apache-2.0
"""KVM is judged by what a guest does, in a process that may hang or die."""

from __future__ import annotations

import os
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


def test_this_machine_has_an_answer() -> None:
    assert isinstance(kvm.fault(), str)
