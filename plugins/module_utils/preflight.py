# SPDX-License-Identifier: Apache-2.0
"""Whether a host can take a deployment: what was found on it, judged."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

OUR_UNITS = "hotstack-os-"

DATA = "hotstack_os_data_dir"
# Settings that name folders of data, which nothing moves.
FOLDERS = (DATA, "hotstack_os_instances_dir", "hotstack_os_volume_mounts_dir", "hotstack_os_volumes_dir")
# Settings that name bridges of Open vSwitch.
BRIDGES = ("hotstack_os_integration_bridge", "hotstack_os_provider_bridge")
# Settings that a cloud keeps once it has data, and why.
KEPT = {
    "hotstack_os_host_name": "Guests and the ports of their networks are bound to it",
    "hotstack_os_integration_bridge": "Guests are plugged into it",
    "hotstack_os_physical_network": "Neutron's networks are on it",
    "hotstack_os_provider_bridge": "Addresses and floating IPs are on it",
    "hotstack_os_region": "The catalog and all clients name it",
    "hotstack_os_user": "Guests run in its libvirt",
}
# The podman network can't change under containers.
CONTAINERS = "hotstack_os_container_network"


@dataclass(frozen=True)
class Route:
    """A line of the routing table."""

    network: str
    interface: str
    direct: bool


@dataclass(frozen=True)
class Listener:
    """A socket that waits for clients; `owner` is a process, `ours` whether one of our units has it."""

    protocol: str
    address: str
    port: int
    inode: str = ""
    owner: str = "an unknown process"
    ours: bool = False


@dataclass(frozen=True)
class Disk:
    """The file system that a folder lies on or will lie on."""

    device: int
    free_mib: int


@dataclass(frozen=True)
class Account:
    """A user as the host knows it."""

    uid: int
    group: str
    home: str
    shell: str


@dataclass
class Host:
    """What was read."""

    uid: int = 0
    init: str = "systemd"
    os_id: str = ""
    os_version: str = ""
    os_name: str = ""
    # The version; empty if it is not installed.
    podman: str = ""
    unified_cgroups: bool = True
    memory_mib: int = 0
    disks: dict[str, Disk] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    # Subnets by the name of a podman network.
    podman_networks: dict[str, list[str]] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    name: str = ""
    full_name: str = ""
    # None if the name was not resolved in time.
    name_addresses: list[str] | None = None
    full_name_addresses: list[str] | None = None
    # Properties of systemd units by unit.
    units: dict[str, dict[str, str]] = field(default_factory=dict)
    # What is wrong with tools that are installed, by name.
    broken_tools: dict[str, str] = field(default_factory=dict)
    kvm_fault: str = ""
    selinux: str = "disabled"
    # AppArmor is enabled, and nothing can load a profile.
    apparmor_without_parser: bool = False
    user: Account | None = None
    group_id: int | None = None
    # "missing" or "empty" if a CA bundle is asked for and that is what it is.
    ca_bundle: str = ""
    # Services of ours run already, so the memory and space they need is in use.
    deployed: bool = False
    # What an earlier run was done with, by setting, and whether that made a database.
    former: dict[str, str] = field(default_factory=dict)
    has_database: bool = False
    # Those of its folders that have something in them.
    filled: frozenset[str] = frozenset()
    # What is in the place of a folder of data: "a link" or "no folder".
    misplaced: dict[str, str] = field(default_factory=dict)
    # Interfaces of others that have the name of a bridge of ours: "a Linux bridge" or "a device".
    taken: dict[str, str] = field(default_factory=dict)
    # Those of the clients' users that it has.
    clients: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wanted:
    """What a deployment needs."""

    # The lowest version by os-release's ID, and the names to tell.
    systems: Mapping[str, str]
    system_names: str
    podman: str
    memory_mib: int
    # MiB by folder.
    disk_mib: Mapping[str, int]
    networks: tuple[str, ...]
    # Interfaces and podman networks that are ours.
    own_names: frozenset[str]
    # (protocol, address, port)
    listeners: tuple[tuple[str, str, int], ...]
    user: str
    home: str
    ca_bundle: str
    # The settings that an earlier run may have had otherwise.
    settings: Mapping[str, str] = field(default_factory=dict)
    # The file that says how it had them.
    former_settings: str = ""
    # The users who get a cloud, by the setting that names them.
    clients: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """An unmet condition."""

    subject: str
    found: str
    needed: str
    fix: str

    def __str__(self) -> str:
        """Return the finding as it is shown."""
        return f"{self.subject}: found {self.found}; needed {self.needed}. {self.fix}"


# --- texts of the host


def parse_assignments(text: str) -> dict[str, str]:
    """Return what /etc/os-release assigns."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value.strip().strip("\"'") for name, value in pairs}


