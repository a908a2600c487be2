# SPDX-License-Identifier: Apache-2.0
"""What `diagnose` collects for who helps, and the first page that tells where to begin.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import apparmor, status_text
from .container_plan import PREFIX, UNIT_DIRECTORY, service_unit
from .status_report import DEPLOYMENT, HOST, NETWORK, Report, causes

Settings = Mapping[str, Any]

FIRST_PAGE = "0-README.txt"
# The collection's; a test compares it with galaxy.yml.
VERSION = "0.1.0"
MIB = 2**20
# What has no secret of the deployment in it, whatever that is: nothing that a service says or is configured with.
SURE = (
    *("firewall/", "host/", "network/", "ovn/", "ovs/", "podman/network", "podman/use.txt"),
    *("systemd/failed.txt", "systemd/jobs.txt", "systemd/units.txt", "versions/"),
)
SILENT = "`hotstack-os status` on the host says why"
# Except for this one: it keeps what was in files before.
UNSURE = ("host/created.json",)
OTHER_UNITS = {
    "switch": ("ovs-vswitchd.service", "ovsdb-server.service"),
    "host": (f"{PREFIX}infra-setup.service", f"{PREFIX}libvirtd-ready.service", f"{PREFIX}libvirtd-capability.service"),
    "firewall": ("firewalld.service", "nftables.service"),
}
# What a deployment relies on where it is: modules of the kernel, files of firmware, units of the distribution.
KERNEL_MODULES = ("openvswitch", "geneve", "8021q", "tun", "vhost_net", "kvm", "kvm_intel", "kvm_amd", "nf_conntrack")
FIRMWARE = ("/usr/share/OVMF", "/usr/share/edk2/ovmf", "/usr/share/qemu/firmware", "/usr/share/seabios")
UNIT_STATE = ("Id", "LoadState", "ActiveState", "UnitFileState", "FragmentPath")
SERVICES = (
    *("NetworkManager.service", "systemd-networkd.service", "systemd-resolved.service", "systemd-oomd.service"),
    *("firewalld.service", "nftables.service", "apparmor.service", "systemd-udevd.service", "systemd-logind.service"),
    *("openvswitch-switch.service", "openvswitch.service", "ovs-vswitchd.service", "ovsdb-server.service"),
    *("libvirtd.service", "virtqemud.service", "virtlogd.service", "docker.service", "podman.socket"),
)
# Lists that the APIs give to the administrator: the service's type in the catalogue, and the path.
LISTS = {
    "compute-services": ("compute", "/os-services"),
    "hypervisors": ("compute", "/os-hypervisors/detail"),
    "servers": ("compute", "/servers/detail?all_tenants=1"),
    "agents": ("network", "/v2.0/agents"),
    "networks": ("network", "/v2.0/networks"),
    "subnets": ("network", "/v2.0/subnets"),
    "ports": ("network", "/v2.0/ports"),
    "routers": ("network", "/v2.0/routers"),
    "volume-services": ("volumev3", "/os-services"),
    "volumes": ("volumev3", "/volumes/detail?all_tenants=1"),
    "images": ("image", "/v2/images"),
    "resource-providers": ("placement", "/resource_providers"),
}


# Follows the reason, at the beginning of the first page.
MASKED_BY_LOOKS = """\
So nobody can tell what is secret, and this was left out: configuration, units, journals and all else that services
say, what libvirt knows of guests, what the APIs list, and what was on the host before. In the rest, what looks like a
secret was replaced. Mend the file and run it again for all of it.

"""


@dataclass(frozen=True)
class Item:
    """Something to collect under a name: what a command prints, or what is in a file. The end of it, if it is long."""

    name: str
    command: tuple[str, ...] = ()
    path: str = ""
    limit: int = 4 * MIB


@dataclass(frozen=True)
class Outcome:
    """How collecting went: the size of what there is, and a remark on what is missing."""

    name: str
    size: int
    remark: str = ""


def shell(name: str, *command: str, limit: int = 4 * MIB) -> Item:
    """Return a command to collect."""
    return Item(name, command=command, limit=limit)


def in_container(name: str, service: str, *command: str) -> Item:
    """Return a command to run in a service's container."""
    return Item(name, command=("podman", "exec", PREFIX + service, *command))


def journal(name: str, *selection: str, limit: int = 4 * MIB) -> Item:
    """Return a part of the journal since the boot."""
    command = ("journalctl", "--boot", "--no-pager", "--quiet", "--output=short-iso-precise", *selection)
    return Item(f"journal/{name}.log", command=command, limit=limit)


