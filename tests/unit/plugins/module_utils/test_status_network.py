# SPDX-License-Identifier: Apache-2.0
"""What is not well with the network, and what to do next."""

from __future__ import annotations

import pytest
from small_deployment import Break, assert_names, bad, fails, field, good, unit

from ansible_collections.hotstack.os.plugins.module_utils.status_facts import Interface, Switch

# What is broken; the name of the line, a part of its cause, a part of its command.
CASES: dict[str, tuple[Break, str, str, str]] = {
    "no switch": (
        unit("ovs-vswitchd.service", active="failed"),
        "ovs-vswitchd",
        "does not run",
        "restart ovs-vswitchd",
    ),
    "switch": (fails("switch"), "Open vSwitch", "no answer", "ovsdb-server"),
    "no bridge": (
        *(field("switch", Switch(("hot-int",), {"hostname": "node", "system-id": "abc"}, "abc")), "Open vSwitch"),
        *("no bridge hot-ex", "hotstack.os.site"),
    ),
    "no interface": (
        *(lambda facts: facts.interfaces.pop("hot-int"), "hot-int"),
        *("no such interface", "hotstack.os.site"),
    ),
    "no address": (
        *(
            lambda facts: facts.interfaces.update({"hot-ex": Interface("hot-ex", True, 9216, ("172.31.0.129/25",))}),
            "hot-ex",
        ),
        *("lacks the address 172.31.0.10/32", "restart hotstack-os-infra-setup"),
    ),
    "bridge down": (
        *(lambda facts: facts.interfaces.update({"hot-int": Interface("hot-int", False, 9216, ())}), "hot-int"),
        *("down", "restart hotstack-os-infra-setup"),
    ),
    "wrong MTU": (
        *(lambda facts: facts.interfaces.update({"hot-int": Interface("hot-int", True, 1500, ())}), "hot-int"),
        *("MTU is not 9216", "hotstack.os.site"),
    ),
    "interfaces": (fails("interfaces"), "interfaces", "no answer", "ip address"),
    "setup incomplete": (
        field("setup", ["x", "y"]),
        "set up at boot",
        "missing: x; y",
        "restart hotstack-os-infra-setup",
    ),
    "setup": (fails("setup"), "set up at boot", "no answer", "site"),
    "no rules": (field("tables", ["table inet other"]), "nftables", "are gone", "restart hotstack-os-infra-setup"),
    "tables": (fails("tables"), "nftables", "no answer", "nft"),
    "wrong zone": (
        *(field("zones", {"hot-ex": "public", "hotstack-os": "hotstack-os"}), "firewalld"),
        *("hot-ex belongs into the zone hotstack-external", "firewall-cmd --reload"),
    ),
    "zones": (fails("zones"), "firewalld", "no answer", "firewall-cmd"),
    "wrong hosts": (
        *(lambda facts: facts.names.update(hosts="192.0.2.1"), "names on this host"),
        *("another address", "hotstack.os.site"),
    ),
    "no DNS": (
        *(lambda facts: facts.names.update(dns="no answer: refused"), "DNS server"),
        *("should answer 172.31.0.129", "journalctl -u hotstack-os-dnsmasq"),
    ),
    "names": (fails("names"), "names", "no answer", "getent"),
    "ports lost": (
        *(field("entries", {"public": False, "direct": True}), "entry to the APIs"),
        *("not forwarded", "podman network reload hotstack-os-haproxy"),
    ),
    "no HAProxy": (
        *(field("entries", {}), "entry to the APIs"),
        *("does not answer", "journalctl -u hotstack-os-haproxy"),
    ),
}


@pytest.mark.parametrize(("change", "name", "cause", "command"), CASES.values(), ids=CASES)
def test_one_thing_is_broken(change: Break, name: str, cause: str, command: str) -> None:
    assert_names(change, name, cause, command)


def test_address_is_why_the_setup_is_incomplete() -> None:
    facts = good()
    facts.interfaces["hot-ex"] = Interface("hot-ex", True, 9216, ())
    facts.setup = ["the address 172.31.0.10/32"]
    line = next(line for line in bad(facts) if line.name == "set up at boot")
    assert line.follows == "hot-ex"
