# SPDX-License-Identifier: Apache-2.0
"""What `status` knows of a host, and how it is read out of what the host's programs print.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import apparmor
from .container_plan import DIGEST_LABEL, PREFIX
from .container_text import DIGEST_PLACEHOLDER, digest, seal

CONFIG_LABEL = "hotstack-os.config."
RELEASE_LABEL = "io.hotstack-os.release"
IMAGE_LABEL = "io.hotstack-os.image"
HEALTH = re.compile(r"\((healthy|unhealthy|starting)\)")
DNS_HEADER = struct.Struct("!6H")
DNS_ADDRESS, DNS_INTERNET = 1, 1
# libvirt's numbers: VIR_DOMAIN_RUNNING; VIR_DOMAIN_PAUSED with VIR_DOMAIN_PAUSED_IOERROR.
RUNNING, IO_ERROR = "1", ("3", "5")


@dataclass(frozen=True)
class Unit:
    """What systemd says of a unit."""

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    result: str = "success"
    exit_status: str = "0"
    restarts: int = 0
    since: float | None = None
    memory: int | None = None
    cgroup: str = ""
    enabled: str = ""


@dataclass(frozen=True)
class Container:
    """What podman says of a container of ours."""

    state: str
    health: str
    pid: int
    image: str
    release: str
    digest: str


@dataclass(frozen=True)
class UnitFile:
    """The source of a container's unit: its digest, whether that is still true, and the files that it mounts."""

    digest: str
    intact: bool
    config: Mapping[str, str] = field(default_factory=dict)
    # The mounted files that are missing or were changed since.
    changed: tuple[str, ...] = ()
    # Whether the container gets the AppArmor profile; None for a privileged one.
    profile: bool | None = None


@dataclass(frozen=True)
class AppArmor:
    """AppArmor on the host: whether the profile's file exists, its mode (empty if not loaded), and overriding links."""

    enabled: bool = False
    file: bool = False
    mode: str = ""
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Interface:
    """A network interface of the host."""

    name: str
    up: bool
    mtu: int
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Switch:
    """What Open vSwitch holds, and the id that it will have after its next start."""

    bridges: tuple[str, ...]
    ids: Mapping[str, str]
    next_id: str | None


@dataclass(frozen=True)
class Agent:
    """A worker as its API lists it."""

    binary: str
    host: str
    up: bool
    enabled: bool
    id: str = ""
    # Why it was disabled.
    reason: str = ""


@dataclass(frozen=True)
class Cells:
    """Nova's cells by name, true for those that are enabled, and the cell of each host."""

    enabled: Mapping[str, bool]
    hosts: Mapping[str, str]


@dataclass(frozen=True)
class Session:
    """The libvirt of the guests."""

    active: str
    program: str
    # What the file lacks of the capability, and in what the process differs from a new start; empty if nothing.
    file_problem: str
    process_problem: str


@dataclass(frozen=True)
class Guests:
    """How many guests the session libvirt lists, and which it paused because their disk could not be written."""

    known: int
    running: int
    stuck: tuple[str, ...] = ()


@dataclass(frozen=True)
class Virtualization:
    """How Nova runs guests, `kvm` or `qemu`, and what is wrong with KVM now; empty if nothing."""

    virt_type: str
    kvm_fault: str = ""


@dataclass(frozen=True)
class Mount:
    """The mount that a path lies on: where it is, and the peer group that shares it; None if it is private."""

    point: str
    group: str | None


@dataclass(frozen=True)
class Disk:
    """The room on the file system of a path."""

    path: str
    device: int
    free: int
    total: int
    free_inodes: int
    inodes: int


@dataclass(frozen=True)
class FileMode:
    """Who may read a file."""

    path: str
    mode: int | None
    owner: str = "root"
    # Who should own it.
    wanted: str = "root"


@dataclass(frozen=True)
class Clock:
    """The clock: whether it is synchronised, and when the settings were written."""

    synchronised: bool
    now: float
    uptime: float
    written: float


@dataclass(frozen=True)
class Why:
    """What was found of a service that is not well."""

    said: str = ""
    health: str = ""
    image_missing: bool = False