def items(settings: Settings, uid: int, files: Iterable[str]) -> list[Item]:
    """Return all that is collected; `files` are those of the configuration."""
    services = list(settings["hotstack_os_services"])
    config = settings["hotstack_os_config_dir"]
    return [
        *host_items(settings),
        *network_items(settings),
        *(Item(f"config/{path[len(config) :].lstrip('/')}", path=path) for path in files),
        *(
            Item(f"units/{PREFIX}{name}.container", path=f"{UNIT_DIRECTORY}/{PREFIX}{name}.container")
            for name in services
        ),
        *unit_items(settings, uid),
        *podman_items(settings),
        *libvirt_items(uid),
        *(journal(name, f"--unit={service_unit(name)}") for name in services),
        *(journal(name, *(f"--unit={unit}" for unit in units)) for name, units in OTHER_UNITS.items()),
        journal("session-libvirt", f"_UID={uid}"),
        journal("kernel", "--dmesg"),
        journal("warnings", "--priority=warning"),
    ]


def sure(found: Iterable[Item]) -> list[Item]:
    """Return those that may be in an archive although nobody can tell what is secret."""
    return [item for item in found if item.name.startswith(SURE) and item.name not in UNSURE]


def silent(report: Report) -> Report:
    """Return the state without the words of services."""
    own = [line.good or line.area in (HOST, NETWORK) for line in report.lines]
    lines = [line if ours else replace(line, cause=SILENT) for line, ours in zip(report.lines, own)]
    return replace(report, lines=lines)


def host_items(settings: Settings) -> list[Item]:
    """Return what is collected of the host itself."""
    data = settings["hotstack_os_data_dir"]
    listing = ("-printf", r"%M %u:%g %s %TY-%Tm-%Td %TH:%TM %p -> %l\n")
    return [
        *machine_items(),
        Item("host/apparmor-profile", path=apparmor.FILE),
        shell("host/data.txt", "find", data, "-xdev", "-maxdepth", "3", *listing),
        shell("host/deployment.txt", "ls", "-lR", "/etc/hotstack-os", "/usr/local/libexec", "/usr/local/sbin"),
        Item("host/deployment.json", path=DEPLOYMENT),
        Item("host/created.json", path=settings["hotstack_os_record_file"]),
    ]


def before() -> list[Item]:
    """Return what is collected of a host that has no deployment: all that one would rely on."""
    return [
        *machine_items(),
        *link_items(),
        shell("systemd/failed.txt", "systemctl", "--failed", "--no-pager"),
        shell("podman/networks.txt", "podman", "network", "ls"),
        shell("podman/info.txt", "podman", "info"),
        journal("kernel", "--dmesg"),
    ]


def machine_items() -> list[Item]:
    """Return what is collected of the machine and its system, whatever is deployed there."""
    return [
        Item("host/os-release", path="/etc/os-release"),
        shell("host/kernel.txt", "uname", "--all"),
        shell("host/uptime.txt", "uptime"),
        shell("host/memory.txt", "free", "--mebi"),
        shell("host/processors.txt", "lscpu"),
        shell("host/processes.txt", "ps", "-eo", "pid,ppid,user:16,stat,rss,etimes,comm", "--sort=-rss"),
        shell("host/disks.txt", "df", "--human-readable", "--print-type"),
        shell("host/inodes.txt", "df", "--inodes"),
        shell("host/mounts.txt", "findmnt", "--output=TARGET,SOURCE,FSTYPE,PROPAGATION,OPTIONS"),
        shell("host/clock.txt", "timedatectl"),
        shell("host/modules.txt", "lsmod"),
        Item("host/apparmor-profiles.txt", path=f"{apparmor.FILE_SYSTEM}/profiles"),
        *(shell(f"host/module-{name}.txt", "modinfo", name) for name in KERNEL_MODULES),
        shell("host/devices.txt", "ls", "-l", "/dev/kvm", "/dev/vhost-net", "/dev/net/tun"),
        shell("host/firmware.txt", "ls", "-lL", *FIRMWARE),
        Item("host/cgroup.controllers", path="/sys/fs/cgroup/cgroup.controllers"),
        shell("host/lsm.txt", "head", "/sys/kernel/security/lsm", "/sys/fs/selinux/enforce"),
        shell("host/services.txt", "systemctl", "show", f"--property={','.join(UNIT_STATE)}", *SERVICES),
        shell("versions/podman.txt", "podman", "version"),
        shell("versions/systemd.txt", "systemctl", "--version"),
        shell("versions/openvswitch.txt", "ovs-vsctl", "--version"),
        shell("versions/libvirt.txt", "virsh", "--version=long"),
        shell("versions/nftables.txt", "nft", "--version"),
        shell("versions/firewalld.txt", "firewall-cmd", "--version"),
        shell("versions/netavark.txt", "podman", "info", "--format={{json .Host.NetworkBackendInfo}}"),
        shell("versions/images.txt", "podman", "images", "--digests"),
    ]


