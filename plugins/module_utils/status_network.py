# SPDX-License-Identifier: Apache-2.0
"""Judges the network of the host: switch, interfaces, rules, names, the entry to the APIs.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

from collections.abc import Iterator

from .container_plan import PREFIX
from .status_facts import Facts, Unit
from .status_report import NETWORK, SETUP, SITE, Line, Settings, unknown
from .status_services import is_ready, next_of

PROVIDER_ZONE, CONTAINER_ZONE = "hotstack-external", "hotstack-os"
OUR_TABLE = "table inet hotstack_os"


def switch_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge Open vSwitch and its bridges."""
    bridges = [settings["hotstack_os_integration_bridge"], settings["hotstack_os_provider_bridge"]]
    for name in ("ovsdb-server", "ovs-vswitchd"):
        unit = facts.units.get(f"{name}.service", Unit())
        if facts.units and unit.active != "active":
            command = f"systemctl restart {name}"
            yield Line(
                NETWORK, name, unit.active, "it does not run" if unit.load == "loaded" else "it has no unit", command
            )
    if facts.switch is None:
        error = facts.errors.get("switch", "nothing was read")
        yield unknown(NETWORK, "Open vSwitch", error, "systemctl status ovsdb-server ovs-vswitchd")
        return
    missing = [name for name in bridges if name not in facts.switch.bridges]
    cause = f"there is no bridge {' and no '.join(missing)}" if missing else ""
    yield Line(
        NETWORK, "Open vSwitch", f"bridges {', '.join(facts.switch.bridges) or 'none'}", cause, SITE if cause else ""
    )


def interface_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge interfaces and their addresses."""
    if "interfaces" in facts.errors:
        yield unknown(NETWORK, "interfaces", facts.errors["interfaces"], "ip address")
        return
    provider = settings["hotstack_os_provider_bridge"]
    prefix = settings["hotstack_os_provider_network"].rpartition("/")[2]
    wanted = {
        settings["hotstack_os_integration_bridge"]: [],
        provider: [f"{settings['hotstack_os_provider_address']}/{prefix}", f"{settings['hotstack_os_dns_address']}/32"],
        settings["hotstack_os_network_name"]: [
            f"{settings['hotstack_os_container_gateway']}/{settings['hotstack_os_container_network'].rpartition('/')[2]}"
        ],
    }
    for name, addresses in wanted.items():
        there = facts.interfaces.get(name)
        ours = name != settings["hotstack_os_network_name"]
        # Podman makes its interface for the first container that starts.
        command = SETUP if ours else f"systemctl restart {PREFIX}haproxy"
        if there is None:
            yield Line(NETWORK, name, "missing", "there is no such interface", SITE if ours else command)
            continue
        lacking = [address for address in addresses if address not in there.addresses]
        cause = f"it lacks the address {' and '.join(lacking)}" if lacking else ""
        if not there.up:
            cause = "it is down"
        elif ours and there.mtu != settings["hotstack_os_mtu"]:
            cause, command = f"its MTU is not {settings['hotstack_os_mtu']}", SITE
        seen = ", ".join(["up" if there.up else "down", f"MTU {there.mtu}", *there.addresses])
        yield Line(NETWORK, name, seen, cause, command if cause else "")


def setup_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge what is set up again at each boot, by the word of what does it."""
    name = "set up at boot"
    others = [*interface_lines(settings, facts), *firewall_lines(settings, facts)]
    if "setup" in facts.errors:
        yield unknown(NETWORK, name, facts.errors["setup"], SITE)
    elif facts.setup:
        follows = next((line.name for line in others if line.command == SETUP), "")
        yield Line(NETWORK, name, "incomplete", f"missing: {'; '.join(facts.setup)}", SETUP, follows)
    else:
        yield Line(NETWORK, name, "complete")


def firewall_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge rules and zones."""
    if "tables" in facts.errors:
        yield unknown(NETWORK, "nftables", facts.errors["tables"], "nft list tables")
    else:
        there = OUR_TABLE in facts.tables
        cause = "" if there else "the rules of who may reach what are gone"
        yield Line(
            NETWORK, "nftables", "table hotstack_os" if there else "no table hotstack_os", cause, "" if there else SETUP
        )
    if "zones" in facts.errors:
        yield unknown(NETWORK, "firewalld", facts.errors["zones"], "firewall-cmd --state")
    elif facts.zones is None:
        yield Line(NETWORK, "firewalld", "does not run")
    else:
        wanted = {
            settings["hotstack_os_provider_bridge"]: PROVIDER_ZONE,
            settings["hotstack_os_network_name"]: CONTAINER_ZONE,
        }
        wrong = [name for name, zone in wanted.items() if facts.zones.get(name) != zone]
        seen = ", ".join(f"{name} in {facts.zones.get(name, 'no zone')}" for name in wanted)
        cause = f"{wrong[0]} belongs into the zone {wanted[wrong[0]]}" if wrong else ""
        yield Line(NETWORK, "firewalld", seen, cause, "firewall-cmd --reload" if wrong else "")


def name_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge names and the entry to the APIs."""
    if "names" in facts.errors:
        yield unknown(NETWORK, "names", facts.errors["names"], "getent hosts")
        return
    address = settings["hotstack_os_provider_address"]
    keystone = settings["hotstack_os_services"]["keystone"]
    name = f"{keystone['public']}.{settings['hotstack_os_domain']}"
    hosts, answer = facts.names.get("hosts", "nothing"), facts.names.get("dns", "nothing")
    cause = "" if hosts == address else f"this host resolves {name} to another address than {address}"
    yield Line(NETWORK, "names on this host", f"{name} is {hosts}", cause, SITE if cause else "")
    if answer == address:
        yield Line(NETWORK, "DNS server", f"{name} is {answer}")
    else:
        cause = f"it should answer {address} for {name}"
        follows = "" if is_ready(settings, facts, "dnsmasq") else "dnsmasq"
        yield Line(NETWORK, "DNS server", answer, cause, next_of(facts, "dnsmasq"), follows=follows)
    port = f"{address}:{settings['hotstack_os_services']['haproxy']['port']}"
    if facts.entries.get("public"):
        yield Line(NETWORK, "entry to the APIs", f"{port} answers")
    elif facts.entries.get("direct"):
        cause = "HAProxy works, but its published ports are not forwarded to it"
        yield Line(
            NETWORK, "entry to the APIs", f"{port} does not answer", cause, f"podman network reload {PREFIX}haproxy"
        )
    else:
        follows = "" if is_ready(settings, facts, "haproxy") else "haproxy"
        cause = "HAProxy does not answer"
        yield Line(
            NETWORK, "entry to the APIs", f"{port} does not answer", cause, next_of(facts, "haproxy"), follows=follows
        )
