# SPDX-License-Identifier: Apache-2.0
"""What is not well with what ties the cloud together, and what to do next."""

from __future__ import annotations

import pytest
from small_deployment import Break, agent, assert_names, bad, fails, field, good, stop

from ansible_collections.hotstack.os.plugins.module_utils import status_ties
from ansible_collections.hotstack.os.plugins.module_utils.status_facts import Agent, Cells, Mount, Session, Switch

NOVA = [Agent(binary, "node", True, True, "1") for binary in status_ties.WORKERS["nova"]]

# What is broken; the name of the line, a part of its cause, a part of its command.
CASES: dict[str, tuple[Break, str, str, str]] = {
    "another name": (
        *(field("switch", Switch(("hot-ex", "hot-int"), {"hostname": "old", "system-id": "abc"}, "abc")), "host name"),
        *("Open vSwitch calls this host old, not node", "hotstack.os.site"),
    ),
    "another name in OVN": (field("chassis", {"abc": "old"}), "host name", "OVN calls this host old", "site"),
    "no chassis id": (
        *(field("switch", Switch(("hot-ex", "hot-int"), {"hostname": "node"}, None)), "chassis id"),
        *("no id", "restart ovs-vswitchd"),
    ),
    "unstable chassis id": (
        *(
            field("switch", Switch(("hot-ex", "hot-int"), {"hostname": "node", "system-id": "abc"}, "def")),
            "chassis id",
        ),
        *("another id (def)", "echo abc >/etc/openvswitch/system-id.conf"),
    ),
    "unknown chassis": (field("chassis", {"def": "other"}), "chassis id", "does not know", "ovn-controller"),
    "stale chassis": (
        *(field("chassis", {"abc": "node", "def": "node"}), "chassis id"),
        *("former chassis of this host, def", "ovn-sbctl chassis-del def"),
    ),
    "no OVN": (
        *(lambda facts: facts.errors.update(chassis="no answer"), "chassis id"),
        *("can't be asked: no answer", "journalctl -u hotstack-os-ovn-northd"),
    ),
    "private mount": (
        *(lambda facts: facts.mounts.update(host=Mount("/", None)), "mounts of volumes"),
        *("no shared mount", "restart hotstack-os-infra-setup"),
    ),
    "another mount": (
        *(lambda facts: facts.mounts.update({"nova-compute": Mount("/data", None)}), "mounts of volumes"),
        *("where the host does not see them", "systemctl restart hotstack-os-nova-compute"),
    ),
    "mounts": (field("mounts", {}), "mounts of volumes", "nothing was read", "podman"),
    "no cell": (
        *(field("cells", Cells({"cell0": True, "cell1": True}, {"old": "cell1"})), "cell mapping"),
        *("the host is in no cell", "discover_hosts"),
    ),
    "cells incomplete": (
        field("cells", Cells({"cell1": True}, {"node": "cell1"})),
        "cell mapping",
        "incomplete",
        "nova-db-sync",
    ),
    "cell disabled": (
        *(field("cells", Cells({"cell0": True, "cell1": False}, {"node": "cell1"})), "cell mapping"),
        *("cell1 is disabled", "list_cells"),
    ),
    "cells": (fails("cells"), "cell mapping", "no answer", "journalctl -u hotstack-os-mariadb"),
    "worker down": (
        *(agent("nova", *NOVA[:2], Agent("nova-compute", "node", False, True)), "nova-compute"),
        *("not reported of late", "journalctl -u hotstack-os-nova-compute"),
    ),
    "worker missing": (
        agent("nova", *NOVA[:2]),
        "nova-compute",
        "never heard",
        "journalctl -u hotstack-os-nova-compute",
    ),
    "worker disabled": (
        *(agent("nova", *NOVA[:2], Agent("nova-compute", "node", True, False)), "nova-compute"),
        *("not to use it", "openstack --os-cloud hotstack-os-admin compute service set --enable node nova-compute"),
    ),
    "worker of a former host": (
        *(agent("nova", *NOVA, Agent("nova-compute", "old", False, True, "9")), "nova-compute"),
        *("former host", "openstack --os-cloud hotstack-os-admin compute service delete 9"),
    ),
    "token": (
        *(lambda facts: (facts.errors.update(agents="status 503"), facts.agents.clear()), "token"),
        *("status 503", "journalctl -u hotstack-os-keystone"),
    ),
    "an API": (
        *(
            lambda facts: (facts.errors.update({"agents of nova": "status 503"}), facts.agents.pop("nova")),
            "workers of nova",
        ),
        *("status 503", "journalctl -u hotstack-os-nova-api"),
    ),
}


@pytest.mark.parametrize(("change", "name", "cause", "command"), CASES.values(), ids=CASES)
def test_one_thing_is_broken(change: Break, name: str, cause: str, command: str) -> None:
    assert_names(change, name, cause, command)


@pytest.mark.parametrize(
    ("change", "follows"),
    [
        (field("entries", {"public": False, "direct": True}), "entry to the APIs"),
        (field("names", {"hosts": "192.0.2.1", "dns": "172.31.0.129"}), "names on this host"),
        (lambda facts: stop(facts, "keystone"), "keystone"),
    ],
)
def test_why_apis_are_not_reached(change: Break, follows: str) -> None:
    facts = good()
    change(facts)
    facts.errors["agents"], facts.agents = "no answer", {}
    assert {line.follows for line in bad(facts) if line.name == "token"} == {follows}


def test_nova_disables_itself_without_libvirt() -> None:
    facts = good()
    facts.session = Session("inactive", "/x", "", "")
    off = Agent("nova-compute", "node", True, False, "1", "AUTO: Connection to libvirt lost: 1")
    facts.agents["nova"] = [*NOVA[:2], off]
    line = next(line for line in bad(facts) if line.name == "nova-compute")
    assert (line.command, line.follows) == ("systemctl restart hotstack-os-libvirtd-ready", "session libvirt")
    facts.session = good().session
    line = next(line for line in bad(facts) if line.name == "nova-compute")
    assert line.cause == "nova was told not to use it: AUTO: Connection to libvirt lost: 1"


@pytest.mark.parametrize(
    ("kind", "command"),
    [("neutron", "network agent delete 9"), ("cinder", "cinder-manage service remove ovn-controller 9")],
)
def test_stale_workers_of(kind: str, command: str) -> None:
    assert command in status_ties.stale_agent(kind, Agent("ovn-controller", "old", True, True, "9")).command


def test_twin_of_a_former_start() -> None:
    facts = good()
    facts.agents["neutron"].append(Agent("ovn-controller", "node", False, True, "9"))
    (line,) = bad(facts)
    assert line.command.endswith("network agent delete 9")