def network_items(settings: Settings) -> list[Item]:
    """Return what is collected of networks and rules."""
    return [
        *link_items(),
        shell("network/setup.txt", f"/usr/local/libexec/{PREFIX}infra-setup", "check"),
        shell("ovs/flows.txt", "ovs-ofctl", "dump-flows", settings["hotstack_os_integration_bridge"]),
        in_container("ovn/north.txt", "ovn-northd", "ovn-nbctl", "--timeout=5", "show"),
        in_container("ovn/south.txt", "ovn-northd", "ovn-sbctl", "--timeout=5", "show"),
        in_container("ovn/chassis.txt", "ovn-northd", "ovn-sbctl", "--timeout=5", "list", "Chassis"),
        in_container("ovn/nat.txt", "ovn-northd", "ovn-nbctl", "--timeout=5", "list", "NAT"),
    ]


def link_items() -> list[Item]:
    """Return what is collected of the host's links, rules and switch, whatever is deployed there."""
    return [
        shell("network/addresses.txt", "ip", "-details", "address"),
        shell("network/routes.txt", "ip", "route", "show", "table", "all"),
        shell("network/routes-ipv6.txt", "ip", "-6", "route", "show", "table", "all"),
        shell("network/policies.txt", "ip", "rule"),
        shell("network/sockets.txt", "ss", "--numeric", "--tcp", "--udp", "--all", "--processes"),
        shell("network/NetworkManager.txt", "nmcli", "--fields=DEVICE,TYPE,STATE", "device"),
        shell("network/networkd.txt", "networkctl", "--no-pager", "list"),
        Item("network/hosts", path="/etc/hosts"),
        shell("network/resolver.txt", "ls", "-l", "/etc/resolv.conf"),
        Item("network/resolv.conf", path="/etc/resolv.conf"),
        shell("firewall/nftables.txt", "nft", "list", "ruleset"),
        shell("firewall/zones.txt", "firewall-cmd", "--list-all-zones"),
        shell("firewall/policies.txt", "firewall-cmd", "--list-all-policies"),
        shell("ovs/show.txt", "ovs-vsctl", "--timeout=5", "show"),
        shell("ovs/switch.txt", "ovs-vsctl", "--timeout=5", "list", "Open_vSwitch"),
        shell("ovs/interfaces.txt", "ovs-vsctl", "--timeout=5", "list", "Interface"),
        shell("ovs/datapath.txt", "ovs-appctl", "dpif/show"),
        Item("ovs/system-id.conf", path="/etc/openvswitch/system-id.conf"),
    ]


def unit_items(settings: Settings, uid: int) -> list[Item]:
    """Return what is collected of systemd."""
    pattern, user = f"{PREFIX.rstrip('-')}*", settings["hotstack_os_user"]
    session = f"{PREFIX}libvirtd-session.service"
    return [
        shell("systemd/units.txt", "systemctl", "list-units", "--all", "--full", "--no-pager", pattern),
        shell("systemd/files.txt", "systemctl", "cat", "--no-pager", pattern),
        shell("systemd/properties.txt", "systemctl", "show", "--no-pager", pattern),
        shell("systemd/failed.txt", "systemctl", "--failed", "--no-pager"),
        shell("systemd/jobs.txt", "systemctl", "list-jobs", "--no-pager"),
        shell("systemd/boot.txt", "systemd-analyze", "critical-chain", "--no-pager", f"{PREFIX.rstrip('-')}.target"),
        shell("systemd/session.txt", "systemctl", f"--machine={user}@", "--user", "show", "--no-pager", session),
        shell("systemd/user.txt", "systemctl", "status", "--no-pager", "--lines=20", f"user@{uid}.service"),
    ]


def podman_items(settings: Settings) -> list[Item]:
    """Return what is collected of containers."""
    names = [PREFIX + name for name, line in settings["hotstack_os_services"].items() if not line.get("one_shot")]
    return [
        shell("podman/containers.txt", "podman", "ps", "--all", "--no-trunc"),
        # What is missing it says on standard error, and prints the others all the same.
        shell("podman/inspect.json", "podman", "inspect", "--type=container", *names),
        shell("podman/networks.txt", "podman", "network", "ls"),
        shell("podman/network.json", "podman", "network", "inspect", settings["hotstack_os_network_name"]),
        shell("podman/use.txt", "podman", "stats", "--no-stream", "--all"),
        shell("podman/info.txt", "podman", "info"),
        in_container("services/queues.txt", "rabbitmq", "rabbitmqctl", "list_queues", "name", "messages", "consumers"),
        in_container("services/cells.txt", "mariadb", "mariadb", "--table", "--execute", CELLS),
        in_container("services/tables.txt", "mariadb", "mariadb", "--table", "--execute", SIZES),
    ]