def parse_units(text: str) -> dict[str, dict[str, str]]:
    """Return the properties by unit of what `systemctl show` prints: paragraphs, each with an Id."""
    units = (parse_assignments(paragraph) for paragraph in text.split("\n\n"))
    return {unit["Id"]: unit for unit in units if "Id" in unit}


def parse_available_memory(meminfo: str, limit: str, used: str) -> int:
    """Return the MiB that are available, of which a container may have less than the machine."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    available = int(found[1]) // 1024 if found else 0
    if limit.strip().isdigit() and used.strip().isdigit():
        available = min(available, (int(limit) - int(used)) // 2**20)
    return available


def hex_address(text: str) -> str:
    """Return the address that /proc/net writes as 8 or 32 hexadecimal digits: "*" for any, "" for other IPv6 ones."""
    if set(text) == {"0"}:
        return "*"
    if len(text) == 32 and text.startswith("0000000000000000FFFF0000"):
        text = text[24:]
    return str(IPv4Address(bytes.fromhex(text)[::-1])) if len(text) == 8 else ""


def parse_routes(text: str) -> list[Route]:
    """Return the lines of /proc/net/route, without the default routes."""
    found = []
    for line in text.splitlines()[1:]:
        interface, destination, gateway, _flags, _refs, _use, _metric, mask = line.split()[:8]
        bits = bin(int(mask, 16)).count("1")
        if bits:
            network = f"{IPv4Address(bytes.fromhex(destination)[::-1])}/{bits}"
            found.append(Route(network, interface, direct=set(gateway) == {"0"}))
    return found


def parse_listeners(text: str, protocol: str) -> list[Listener]:
    """Return who listens, of /proc/net/tcp or udp (or their forms for IPv6)."""
    # A TCP socket that listens is in state 0A; a UDP socket without a peer in 07.
    state = "0A" if protocol == "tcp" else "07"
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == state:
            address, port = words[1].split(":")
            found.append(Listener(protocol, hex_address(address), int(port, 16), words[9]))
    return found


def version_tuple(text: str) -> tuple[int, ...]:
    """Return the numbers of a version to compare it."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def wanted_by(listener: Listener, wanted: Wanted) -> bool:
    """Return whether a listener holds an address and port that a deployment needs."""
    return any(
        listener.protocol == protocol and listener.port == port and listener.address in ("*", address)
        for protocol, address, port in wanted.listeners
    )


# --- judgements


def system_findings(host: Host, wanted: Wanted) -> Iterator[Finding]:
    """Yield what is wrong with the system as such."""
    if host.uid != 0:
        yield Finding(
            "User",
            f"user id {host.uid}",
            "root",
            "Run it as root or with become, as the playbooks of the collection do.",
        )
    if host.init != "systemd":
        yield Finding(
            "Init", f"{host.init} as process 1", "systemd", "Use a host or a container that boots with systemd."
        )
    lowest = wanted.systems.get(host.os_id)
    known = lowest is not None and (not host.os_version or version_tuple(host.os_version) >= version_tuple(lowest))
    if not known:
        name = host.os_name or host.os_id or "an unknown system"
        yield Finding("System", name, wanted.system_names, "Use one of these systems, or a lab host.")
    if host.podman and version_tuple(host.podman) < version_tuple(wanted.podman):
        yield Finding(
            "Podman", host.podman, f"{wanted.podman} or newer", "Update podman, or the system if it has none so new."
        )
    if not host.unified_cgroups:
        yield Finding(
            "Cgroups",
            "version 1 or both versions",
            "version 2 alone",
            "Boot with systemd.unified_cgroup_hierarchy=1.",
        )


def room_findings(host: Host, wanted: Wanted) -> Iterator[Finding]:
    """Yield where memory or space is short; needs on one file system add up."""
    if not host.deployed and host.memory_mib < wanted.memory_mib:
        yield Finding(
            "Memory",
            f"{host.memory_mib} MiB available",
            f"{wanted.memory_mib} MiB",
            "Stop what else runs or add memory; preflight_memory_mib sets the limit.",
        )
    paths: dict[int, list[str]] = {}
    for path, disk in host.disks.items():
        paths.setdefault(disk.device, []).append(path)
    for together in paths.values():
        free = host.disks[together[0]].free_mib
        needed = sum(wanted.disk_mib[path] for path in together)
        if host.deployed:
            needed = min(needed, 1024)
        if free < needed:
            yield Finding(
                "Disk of " + ", ".join(sorted(together)),
                f"{free} MiB free",
                f"{needed} MiB",
                "Free some, or put folders elsewhere (hotstack_os_data_dir); preflight_disks sets the limits.",
            )


