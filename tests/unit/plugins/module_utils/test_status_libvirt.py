# SPDX-License-Identifier: Apache-2.0
"""What is not well with the libvirt of the guests, and what to do next."""

from __future__ import annotations

import pytest
from small_deployment import Break, assert_names, fails, field, unit

from ansible_collections.hotstack.os.plugins.module_utils.status_facts import Guests, Session

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
}


@pytest.mark.parametrize(("change", "name", "cause", "command"), CASES.values(), ids=CASES)
def test_one_thing_is_broken(change: Break, name: str, cause: str, command: str) -> None:
    assert_names(change, name, cause, command)