# Without the columns that hold URLs.
CELLS = (
    "SELECT id, uuid, name, disabled FROM nova_api.cell_mappings; SELECT * FROM nova_api.host_mappings;"
    " SELECT host, `binary`, disabled, last_seen_up, report_count FROM nova.services"
)
SIZES = (
    "SELECT table_schema, COUNT(*) AS tables_, SUM(data_length + index_length) AS bytes"
    " FROM information_schema.tables GROUP BY table_schema"
)


def libvirt_items(uid: int) -> list[Item]:
    """Return what is collected of the session libvirt."""
    connect = f"--connect=qemu:///session?socket=/run/user/{uid}/libvirt/libvirt-sock"
    return [
        # Libvirt's and QEMU's, wherever a distribution has that.
        shell("versions/qemu.txt", "virsh", connect, "version"),
        shell("libvirt/guests.txt", "virsh", connect, "list", "--all"),
        shell("libvirt/node.txt", "virsh", connect, "nodeinfo"),
        shell("libvirt/capabilities.xml", "virsh", connect, "capabilities"),
        shell("libvirt/memory.txt", "virsh", connect, "nodememstats"),
        shell("libvirt/statistics.txt", "virsh", connect, "domstats"),
    ]


def member(name: str) -> str:
    """Return a name that is safe inside an archive."""
    parts = [re.sub(r"[^\w.@+-]", "_", part) for part in name.split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "_"


def first_page(
    settings: Settings,
    report: Report,
    outcomes: Sequence[Outcome],
    last_words: Mapping[str, str],
    now: float,
) -> str:
    """Return where to begin: the most probable causes, and what could not be collected."""
    services = settings["hotstack_os_services"]
    behind = causes(report, services)
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    lines = [
        f"OpenStack {settings['hotstack_os_release']} on {settings['hotstack_os_host_name']}, {when}",
        f"by hotstack.os {VERSION}",
        "",
        "PROBABLE CAUSES, the most probable one first",
        "",
    ]
    if not behind:
        lines += ["All that `hotstack-os status` looks at is well.", ""]
    for number, (line, followers) in enumerate(behind, 1):
        lines.append(f"{number}. {line.name} ({line.seen}): {line.cause}.")
        if followers:
            lines.append(f"   It is why these are not well: {', '.join(followers)}.")
        needed = sorted(name for name in services if line.name in needs(services, name))
        if needed:
            lines.append(f"   These need it: {', '.join(needed)}.")
        lines.append(f"   Next: {line.command}")
        if line.name in last_words:
            lines += ["   It said last:", *(f"   | {said}" for said in last_words[line.name].splitlines())]
        lines.append("")
    lines += [*inventory(outcomes), "Secrets were replaced by their names between asterisks.", ""]
    lines += ["THE STATE", "", *status_text.people(report, services, now)]
    return "\n".join(lines) + "\n"


def first_page_before(name: str, problems: Sequence[str], outcomes: Sequence[Outcome], now: float) -> str:
    """Return the first page of a host that has no deployment: what one would refuse, and what is missing."""
    lines = [
        f"{name} has no deployment, {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(now))}",
        f"by hotstack.os {VERSION}",
        "",
        "WHAT A DEPLOYMENT WOULD REFUSE",
        "",
        *(problems or ["Nothing that was looked at."]),
        "",
        *inventory(outcomes),
        "What looks like a secret was replaced.",
    ]
    return "\n".join(lines) + "\n"


def inventory(outcomes: Sequence[Outcome]) -> list[str]:
    """Return what is missing in an archive, or cut, and what is in it."""
    missing = [outcome for outcome in outcomes if outcome.remark]
    width = max((len(outcome.name) for outcome in missing), default=0)
    return [
        "WHAT IS MISSING OR CUT",
        "",
        *([f"{outcome.name.ljust(width)}  {outcome.remark}" for outcome in missing] or ["Nothing."]),
        "",
        "WHAT IS HERE",
        "",
        *contents(outcomes),
        "",
    ]


def needs(services: Mapping[str, Any], name: str) -> set[str]:
    """Return all that a service needs, directly or not."""
    found: set[str] = set()
    for need in services.get(name, {}).get("needs", []):
        found |= {need} | needs(services, need)
    return found


def contents(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a line for each folder of the archive."""
    folders: dict[str, list[int]] = {}
    for outcome in outcomes:
        if outcome.size and "/" in outcome.name:
            folders.setdefault(outcome.name.partition("/")[0], []).append(outcome.size)
    rows = [(f"{name}/", f"{len(sizes)} files", f"{sum(sizes) // 1024} KiB") for name, sizes in sorted(folders.items())]
    return status_text.aligned(rows)
