# SPDX-License-Identifier: Apache-2.0
"""Hosts that lack something, and what is said about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import preflight
from ansible_collections.hotstack.os.plugins.module_utils.preflight import Account, Disk, Host, Listener, Route

WANTED = preflight.Wanted(
    systems={"debian": "13", "centos": "9"},
    system_names="Debian 13 or CentOS Stream 9",
    podman="5.0",
    memory_mib=4096,
    disk_mib={"/var/lib/containers": 8192, "/srv/data": 4096},
    networks=("172.31.0.0/25", "172.31.0.128/25"),
    own_names=frozenset({"hotstack-os", "hot-ex"}),
    listeners=(
        ("tcp", "172.31.0.129", 5000),
        ("tcp", "172.31.0.129", 53),
        ("udp", "172.31.0.129", 53),
        ("udp", "172.31.0.10", 53),
    ),
    user="hotstack",
    home="/var/lib/hotstack",
    ca_bundle="/etc/ca.pem",
    clients={"keystone_clouds_users": ("me", "hotstack"), "other_users": ()},
)


def good_host(**changes: Any) -> Host:
    host = Host(
        os_id="debian",
        os_version="13",
        os_name="Debian 13",
        podman="5.4.2",
        memory_mib=8000,
        disks={"/var/lib/containers": Disk(1, 20000), "/srv/data": Disk(1, 20000)},
        routes=[Route("10.0.0.0/24", "eth0", True), Route("172.31.0.0/25", "hotstack-os", True)],
        podman_networks={"podman": ["10.88.0.0/16"], "hotstack-os": ["172.31.0.0/25"], "six": ["fd00::/64"]},
        name="lab",
        full_name="lab.example",
        name_addresses=["10.0.0.2"],
        full_name_addresses=["10.0.0.2", "fd00::2"],
        units={"firewalld.service": {"UnitFileState": "enabled", "ActiveState": "active", "LoadState": "loaded"}},
        user=Account(990, "hotstack", "/var/lib/hotstack", "/usr/sbin/nologin"),
        group_id=990,
        clients=frozenset({"me", "hotstack"}),
    )
    return replace(host, **changes)


GOOD: dict[str, dict[str, Any]] = {
    "as it should be": {},
    "podman not installed yet": {"podman": ""},
    "a newer system": {"os_id": "centos", "os_version": "10"},
    "a system without a version": {"os_version": ""},
    "memory in use by ourselves": {"deployed": True, "memory_mib": 100},
    "space in use by ourselves": {"deployed": True, "disks": {"/srv/data": Disk(1, 1100)}},
    "file systems of their own": {"disks": {"/var/lib/containers": Disk(1, 8192), "/srv/data": Disk(2, 4096)}},
    "no user yet": {"user": None, "group_id": None, "clients": frozenset({"me"})},
    "our own listener": {"listeners": [Listener("tcp", "172.31.0.129", 5000, owner="conmon", ours=True)]},
    "listeners elsewhere": {"listeners": [Listener("udp", "127.0.0.53", 53), Listener("tcp", "*", 22)]},
    "the same port of the other protocol": {"listeners": [Listener("udp", "*", 5000)]},
    "firewalld disabled": {"units": {"firewalld.service": {"UnitFileState": "disabled", "ActiveState": "inactive"}}},
    "firewalld not installed": {"units": {"firewalld.service": {"LoadState": "not-found", "ActiveState": "inactive"}}},
    "a wider route": {"routes": [Route("172.16.0.0/12", "tun0", False)]},
    "names not resolved": {"name_addresses": None},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_good(changes: dict[str, Any]) -> None:
    assert preflight.errors(good_host(**changes), WANTED) == []


FREE = "172.31.0.129"
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "not root": ({"uid": 1000}, "User: found user id 1000; needed root."),
    "no systemd": ({"init": "tini"}, "Init: found tini as process 1; needed systemd."),
    "older system": ({"os_version": "12", "os_name": "Debian 12"}, "System: found Debian 12; needed Debian 13 or"),
    "other system": ({"os_id": "alpine", "os_name": "Alpine"}, "System: found Alpine; needed Debian 13 or"),
    "nameless system": ({"os_id": "", "os_name": ""}, "System: found an unknown system"),
    "old podman": ({"podman": "4.9.3"}, "Podman: found 4.9.3; needed 5.0 or newer."),
    "hybrid cgroups": ({"unified_cgroups": False}, "Cgroups: found version 1 or both"),
    "little memory": ({"memory_mib": 4095}, "Memory: found 4095 MiB available; needed 4096 MiB."),
    "little space together": (
        {"disks": {"/var/lib/containers": Disk(1, 12287), "/srv/data": Disk(1, 12287)}},
        "Disk of /srv/data, /var/lib/containers: found 12287 MiB free; needed 12288 MiB.",
    ),
    "little space": ({"disks": {"/srv/data": Disk(1, 10)}}, "Disk of /srv/data: found 10 MiB free"),
    "no space for what runs": (
        {"deployed": True, "disks": {"/srv/data": Disk(1, 1000)}},
        "Disk of /srv/data: found 1000 MiB free; needed 1024 MiB.",
    ),
    "network of an interface": (
        {"routes": [Route("172.31.0.0/26", "eth1", True)], "podman_networks": {}},
        "found a route to 172.31.0.0/26 by eth1; needed a network of its own.",
    ),
    "part of a network behind a gateway": (
        {"routes": [Route("172.31.0.192/26", "eth1", False)]},
        "Network 172.31.0.128/25: found a route to 172.31.0.192/26 by eth1",
    ),
    "network of podman": (
        {"podman_networks": {"other": ["172.31.0.0/26"]}},
        "Network 172.31.0.0/25: found the podman network other with 172.31.0.0/26",
    ),
    "port taken": (
        {"listeners": [Listener("tcp", FREE, 5000, owner="nginx (process 7)")]},
        "Port 5000/tcp: found nginx (process 7) listening on 172.31.0.129",
    ),
    "port taken everywhere": (
        {"listeners": [Listener("udp", "*", 53, owner="named"), Listener("udp", "172.31.0.10", 53, owner="named")]},
        "Port 53/udp: found named listening on every address",
    ),
    "two hosts by name": (
        {"full_name_addresses": ["10.0.0.3"]},
        "Host name: found lab as 10.0.0.2 and lab.example as 10.0.0.3; needed the same address",
    ),
    "firewalld stopped": (
        {"units": {"firewalld.service": {"UnitFileState": "enabled", "ActiveState": "inactive"}}},
        "firewalld: found enabled, but inactive; needed running or disabled.",
    ),
    "unit masked": ({"units": {"libvirtd.service": {"LoadState": "masked"}}}, "libvirtd.service: found masked"),
    "tool broken": (
        {"broken_tools": {"Open vSwitch": "silence"}},
        "Open vSwitch: found silence; needed a working",
    ),
    "AppArmor without its parser": (
        {"apparmor_without_parser": True},
        "AppArmor: found it enabled without apparmor_parser; needed the program that loads profiles. Install apparmor.",
    ),
    "user of a person": (
        {"user": Account(1000, "users", "/home/hotstack", "/bin/bash"), "group_id": None},
        "User hotstack: found user id 1000, home /home/hotstack, group users, shell /bin/bash; needed a system user",
    ),
    "group of persons": ({"group_id": 1000}, "Group hotstack: found group id 1000"),
    "client of nobody": (
        {"clients": frozenset()},
        "keystone_clouds_users: found 'me'; needed names of users of this host alone. Create them, or take them off",
    ),
    "CA bundle missing": ({"ca_bundle": "missing"}, "CA bundle /etc/ca.pem: found no such file"),
    "CA bundle empty": ({"ca_bundle": "empty"}, "CA bundle /etc/ca.pem: found no certificate in it"),
}


@pytest.mark.parametrize(("changes", "expected"), BAD.values(), ids=BAD)
def test_bad(changes: dict[str, Any], expected: str) -> None:
    found = [str(finding) for finding in preflight.errors(good_host(**changes), WANTED)]
    assert len(found) == 1, found
    assert expected in found[0]
    assert found[0].endswith(".")


def test_all_in_one_message() -> None:
    found = preflight.errors(Host(uid=5, init="sh", unified_cgroups=False, clients=frozenset({"me"})), WANTED)
    message = preflight.report(found)
    assert message.count("\n- ") == len(found) == 5
    assert "nothing was changed" in message


WARNINGS: dict[str, tuple[dict[str, Any], str]] = {
    "KVM": ({"kvm_fault": "it sleeps"}, "guests are emulated and slow: it sleeps."),
    "names": ({"full_name": "", "name_addresses": None}, "The host name lab can't be resolved"),
    "wider route": ({"routes": [Route("172.31.0.0/24", "tun0", False)]}, "behind tun0 (route to 172.31.0.0/24)"),
}


def test_no_warning() -> None:
    assert preflight.warnings(good_host(), WANTED) == []


@pytest.mark.parametrize(("changes", "expected"), WARNINGS.values(), ids=WARNINGS)
def test_warnings(changes: dict[str, Any], expected: str) -> None:
    found = preflight.warnings(good_host(**changes), WANTED)
    assert found
    assert all(expected in text for text in found)


def test_parse_assignments() -> None:
    text = 'ID="centos"\n# a comment=1\nVERSION_ID=\'9\'\nPRETTY_NAME="CentOS Stream 9"\n\nnothing\n'
    assert preflight.parse_assignments(text) == {"ID": "centos", "VERSION_ID": "9", "PRETTY_NAME": "CentOS Stream 9"}


def test_parse_units() -> None:
    text = "Id=a.service\nActiveState=active\n\nId=b.service\nLoadState=masked\n\nLoadState=none\n"
    assert preflight.parse_units(text) == {
        "a.service": {"Id": "a.service", "ActiveState": "active"},
        "b.service": {"Id": "b.service", "LoadState": "masked"},
    }


MEMORY = [
    ("MemTotal: 9 kB\nMemAvailable:    8388608 kB\n", "", "", 8192),
    ("MemAvailable:    8388608 kB\n", "max\n", "1\n", 8192),
    ("MemAvailable:    8388608 kB\n", "4294967296\n", "1073741824\n", 3072),
    ("", "", "", 0),
]


@pytest.mark.parametrize(("meminfo", "limit", "used", "expected"), MEMORY)
def test_parse_available_memory(meminfo: str, limit: str, used: str, expected: int) -> None:
    assert preflight.parse_available_memory(meminfo, limit, used) == expected


ADDRESSES = [
    ("00000000", "*"),
    ("0" * 32, "*"),
    ("0100007F", "127.0.0.1"),
    ("81001FAC", "172.31.0.129"),
    ("0000000000000000FFFF000081001FAC", "172.31.0.129"),
    ("00000000000000000000000001000000", ""),
]


@pytest.mark.parametrize(("text", "expected"), ADDRESSES)
def test_hex_address(text: str, expected: str) -> None:
    assert preflight.hex_address(text) == expected


def test_parse_routes() -> None:
    text = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "tun0\t000010AC\t0100000A\t0003\t0\t0\t0\t0000F0FF\t0\t0\t0\n"
    )
    assert preflight.parse_routes(text) == [
        Route("10.0.0.0/24", "eth0", True),
        Route("172.16.0.0/12", "tun0", False),
    ]


def test_parse_listeners() -> None:
    text = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 34 1 0 100\n"
        "   1: 0100007F:1388 0100007F:ACE7 01 00000000:00000000 03:00000908 00000000     0        0 35 3 0\n"
    )
    assert preflight.parse_listeners(text, "tcp") == [Listener("tcp", "*", 5000, "34")]


VERSIONS = [("5.0", (5, 0)), ("5.4.2-dev", (5, 4, 2)), ("25.04", (25, 4)), ("", ())]


@pytest.mark.parametrize(("text", "expected"), VERSIONS)
def test_version_tuple(text: str, expected: tuple[int, ...]) -> None:
    assert preflight.version_tuple(text) == expected


ROOT = "/var/lib/hotstack-os"
FORMER = {
    "hotstack_os_data_dir": ROOT,
    "hotstack_os_instances_dir": f"{ROOT}/nova-instances",
    "hotstack_os_volumes_dir": f"{ROOT}/cinder-nfs",
    "hotstack_os_host_name": "node1",
    "hotstack_os_container_network": "172.31.0.0/25",
}
FILLED = frozenset({ROOT, f"{ROOT}/nova-instances", f"{ROOT}/cinder-nfs"})
MOVED = {name: value.replace(ROOT, "/srv") for name, value in FORMER.items()}
FOUND = {"former": FORMER, "has_database": True, "filled": FILLED, "deployed": True}

CHANGES: dict[str, tuple[dict[str, Any], dict[str, str], list[str]]] = {
    "nothing": (FOUND, FORMER, []),
    "no former deployment": ({}, MOVED, []),
    "a setting that was not noted": (FOUND, {"hotstack_os_user": "other"}, []),
    "the root, with all that follows": (
        FOUND,
        MOVED,
        ["hotstack_os_data_dir: found /srv; needed /var/lib/hotstack-os,"],
    ),
    "one folder": (
        FOUND,
        {**FORMER, "hotstack_os_volumes_dir": "/volumes"},
        ["hotstack_os_volumes_dir: found /volumes; needed /var/lib/hotstack-os/cinder-nfs,"],
    ),
    "an empty folder": ({**FOUND, "filled": frozenset()}, MOVED, []),
    "the name of the host": (
        FOUND,
        {**FORMER, "hotstack_os_host_name": "node2"},
        ["hotstack_os_host_name: found node2; needed node1, which this deployment was made with. Guests and the ports"],
    ),
    "the name without data": ({**FOUND, "has_database": False}, {"hotstack_os_host_name": "node2"}, []),
    "a name that is not known": (FOUND, {"hotstack_os_host_name": ""}, []),
    "the network of running containers": (
        FOUND,
        {"hotstack_os_container_network": "10.9.0.0/24"},
        ["hotstack_os_container_network: found 10.9.0.0/24; needed 172.31.0.0/25 while containers run"],
    ),
    "the network of stopped containers": (
        {**FOUND, "deployed": False},
        {"hotstack_os_container_network": "10.9.0.0/24"},
        [],
    ),
}


def test_bridge_with_a_name_that_is_taken() -> None:
    wanted = replace(
        WANTED, settings={"hotstack_os_integration_bridge": "hot-int", "hotstack_os_provider_bridge": "br0"}
    )
    found = [str(finding) for finding in preflight.errors(good_host(taken={"br0": "a Linux bridge"}), wanted)]
    assert len(found) == 1
    assert found[0].startswith("hotstack_os_provider_bridge: found br0, which is a Linux bridge; needed a name that no")


def test_folder_that_is_none() -> None:
    wanted = replace(WANTED, settings={"hotstack_os_data_dir": "/srv/data", "hotstack_os_volumes_dir": "/srv/data/v"})
    found = [str(finding) for finding in preflight.errors(good_host(misplaced={"/srv/data": "a link"}), wanted)]
    assert len(found) == 1
    assert found[0].startswith("hotstack_os_data_dir: found /srv/data, which is a link; needed a folder or nothing yet")


@pytest.mark.parametrize(("found", "settings", "starts"), CHANGES.values(), ids=CHANGES)
def test_settings_that_cannot_change(found: dict[str, Any], settings: dict[str, str], starts: list[str]) -> None:
    findings = [str(finding) for finding in preflight.errors(good_host(**found), replace(WANTED, settings=settings))]
    assert len(findings) == len(starts)
    for finding, start in zip(findings, starts):
        assert finding.startswith(start)