@dataclass
class Facts:
    """All that was found out. What is missing has a reason in `errors`, by the name of the field."""

    units: dict[str, Unit] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    unit_files: dict[str, UnitFile] = field(default_factory=dict)
    stamps: frozenset[str] = frozenset()
    memory: dict[str, int] = field(default_factory=dict)
    setup: list[str] = field(default_factory=list)
    interfaces: dict[str, Interface] = field(default_factory=dict)
    switch: Switch | None = None
    chassis: dict[str, str] = field(default_factory=dict)
    cells: Cells | None = None
    agents: dict[str, list[Agent]] = field(default_factory=dict)
    session: Session | None = None
    guests: Guests | None = None
    virtualization: Virtualization | None = None
    mounts: dict[str, Mount] = field(default_factory=dict)
    zones: dict[str, str] | None = None
    tables: list[str] = field(default_factory=list)
    apparmor: AppArmor | None = None
    # The containers whose first process has the AppArmor profile.
    confined: frozenset[str] = frozenset()
    names: dict[str, str] = field(default_factory=dict)
    entries: dict[str, bool] = field(default_factory=dict)
    disks: list[Disk] = field(default_factory=list)
    modes: list[FileMode] = field(default_factory=list)
    clock: Clock | None = None
    why: dict[str, Why] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def whole(text: str) -> int | None:
    """Return a whole number, None for any other text."""
    return int(text) if text.isdigit() else None


def parse_units(output: str) -> dict[str, Unit]:
    """Return the units in what `systemctl show --timestamp=unix` prints."""
    units = {}
    for block in output.strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" not in values:
            continue
        active = values.get("ActiveState", "inactive")
        since = whole(
            values.get("ActiveEnterTimestamp" if active == "active" else "StateChangeTimestamp", "").strip("@")
        )
        units[values["Id"]] = Unit(
            load=values.get("LoadState", "not-found"),
            active=active,
            sub=values.get("SubState", ""),
            result=values.get("Result", "success"),
            exit_status=values.get("ExecMainStatus", "0"),
            restarts=int(values.get("NRestarts") or 0),
            since=float(since) if since else None,
            memory=whole(values.get("MemoryCurrent", "")),
            cgroup=values.get("ControlGroup", ""),
            enabled=values.get("UnitFileState", ""),
        )
    return units


def parse_containers(output: str) -> dict[str, Container]:
    """Return our containers by service, from what `podman ps --format json` prints."""
    found = {}
    for record in json.loads(output or "[]") or []:
        labels = record.get("Labels") or {}
        health = HEALTH.search(record.get("Status") or "")
        for name in record.get("Names") or []:
            if name.startswith(PREFIX):
                found[name[len(PREFIX) :]] = Container(
                    state=record.get("State") or "",
                    health=health[1] if health else "",
                    pid=int(record.get("Pid") or 0),
                    image=labels.get(IMAGE_LABEL, ""),
                    release=labels.get(RELEASE_LABEL, ""),
                    digest=labels.get(DIGEST_LABEL, ""),
                )
    return found


def parse_unit_file(text: str) -> UnitFile:
    """Return what the source of a unit says of itself; its digest was made from all the rest of it."""
    labels = dict(re.findall(r'^Label="?([^=\n]+)=([^"\n]*)"?$', text, re.MULTILINE))
    value = labels.get(DIGEST_LABEL, "")
    intact = bool(value) and seal(text.replace(value, DIGEST_PLACEHOLDER))[1] == value
    config = {key[len(CONFIG_LABEL) :]: found for key, found in labels.items() if key.startswith(CONFIG_LABEL)}
    profile = apparmor.OPTION in text if "\nNoNewPrivileges=true\n" in text else None
    return UnitFile(value, intact, config, profile=profile)


def config_digest(mode: int, content: str) -> str:
    """Return the digest that a unit has of a file that it mounts."""
    return digest(str(mode), content)


def parse_interfaces(output: str) -> dict[str, Interface]:
    """Return the interfaces in what `ip -json address` prints."""
    return {
        item["ifname"]: Interface(
            name=item["ifname"],
            up="UP" in item.get("flags", []),
            mtu=int(item.get("mtu", 0)),
            addresses=tuple(
                f"{address['local']}/{address['prefixlen']}"
                for address in item.get("addr_info", [])
                if address.get("family") == "inet"
            ),
        )
        for item in json.loads(output or "[]")
        if "ifname" in item
    }


