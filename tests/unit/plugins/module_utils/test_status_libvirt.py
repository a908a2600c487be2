# SPDX-License-Identifier: Apache-2.0
"""What is not well with the libvirt of the guests, and what to do next."""

from __future__ import annotations

import pytest
from small_deployment import SETTINGS, Break, assert_names, fails, field, good, unit

from ansible_collections.hotstack.os.plugins.module_utils.status_facts import Guests, Session, Virtualization
from ansible_collections.hotstack.os.plugins.module_utils.status_libvirt import virtualization_line

# What is broken; the name of the line, a part of its cause, a part of its command.
CASES: dict[str, tuple[Break, str, str, str]] = {
    "capability lost": (
        *(field("session", Session("active", "/x", "/x lacks the capability", "")), "capability"),
        *("lacks the capability", "start hotstack-os-libvirtd-capability.service"),
    ),
    "old process": (
        *(field("session", Session("active", "/x", "", "it lacks a capability")), "capability"),
        *("needs a restart", "start hotstack-os-libvirtd-capability.service"),
    ),
    "no keeper": (
        *(unit("hotstack-os-libvirtd-capability.path", active="inactive"), "capability"),
        *("after an update", "enable --now hotstack-os-libvirtd-capability.path"),
    ),
    "no session": (
        *(field("session", Session("failed", "/x", "", "")), "session libvirt"),
        *("does not run", "restart hotstack-os-libvirtd-ready"),
    ),
    "session": (fails("session"), "session libvirt", "no answer", "restart hotstack-os-libvirtd-ready"),
    "full": (
        *(field("guests", Guests(2, 1, ("notapet-1",))), "notapet-1"),
        *("no room", "podman exec hotstack-os-nova-compute virsh resume notapet-1"),
    ),
    "guests": (fails("guests"), "session libvirt", "does not answer: no answer", "--machine=hotstack@ restart"),
    "KVM stopped working": (
        *(field("virtualization", Virtualization("kvm", "there is no /dev/kvm")), "virtualization"),
        *("guests do not start, for KVM can't be used: there is no /dev/kvm", "hotstack.os.site"),
    ),
    "virtualization": (fails("virtualization"), "virtualization", "no answer", "hotstack.os.site"),
}


@pytest.mark.parametrize(("change", "name", "cause", "command"), CASES.values(), ids=CASES)
def test_one_thing_is_broken(change: Break, name: str, cause: str, command: str) -> None:
    assert_names(change, name, cause, command)


# How Nova runs guests, what is wrong with KVM, the setting; what is seen. None of it is a fault.
VIRTUALIZATION = {
    "KVM": ("kvm", "", "auto", "kvm: KVM runs a test guest"),
    "KVM does not work": ("qemu", "there is no /dev/kvm", "auto", "emulated: there is no /dev/kvm"),
    "KVM works by now": ("qemu", "", "auto", "emulated until the next run of the playbook: KVM runs a test guest"),
    "emulation is set": ("qemu", "", "qemu", "emulated: hotstack_os_virt_type is qemu"),
    "a run was cut off": ("kvm", "", "qemu", "kvm until the next run of the playbook: hotstack_os_virt_type is qemu"),
}


@pytest.mark.parametrize(("virt_type", "fault", "setting", "seen"), VIRTUALIZATION.values(), ids=VIRTUALIZATION)
def test_how_guests_run(virt_type: str, fault: str, setting: str, seen: str) -> None:
    facts = good()
    facts.virtualization = Virtualization(virt_type, fault)
    line = virtualization_line({**SETTINGS, "hotstack_os_virt_type": setting}, facts)
    assert (line.good, line.seen) == (True, seen)
