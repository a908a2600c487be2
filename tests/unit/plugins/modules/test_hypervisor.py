# SPDX-License-Identifier: Apache-2.0
"""What a host says of how guests run on it."""

from __future__ import annotations

import getpass
import os
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.modules import hypervisor

FAULT = "the processor lacks it"

SET = "hotstack_os_virt_type is qemu"

CASES = {
    "auto where KVM works": ("auto", "", "kvm", "KVM runs a test guest"),
    "auto where it does not": ("auto", FAULT, "qemu", FAULT),
    "KVM wished": ("kvm", "", "kvm", "KVM runs a test guest"),
    "emulation wished though KVM works": ("qemu", "", "qemu", SET),
    "emulation wished where KVM does not work": ("qemu", FAULT, "qemu", SET),
}


def ask(virt_type: str = "auto", fault: str = "", user: str = "", check_mode: bool = False) -> dict[str, Any]:
    params = {"user": user or getpass.getuser(), "virt_type": virt_type}
    return hypervisor.run(params, check_mode, lambda asked: fault if asked in ("", params["user"]) else asked)


@pytest.mark.parametrize(("virt_type", "fault", "expected", "reason"), CASES.values(), ids=CASES)
def test_virt_type(virt_type: str, fault: str, expected: str, reason: str) -> None:
    found = {"changed": False, "uid": os.getuid(), "virt_type": expected, "reason": reason}
    assert ask(virt_type, fault) == found


def test_kvm_that_does_not_work() -> None:
    with pytest.raises(
        hypervisor.HypervisorError, match="is 'kvm', but KVM can't be used: the processor lacks it; allowed"
    ):
        ask("kvm", FAULT)


def test_user_that_is_missing() -> None:
    with pytest.raises(hypervisor.HypervisorError, match="The user nobody-of-that-name does not exist"):
        ask(user="nobody-of-that-name")
    assert ask(user="nobody-of-that-name", check_mode=True)["uid"] == 0
