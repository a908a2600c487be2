# SPDX-License-Identifier: Apache-2.0
"""What a host says of how guests run on it."""

from __future__ import annotations

import getpass
import os
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.modules import hypervisor

FAULT = "the processor lacks it"

CASES = {
    "auto where KVM works": ("auto", "", "kvm"),
    "auto where it does not": ("auto", FAULT, "qemu"),
    "KVM wished": ("kvm", "", "kvm"),
    "emulation wished though KVM works": ("qemu", "", "qemu"),
    "emulation wished where KVM does not work": ("qemu", FAULT, "qemu"),
}


def ask(virt_type: str = "auto", fault: str = "", user: str = "", check_mode: bool = False) -> dict[str, Any]:
    params = {"user": user or getpass.getuser(), "virt_type": virt_type}
    return hypervisor.run(params, check_mode, lambda: fault)


@pytest.mark.parametrize(("virt_type", "fault", "expected"), CASES.values(), ids=CASES)
def test_virt_type(virt_type: str, fault: str, expected: str) -> None:
    assert ask(virt_type, fault) == {"changed": False, "uid": os.getuid(), "virt_type": expected}


def test_kvm_that_does_not_work() -> None:
    with pytest.raises(
        hypervisor.HypervisorError, match="is 'kvm', but KVM can't be used: the processor lacks it; allowed"
    ):
        ask("kvm", FAULT)


def test_user_that_is_missing() -> None:
    with pytest.raises(hypervisor.HypervisorError, match="The user nobody-of-that-name does not exist"):
        ask(user="nobody-of-that-name")
    assert ask(user="nobody-of-that-name", check_mode=True)["uid"] == 0
