# SPDX-License-Identifier: Apache-2.0
"""What is not well, why, and what to do next: one broken thing at a time in a small deployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import status_checks, status_text
from ansible_collections.hotstack.os.plugins.module_utils.status_checks import Line
from ansible_collections.hotstack.os.plugins.module_utils.status_facts import (
    Agent,
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
    Why,
)

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
    "hotstack_os_volume_mounts_dir": "/data/mnt",
    "clouds_file": "/etc/openstack/clouds.yaml",
}
ACTIVE = Unit("loaded", "active", "running", since=1000.0, enabled="enabled", memory=50 * 2**20)
DONE = Unit("loaded", "inactive", "dead")
HEALTHY = Container("running", "healthy", 7, "image", "2025.2", "d1")
GIB = 2**30


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
            for kind, binaries in status_checks.WORKERS.items()
        },
        session=Session("active", "/usr/local/libexec/libvirtd", "", ""),
        guests=Guests(3, 2),
        mounts={"host": Mount("/data", "shared:1"), "nova-compute": Mount("/data", "shared:1")},
        zones={"hot-ex": "hotstack-external", "hotstack-os": "hotstack-os"},
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


def test_all_is_well() -> None:
    report = status_checks.report(SETTINGS, good())
    assert [line for line in report.lines if not line.good] == []
    assert report.well
    assert [row.name for row in report.rows] == list(SERVICES)
    assert report.rows[4] == status_checks.Row(
        "keystone", "active", "healthy", 1000.0, 0, "image", "2025.2", 50 * 2**20, "172.31.0.11:5000"
    )
    assert report.rows[2].unit == "done"
    assert report.rows[0].address == "host:53"


Break = Callable[[Facts], object]


def field(name: str, value: Any) -> Break:
    return lambda facts: setattr(facts, name, value)


def fails(name: str) -> Break:
    def change(facts: Facts) -> None:
        facts.errors[name] = "no answer"
        setattr(facts, name, None if name in ("switch", "session", "guests", "cells", "clock") else {})

    return change


def unit(name: str, **differs: Any) -> Break:
    return lambda facts: facts.units.update({name: replace(facts.units[name], **differs)})


def container(name: str, **differs: Any) -> Break:
    return lambda facts: facts.containers.update({name: replace(HEALTHY, **differs)})


def agent(kind: str, *agents: Agent) -> Break:
    return lambda facts: facts.agents.update({kind: list(agents)})


NOVA = [Agent(binary, "node", True, True, "1") for binary in status_checks.WORKERS["nova"]]

# What is broken; the name of the line, a part of its cause, a part of its command.
CASES: dict[str, tuple[Break, str, str, str]] = {
    "full disk": (
        *(field("disks", [Disk("/data", 1, GIB, 100 * GIB, 500, 1000)]), "disk /data"),
        *("nearly full", "du --one-file-system"),
    ),
    "no inodes": (
        *(field("disks", [Disk("/data", 1, 50 * GIB, 100 * GIB, 5, 1000)]), "disk /data"),
        *("hardly any more files", "--inodes /data"),
    ),
    "disks": (fails("disks"), "disk", "no answer", "df"),
    "credentials for all": (
        *(field("modes", [FileMode("/data/credentials.json", 0o644)]), "/data/credentials.json"),
        *("others may use it", "chmod u=rw,go= /data/credentials.json"),
    ),
    "credentials for the group": (
        *(field("modes", [FileMode("/data/credentials.json", 0o640)]), "/data/credentials.json"),
        *("its group may use it", "chmod u=rw,go= /data/credentials.json"),
    ),
    "credentials of somebody": (
        *(field("modes", [FileMode("/data/credentials.json", 0o600, "joe")]), "/data/credentials.json"),
        *("belongs to joe", "chown root"),
    ),
    "no credentials": (
        *(field("modes", [FileMode("/data/credentials.json", None)]), "/data/credentials.json"),
        *("not there", "hotstack.os.site"),
    ),
    "open configuration": (
        *(field("modes", [FileMode("/data/runtime/config/a/a.conf", 0o644)]), "/data/runtime/config/a/a.conf"),
        *("others", "chmod o= /data/runtime/config/a/a.conf"),
    ),
    "modes": (fails("modes"), "files with secrets", "no answer", "site"),
    "clock unsynchronised": (
        *(field("clock", Clock(False, 5000.0, 4000.0, 3000.0)), "clock"),
        *("no time server", "chronyc sources"),
    ),
    "clock set back": (
        *(field("clock", Clock(True, 1000.0, 4000.0, 3000.0)), "clock"),
        *("earlier than the last run", "timedatectl"),
    ),
    "clock": (fails("clock"), "clock", "no answer", "timedatectl"),
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
    "guests": (fails("guests"), "session libvirt", "does not answer: no answer", "--machine=hotstack@ restart"),
    "not at boot": (unit("hotstack-os.target", enabled="disabled"), "hotstack-os.target", "next boot", "enable"),
    "no target": (unit("hotstack-os.target", load="not-found"), "hotstack-os.target", "no such", "site"),
    "no unit": (unit(unit_name("dnsmasq"), load="not-found"), "dnsmasq", "it has no unit", "hotstack.os.site"),
    "masked": (unit(unit_name("dnsmasq"), load="masked"), "dnsmasq", "masked", "systemctl unmask hotstack-os-dnsmasq"),
    "broken unit": (unit(unit_name("dnsmasq"), load="bad-setting"), "dnsmasq", "bad-setting", "systemctl status"),
    "edited unit": (
        *(lambda facts: facts.unit_files.update(dnsmasq=UnitFile("d1", False)), "dnsmasq"),
        *("not as the playbook left it: its unit", "hotstack.os.site"),
    ),
    "edited configuration": (
        *(lambda facts: facts.unit_files.update(dnsmasq=UnitFile("d1", True, {}, ("/a/b.conf",))), "dnsmasq"),
        *("/a/b.conf", "hotstack.os.site"),
    ),
    "no container": (
        *(lambda facts: facts.containers.pop("nova-compute"), "nova-compute"),
        *("no container", "systemctl restart hotstack-os-nova-compute"),
    ),
    "paused": (
        *(container("nova-compute", state="paused"), "nova-compute"),
        *("is paused", "podman unpause hotstack-os-nova-compute"),
    ),
    "unhealthy": (
        *(container("nova-compute", health="unhealthy"), "nova-compute"),
        *("health check fails", "journalctl -u hotstack-os-nova-compute"),
    ),
    "no health": (container("nova-compute", health=""), "nova-compute", "no word", "journalctl"),
    "older": (
        *(container("nova-compute", digest="d0"), "nova-compute"),
        *("older definition", "systemctl restart hotstack-os-nova-compute"),
    ),
    "no container listed": (fails("containers"), "haproxy", "podman can't be asked: no answer", "podman ps"),
    "stopped": (
        lambda facts: stop(facts, "dnsmasq"),
        "dnsmasq",
        "it was stopped",
        "systemctl start hotstack-os-dnsmasq",
    ),
    "stopped and killed": (
        *(lambda facts: stop(facts, "dnsmasq", active="failed", result="exit-code", exit_status="137"), "dnsmasq"),
        *("it was stopped; its main process ended with status 137", "systemctl start hotstack-os-dnsmasq"),
    ),
    "failing": (
        *(lambda facts: stop(facts, "dnsmasq", active="activating", result="exit-code", restarts=1), "dnsmasq"),
        *("ended with status 0 and it is started again, after 1 restart so far", "journalctl -u hotstack-os-dnsmasq"),
    ),
    "out of memory": (
        *(lambda facts: stop(facts, "dnsmasq", active="activating", sub="auto-restart", result="oom-kill"), "dnsmasq"),
        *("no more memory and it is started again, after 0 restarts", "journalctl"),
    ),
    "unknown result": (
        *(lambda facts: stop(facts, "dnsmasq", active="activating", result="strange"), "dnsmasq"),
        *("systemd says strange", "journalctl"),
    ),
    "starting": (
        *(lambda facts: stop(facts, "dnsmasq", active="activating", restarts=2), "dnsmasq"),
        *("starting for the 3. time", "journalctl"),
    ),
    "stopping": (
        *(lambda facts: stop(facts, "dnsmasq", active="deactivating"), "dnsmasq"),
        *("being stopped", "journalctl"),
    ),
    "one-shot not done": (
        *(field("stamps", frozenset()), "mariadb-init"),
        *("not done", "systemctl start hotstack-os-mariadb-init"),
    ),
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
    "no container of another kind": (container("nova-compute", state="exited"), "nova-compute", "exited", "journalctl"),
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
    facts = good()
    change(facts)
    lines = bad(facts)
    found = next(line for line in lines if line.name == name)
    assert cause in found.cause
    assert command in found.command
    assert all(line.command for line in lines)
    assert not status_checks.report(SETTINGS, facts).well


def free_clock(facts: Facts) -> None:
    facts.units.pop("chronyd.service")
    facts.clock = Clock(False, 5000.0, 4000.0, 3000.0)


@pytest.mark.parametrize(
    "change",
    [
        free_clock,
        field("clock", Clock(False, 5000.0, 60.0, 3000.0)),
        field("zones", None),
        lambda facts: facts.mounts.pop("nova-compute"),
        lambda facts: facts.units.update({unit_name("mariadb-init"): replace(DONE, active="failed")}),
    ],
    ids=["no time service", "just booted", "no firewalld", "no nova-compute", "a one-shot that was done before"],
)
def test_this_is_no_fault(change: Break) -> None:
    facts = good()
    change(facts)
    assert bad(facts) == []


def test_systemd_does_not_answer() -> None:
    facts = good()
    facts.units, facts.errors["units"] = {}, "no answer"
    names = {line.name for line in bad(facts)}
    assert set(SERVICES) <= names
    assert "hotstack-os.target" not in names


def test_what_waits_names_the_lowest_cause() -> None:
    facts = good()
    stop(facts, "mariadb")
    stop(facts, "keystone", active="activating")
    facts.containers["nova-api"] = replace(HEALTHY, health="unhealthy")
    facts.errors["cells"], facts.cells = "no answer", None
    facts.errors["agents of nova"] = "status 503"
    facts.agents.pop("nova")
    lines = {line.name: line for line in bad(facts)}
    assert lines["keystone"].cause == "it needs mariadb, which is not ready"
    assert lines["nova-api"].cause == "its health check fails; it needs mariadb"
    for name in ("keystone", "nova-api", "cell mapping", "workers of nova"):
        assert (lines[name].follows, lines[name].command) == ("mariadb", "systemctl start hotstack-os-mariadb")
    ((first, behind),) = status_checks.causes(status_checks.report(SETTINGS, facts), SERVICES)
    assert (first.name, first.command) == ("mariadb", "systemctl start hotstack-os-mariadb")
    assert behind == ["cell mapping", "keystone", "nova-api", "workers of nova"]
    assert status_checks.not_ready(SETTINGS, facts) == ["mariadb"]


@pytest.mark.parametrize("state", ["activating", "inactive"])
def test_an_undone_step_holds_others_back(state: str) -> None:
    facts = good()
    facts.stamps = frozenset()
    stop(facts, "mariadb", active=state)
    facts.units[unit_name("mariadb-init")] = replace(DONE, active="activating", sub="start")
    lines = {line.name: line for line in bad(facts)}
    assert lines["mariadb"].follows == "mariadb-init"
    assert lines["mariadb-init"].cause == "it is not done yet"


def test_everything_was_stopped() -> None:
    facts = good()
    for name in SERVICES:
        stop(facts, name)
    facts.units["hotstack-os.target"] = replace(ACTIVE, active="inactive")
    (first, *_others) = status_checks.causes(status_checks.report(SETTINGS, facts), SERVICES)
    assert first[0].command == "systemctl start hotstack-os.target"
    assert {"keystone", "mariadb", "nova-compute"} <= set(first[1])


def test_disk_comes_before_what_it_breaks() -> None:
    facts = good()
    stop(facts, "mariadb", active="failed", result="exit-code", exit_status="1")
    stop(facts, "dnsmasq")
    facts.disks = [Disk("/data", 1, 0, 100 * GIB, 500, 1000)]
    names = [line.name for line, _behind in status_checks.causes(status_checks.report(SETTINGS, facts), SERVICES)]
    assert names == ["disk /data", "dnsmasq", "mariadb"]


@pytest.mark.parametrize(
    ("why", "cause"),
    [
        (Why(said="no space\nmore"), "ended with status 1; it said: no space"),
        (Why(said="x", health="port closed"), "it said: port closed"),
        (Why(said="x" * 300), "x..."),
        (Why(image_missing=True), "its image is not on this host"),
    ],
)
def test_what_a_service_said(why: Why, cause: str) -> None:
    facts = good()
    stop(facts, "dnsmasq", active="failed", result="exit-code", exit_status="1")
    facts.why["dnsmasq"] = why
    assert cause in next(line for line in bad(facts) if line.name == "dnsmasq").cause


def test_what_a_health_check_said() -> None:
    facts = good()
    facts.containers["dnsmasq"] = replace(HEALTHY, health="starting")
    facts.why["dnsmasq"] = Why(health="port closed")
    line = next(line for line in bad(facts) if line.name == "dnsmasq")
    assert line.cause == "its health check has not succeeded yet: port closed"


def test_mode_is_why_a_configuration_differs() -> None:
    facts = good()
    path = "/data/runtime/config/keystone/keystone.conf"
    facts.modes = [FileMode(path, 0o644)]
    facts.unit_files["keystone"] = UnitFile("d1", True, {}, (path,))
    line = next(line for line in bad(facts) if line.name == "keystone")
    assert (line.command, line.follows) == (f"chmod o= {path}", path)


def test_address_is_why_the_setup_is_incomplete() -> None:
    facts = good()
    facts.interfaces["hot-ex"] = Interface("hot-ex", True, 9216, ())
    facts.setup = ["the address 172.31.0.10/32"]
    line = next(line for line in bad(facts) if line.name == "set up at boot")
    assert line.follows == "hot-ex"


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
    assert command in status_checks.stale_agent(kind, Agent("ovn-controller", "old", True, True, "9")).command


def test_twin_of_a_former_start() -> None:
    facts = good()
    facts.agents["neutron"].append(Agent("ovn-controller", "node", False, True, "9"))
    (line,) = bad(facts)
    assert line.command.endswith("network agent delete 9")


# --- as a text


def test_text_of_a_good_state() -> None:
    lines = status_text.people(status_checks.report(SETTINGS, good()), SERVICES, 1065.0)
    assert lines[-1] == "All is well."
    keystone = next(line for line in lines if line.startswith("keystone"))
    words = " ".join(keystone.split())
    assert words == "keystone active healthy 1 min 5 s 0 image 2025.2 50 MiB 172.31.0.11:5000"
    assert not [line for line in lines if line.startswith("BAD")]


def test_text_of_a_bad_state() -> None:
    facts = good()
    stop(facts, "mariadb")
    facts.errors["cells"], facts.cells = "no answer", None
    text = "\n".join(status_text.people(status_checks.report(SETTINGS, facts), SERVICES, 1065.0))
    assert "1. mariadb (inactive): it was stopped.\n   It is why these are not well: cell mapping.\n" in text
    assert "   next: systemctl start hotstack-os-mariadb\n" in text
    assert "What follows from these:\n- cell mapping (not known)" in text
    assert "BAD  cell mapping" in text


def test_data() -> None:
    facts = good()
    stop(facts, "dnsmasq")
    found = status_text.data(status_checks.report(SETTINGS, facts), SERVICES, 1065.0)
    assert found["well"] is False
    assert found["services"][0]["unit"] == "inactive"
    assert {check["name"] for check in found["checks"] if not check["good"]} == {"dnsmasq"}
    assert found["causes"][0]["command"] == "systemctl start hotstack-os-dnsmasq"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (90061, "1 d 1 h"), (86400, "1 d"), (-5, "0 s")],
)
def test_age(seconds: float, text: str) -> None:
    assert status_text.age(seconds) == text
