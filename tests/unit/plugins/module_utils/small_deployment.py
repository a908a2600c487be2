# SPDX-License-Identifier: Apache-2.0
"""A small deployment in which all is well, and ways to break one thing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import status_checks, status_ties
from ansible_collections.hotstack.os.plugins.module_utils.status_facts import (
    Agent,
    AppArmor,
    Cells,
    Clock,
    Container,
    Disk,
    Facts,
    FileMode,
    Guests,
    Interface,
    Mount,
    Session,
    Switch,
    Unit,
    UnitFile,
    Virtualization,
)
from ansible_collections.hotstack.os.plugins.module_utils.status_report import Line

SERVICES: dict[str, Any] = {
    "dnsmasq": {"port": 53},
    "haproxy": {"address": 6, "port": 8404},
    "mariadb-init": {"one_shot": True},
    "mariadb": {"address": 3, "port": 3306, "needs": ["mariadb-init"]},
    "keystone": {"address": 11, "port": 5000, "public": "keystone", "needs": ["mariadb"]},
    "ovn-northd": {"address": 31},
    "ovn-controller": {"needs": ["ovn-northd"]},
    "nova-api": {"address": 21, "port": 8774, "public": "nova", "needs": ["mariadb", "keystone"]},
    "nova-compute": {"needs": ["nova-api", "ovn-controller"]},
}
SETTINGS: dict[str, Any] = {
    "hotstack_os_services": SERVICES,
    "hotstack_os_addresses": {
        name: f"172.31.0.{line['address']}" for name, line in SERVICES.items() if "address" in line
    },
    "hotstack_os_config_dir": "/data/runtime/config",
    "hotstack_os_container_gateway": "172.31.0.1",
    "hotstack_os_container_network": "172.31.0.0/25",
    "hotstack_os_credentials_file": "/data/credentials.json",
    "hotstack_os_dns_address": "172.31.0.10",
    "hotstack_os_domain": "cloud.example",
    "hotstack_os_host_name": "node",
    "hotstack_os_integration_bridge": "hot-int",
    "hotstack_os_mtu": 9216,
    "hotstack_os_network_name": "hotstack-os",
    "hotstack_os_provider_address": "172.31.0.129",
    "hotstack_os_provider_bridge": "hot-ex",
    "hotstack_os_provider_network": "172.31.0.128/25",
    "hotstack_os_user": "hotstack",
    "hotstack_os_virt_type": "auto",
    "hotstack_os_volume_mounts_dir": "/data/mnt",
    "clouds_file": "/etc/openstack/clouds.yaml",
}

# What breaks one thing of it.
Break = Callable[[Facts], object]

ACTIVE = Unit("loaded", "active", "running", since=1000.0, enabled="enabled", memory=50 * 2**20)
DONE = Unit("loaded", "inactive", "dead")
HEALTHY = Container("running", "healthy", 7, "image", "2025.2", "d1")
GIB = 2**30
# Facts that are None, not empty, as long as nothing was read.
NONE = ("switch", "session", "guests", "virtualization", "cells", "clock", "apparmor")


def unit_name(service: str) -> str:
    return f"hotstack-os-{service}.service"


def good() -> Facts:
    """Return a deployment in which all is well."""
    one_shots = [name for name, line in SERVICES.items() if line.get("one_shot")]
    lasting = [name for name in SERVICES if name not in one_shots]
    others = [
        "chronyd.service",
        "hotstack-os.target",
        "ovs-vswitchd.service",
        "ovsdb-server.service",
        "hotstack-os-libvirtd-capability.path",
    ]
    return Facts(
        units={
            **{unit_name(name): ACTIVE for name in lasting},
            **{unit_name(name): DONE for name in one_shots},
            **dict.fromkeys(others, ACTIVE),
        },
        containers=dict.fromkeys(lasting, HEALTHY),
        unit_files={name: UnitFile("d1", True) for name in SERVICES},
        stamps=frozenset(f"{name}-d1" for name in one_shots),
        memory=dict.fromkeys(lasting, 50 * 2**20),
        interfaces={
            "hot-int": Interface("hot-int", True, 9216, ()),
            "hot-ex": Interface("hot-ex", True, 9216, ("172.31.0.129/25", "172.31.0.10/32")),
            "hotstack-os": Interface("hotstack-os", True, 1500, ("172.31.0.1/25",)),
        },
        switch=Switch(("hot-ex", "hot-int"), {"hostname": "node", "system-id": "abc"}, "abc"),
        chassis={"abc": "node"},
        cells=Cells({"cell0": True, "cell1": True}, {"node": "cell1"}),
        agents={
            kind: [Agent(binary, "node", True, True, "1") for binary in binaries]
            for kind, binaries in status_ties.WORKERS.items()
        },
        session=Session("active", "/usr/local/libexec/libvirtd", "", ""),
        guests=Guests(3, 2),
        virtualization=Virtualization("kvm"),
        mounts={"host": Mount("/data", "shared:1"), "nova-compute": Mount("/data", "shared:1")},
        zones={"hot-ex": "hotstack-external", "hotstack-os": "hotstack-os"},
        apparmor=AppArmor(),
        tables=["table inet hotstack_os"],
        names={"dns": "172.31.0.129", "hosts": "172.31.0.129"},
        entries={"public": True, "direct": True},
        disks=[Disk("/data", 1, 50 * GIB, 100 * GIB, 500, 1000), Disk("/", 1, 50 * GIB, 100 * GIB, 500, 1000)],
        modes=[
            FileMode("/data/credentials.json", 0o600),
            FileMode("/etc/openstack/clouds.yaml", 0o600),
            FileMode("/data/runtime/created.json", None),
            FileMode("/data/runtime/config", 0o750),
            FileMode("/data/runtime/config/keystone/keystone.conf", 0o640),
        ],
        clock=Clock(True, 5000.0, 4000.0, 3000.0),
    )


def bad(facts: Facts) -> list[Line]:
    return [line for line in status_checks.report(SETTINGS, facts).lines if not line.good]


def stop(facts: Facts, name: str, **differs: Any) -> None:
    state = {"active": "inactive", "sub": "dead", **differs}
    facts.units[unit_name(name)] = replace(ACTIVE, **state)
    facts.containers.pop(name, None)


def broken(change: Break, name: str) -> Line:
    """Break something; return the line of this name, after a look at what all such reports have."""
    facts = good()
    change(facts)
    report = status_checks.report(SETTINGS, facts)
    assert not report.well
    assert all(line.command for line in report.lines if not line.good)
    return next(line for line in report.lines if line.name == name and not line.good)


def field(name: str, value: Any) -> Break:
    return lambda facts: setattr(facts, name, value)


def fails(name: str) -> Break:
    def change(facts: Facts) -> None:
        facts.errors[name] = "no answer"
        setattr(facts, name, None if name in NONE else {})

    return change


def unit(name: str, **differs: Any) -> Break:
    return lambda facts: facts.units.update({name: replace(facts.units[name], **differs)})


def container(name: str, **differs: Any) -> Break:
    return lambda facts: facts.containers.update({name: replace(HEALTHY, **differs)})


def agent(kind: str, *agents: Agent) -> Break:
    return lambda facts: facts.agents.update({kind: list(agents)})


def assert_names(change: Break, name: str, cause: str, command: str) -> None:
    """Break one thing, and see that its line says why, and what to type next."""
    found = broken(change, name)
    assert cause in found.cause
    assert command in found.command