def place_findings(host: Host, wanted: Wanted) -> Iterator[Finding]:
    """Yield what is in the place of our folders, and which interfaces have the names of our bridges."""
    folder = "Name the folder itself, or take that away; to have it on another disk, mount that there."
    bridge = "Choose another name; a device can be a port of the bridge once it is there."
    for names, there, needed, fix in (
        (FOLDERS, host.misplaced, "a folder or nothing yet", folder),
        (BRIDGES, host.taken, "a name that no interface has", bridge),
    ):
        for name in names:
            value = wanted.settings.get(name, "")
            if value in there:
                yield Finding(name, f"{value}, which is {there[value]}", needed, fix)


def network_findings(host: Host, wanted: Wanted) -> Iterator[Finding]:
    """Yield who has our addresses."""
    fix = "Choose another network with hotstack_os_container_network or hotstack_os_provider_network."
    for text in wanted.networks:
        network = IPv4Network(text)
        for route in host.routes:
            other = IPv4Network(route.network, strict=False)
            # A wider route behind a gateway only means that we hide a part of it.
            hidden = not route.direct and other.prefixlen < network.prefixlen
            if route.interface not in wanted.own_names and other.overlaps(network) and not hidden:
                yield Finding(
                    f"Network {text}", f"a route to {other} by {route.interface}", "a network of its own", fix
                )
        for name, subnets in host.podman_networks.items():
            for subnet in subnets:
                if name not in wanted.own_names and ":" not in subnet:
                    other = IPv4Network(subnet, strict=False)
                    if other.overlaps(network):
                        found = f"the podman network {name} with {other}"
                        yield Finding(f"Network {text}", found, "a network of its own", fix)


def port_findings(host: Host, wanted: Wanted) -> Iterator[Finding]:
    """Yield who has our ports."""
    told = set()
    for listener in host.listeners:
        what = (listener.protocol, listener.port, listener.owner)
        if not listener.ours and what not in told and wanted_by(listener, wanted):
            told.add(what)
            where = "every address" if listener.address == "*" else listener.address
            yield Finding(
                f"Port {listener.port}/{listener.protocol}",
                f"{listener.owner} listening on {where}",
                "the port free for HotStack",
                "Stop that program or bind it to addresses of its own.",
            )


def name_findings(host: Host) -> Iterator[Finding]:
    """Yield whether the short and the full name are two hosts; Nova would use one and OVN the other."""
    short, full = host.name_addresses or [], host.full_name_addresses or []
    if short and full and set(short).isdisjoint(full):
        yield Finding(
            "Host name",
            f"{host.name} as {', '.join(short)} and {host.full_name} as {', '.join(full)}",
            "the same address for both",
            "Put both on one line of /etc/hosts, the full name first.",
        )


def service_findings(host: Host) -> Iterator[Finding]:
    """Yield which services and tools of the host are there but can't be used."""
    firewall = host.units.get("firewalld.service", {})
    if firewall.get("UnitFileState") == "enabled" and firewall.get("ActiveState") != "active":
        yield Finding(
            "firewalld",
            f"enabled, but {firewall.get('ActiveState', 'stopped')}",
            "running or disabled",
            "Run `systemctl start firewalld` or `systemctl disable firewalld`.",
        )
    for unit, properties in host.units.items():
        if properties.get("LoadState") == "masked":
            yield Finding(unit, "masked", "a unit that can be started", f"Run `systemctl unmask {unit}`.")
    if host.apparmor_without_parser:
        yield Finding(
            "AppArmor", "it enabled without apparmor_parser", "the program that loads profiles", "Install apparmor."
        )
    for tool, fault in host.broken_tools.items():
        yield Finding(tool, fault, "a working one", "Mend or reinstall its package.")