def parse_ids(output: str) -> dict[str, str]:
    """Return the external ids in what `ovs-vsctl --format=json` lists, in one row and one column."""
    (_kind, pairs) = json.loads(output)["data"][0][0]
    return {str(key): str(value) for key, value in pairs}


def parse_chassis(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the host names of all chassis by their ids, from the answer of OVN's southbound database."""
    result = (answer.get("result") or [{}])[0]
    if "rows" not in result:
        raise ValueError(str(answer.get("error") or result.get("error") or "an answer without rows"))
    return {str(row["name"]): str(row["hostname"]) for row in result["rows"]}


def parse_cells(output: str) -> Cells:
    """Return the cells and hosts in the rows that the query of them gives."""
    enabled, hosts = {}, {}
    for row in output.splitlines():
        kind, name, value = row.split("\t")
        if kind == "cell":
            enabled[name] = value == "0"
        else:
            hosts[name] = value
    return Cells(enabled, hosts)


def parse_agents(kind: str, answer: Mapping[str, Any]) -> list[Agent]:
    """Return the workers that an API of this kind lists."""
    if kind == "neutron":
        return [
            Agent(item["binary"], item["host"], bool(item["alive"]), bool(item["admin_state_up"]), str(item["id"]))
            for item in answer["agents"]
        ]
    return [
        Agent(
            item["binary"],
            item["host"].partition("@")[0],
            item["state"] == "up",
            item["status"] == "enabled",
            str(item.get("id", item["host"])),
            str(item.get("disabled_reason") or ""),
        )
        for item in answer["services"]
    ]


def parse_domains(output: str) -> Guests:
    """Return what `virsh domstats --state` says of all guests."""
    states = [
        (name, dict(line.strip().split("=", 1) for line in lines if "=" in line))
        for name, *lines in (block.splitlines() for block in output.split("Domain: '")[1:])
    ]
    stuck = [name.rstrip("'") for name, state in states if (state["state.state"], state["state.reason"]) == IO_ERROR]
    return Guests(len(states), sum(state["state.state"] == RUNNING for _name, state in states), tuple(stuck))


def mount_of(mountinfo: str, path: str) -> Mount | None:
    """Return the mount that a path lies on, from the text of /proc/PID/mountinfo; of two, the upper one."""
    best: Mount | None = None
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        if not (path + "/").startswith(point.rstrip("/") + "/"):
            continue
        options = fields[6 : fields.index("-", 6)]
        group = next((option for option in options if option.startswith("shared:")), None)
        if best is None or len(point) >= len(best.point):
            best = Mount(point, group)
    return best


def parse_zones(output: str) -> dict[str, str]:
    """Return the zone of each interface, from firewalld's answer by busctl."""
    return {
        interface: zone
        for zone, members in json.loads(output)["data"][0].items()
        for interface in members.get("interfaces", [])
    }


def dns_question(name: str, identifier: int) -> bytes:
    """Return the question for the address of a name."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return (
        DNS_HEADER.pack(identifier, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", DNS_ADDRESS, DNS_INTERNET)
    )


def dns_answer(question: bytes, answer: bytes) -> str:
    """Return the first address in the answer to a question, or a phrase that says why there is none."""
    if len(answer) < DNS_HEADER.size or answer[:2] != question[:2]:
        return "no proper answer"
    _identifier, flags, _questions, count, _authorities, _others = DNS_HEADER.unpack_from(answer)
    if flags & 0xF:
        return f"the answer code {flags & 0xF}"
    at = len(question)
    for _each in range(count):
        while at < len(answer) and answer[at]:
            if answer[at] >= 0xC0:
                at += 1
                break
            at += answer[at] + 1
        at += 1
        if at + 10 > len(answer):
            break
        kind, _class, _life, size = struct.unpack_from("!2HIH", answer, at)
        at += 10
        if kind == DNS_ADDRESS and size == 4:
            return ".".join(str(byte) for byte in answer[at : at + 4])
        at += size
    return "no address"