def account_findings(host: Host, wanted: Wanted) -> Iterator[Finding]:
    """Yield whether somebody else has the name of our user or group."""
    user, name = host.user, wanted.user
    fix = "Rename or remove it, or choose another with hotstack_os_user."
    if user:
        others = []
        if not 0 < user.uid < 1000:
            others.append(f"user id {user.uid}")
        if user.home != wanted.home:
            others.append(f"home {user.home}")
        if user.group != name:
            others.append(f"group {user.group}")
        if not user.shell.endswith(("/nologin", "/false")):
            others.append(f"shell {user.shell}")
        if others:
            needed = f"a system user with id below 1000, home {wanted.home}, group {name} and no login shell"
            yield Finding(f"User {name}", ", ".join(others), needed, fix)
    if host.group_id is not None and not 0 < host.group_id < 1000:
        yield Finding(f"Group {name}", f"group id {host.group_id}", "a system group with an id below 1000", fix)


def client_findings(host: Host, wanted: Wanted) -> Iterator[Finding]:
    """Yield the users who are to get a cloud and are not there; ours is made before that."""
    for setting, names in wanted.clients.items():
        missing = [name for name in names if name not in host.clients and name != wanted.user]
        if missing:
            found = ", ".join(f"'{name}'" for name in missing)
            yield Finding(
                setting, found, "names of users of this host alone", "Create them, or take them off the list."
            )


def follows_root(name: str, host: Host, wanted: Wanted) -> bool:
    """Return whether a folder only moves along with the root of the data."""
    before, after = host.former.get(DATA, ""), wanted.settings.get(DATA, "")
    place = posixpath.relpath(host.former[name], before or "/")
    return name != DATA and before != after and place == posixpath.relpath(wanted.settings[name], after or "/")


def change_findings(host: Host, wanted: Wanted) -> Iterator[Finding]:
    """Yield the settings that can't change any more, or not now."""
    changed = {
        name: (host.former[name], value)
        for name, value in wanted.settings.items()
        if value and host.former.get(name, "") not in ("", value)
    }
    for name, (before, after) in changed.items():
        if name in FOLDERS and before in host.filled and not follows_root(name, host, wanted):
            fix = "Nothing moves it: set the former path again. To have it on another disk, mount that there."
            yield Finding(name, after, f"{before}, because this deployment has data there", fix)
        elif name in KEPT and host.has_database:
            fix = f"{KEPT[name]}: set it again. Another one takes a new deployment, after hotstack.os.clean."
            yield Finding(name, after, f"{before}, which this deployment was made with", fix)
        elif name == CONTAINERS and host.deployed:
            fix = "Stop them with `systemctl stop hotstack-os.target` and run again; guests run on."
            yield Finding(name, after, f"{before} while containers run in it", fix)


def errors(host: Host, wanted: Wanted) -> list[Finding]:
    """Return every condition that a deployment needs and the host doesn't meet."""
    found = [
        *system_findings(host, wanted),
        *room_findings(host, wanted),
        *place_findings(host, wanted),
        *network_findings(host, wanted),
        *port_findings(host, wanted),
        *name_findings(host),
        *service_findings(host),
        *account_findings(host, wanted),
        *client_findings(host, wanted),
        *change_findings(host, wanted),
    ]
    if host.ca_bundle:
        what = "no such file" if host.ca_bundle == "missing" else "no certificate in it"
        fix = "Put the certificates there, or correct hotstack_os_ca_bundle."
        found.append(Finding(f"CA bundle {wanted.ca_bundle}", what, "a file of PEM certificates", fix))
    return found


def warnings(host: Host, wanted: Wanted) -> list[str]:
    """Return what a deployment can do with, but not well."""
    found = []
    for text in wanted.networks:
        network = IPv4Network(text)
        for route in host.routes:
            other = IPv4Network(route.network, strict=False)
            if not route.direct and other.prefixlen < network.prefixlen and other.overlaps(network):
                found.append(
                    f"Hosts in {text} behind {route.interface} (route to {other}) will no longer be reached from here; "
                    "choose another network if you need them."
                )
    if host.name and (host.name_addresses is None or host.full_name_addresses is None):
        found.append(
            f"The host name {host.full_name or host.name} can't be resolved, or not soon; "
            "put the full and the short name into /etc/hosts."
        )
    if host.kvm_fault:
        found.append(
            f"KVM can't be used, so guests are emulated and slow: {host.kvm_fault}. "
            "To change that, switch on virtualization in the firmware or for the virtual machine that this host is."
        )
    return found


def report(findings: Iterable[Finding]) -> str:
    """Return all errors as one message."""
    lines = [f"- {finding}" for finding in findings]
    return "\n".join(["This host is not ready for a deployment; nothing was changed.", *lines])
