# SPDX-License-Identifier: Apache-2.0
"""What to remove from a host and what to put back: a decision about what was found and recorded, without a host."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import clouds, ovs_bridges, ovs_external_ids

Record = Mapping[str, Mapping[str, Any]]

# The sections of the record; ovs_external_ids has its own.
PATHS, USERS, LINGERING, UNITS = "paths", "users", "lingering", "units"
SETTINGS, TABLES, OTHER_CONFIG = "kernel_settings", "nft_tables", "ovs_other_config"
BRIDGES, IMAGES, PACKAGES, PACKAGES_BEFORE = "ovs_bridges", "images", "packages", "packages_before"
EXTERNAL_IDS, CAPABILITIES = "ovs_external_ids", "capabilities"

TARGET = "hotstack-os.target"
SESSION_UNIT = "hotstack-os-libvirtd-session.service"
TABLE = "inet hotstack_os"
# Podman's own table, in which each network has its chains; the table itself stays when the last network is gone.
PODMAN_TABLE = "inet netavark"
CAPABILITY = "cap_net_admin"
DAEMONS = ("/usr/sbin/libvirtd", "/usr/sbin/virtqemud")
FORWARDING = "net.ipv4.ip_forward"
TRUSTED = "trusted"
# Names of guests are Nova's setting instance_name_template.
GUEST = "notapet-"
COMMENT = "hotstack.os guests"
HOSTS = "/etc/hosts"
HOSTS_MARKS = ("# BEGIN hotstack.os", "# END hotstack.os")
CLOUDS = "/etc/openstack/clouds.yaml"
CLIENT = "/usr/local/bin/openstack"
OPENSTACK_DIRECTORY = ".config/openstack"

# What a deployment has in system folders; a star stands for anything but a slash.
SYSTEM_FILES = (
    "/etc/containers/systemd/hotstack-os-*",
    "/etc/systemd/system/hotstack-os*",
    "/etc/systemd/system/*.wants/hotstack-os*",
    "/etc/hotstack-os",
    "/etc/firewalld/zones/hotstack-os.xml",
    "/etc/firewalld/zones/hotstack-external.xml",
    "/etc/firewalld/policies/hotstack-os-out.xml",
    "/etc/NetworkManager/conf.d/90-hotstack-os.conf",
    "/etc/openstack/cloud-secret.yaml",
    "/usr/local/libexec/hotstack-os-infra-setup",
    "/usr/local/libexec/hotstack-os/command",
    "/usr/local/libexec/hotstack-os/lib",
    "/run/hotstack-os-*.cid",
    "/usr/local/sbin/hotstack-os",
    CLIENT,
)
# What is ours only with this text in it: somebody else may have a file of that name.
MARKS = {
    CLIENT: "# Made by hotstack.os",
    "/etc/firewalld/zones/hotstack-os.xml": "SPDX-License-Identifier: Apache-2.0",
    "/etc/firewalld/zones/hotstack-external.xml": "SPDX-License-Identifier: Apache-2.0",
    "/etc/firewalld/policies/hotstack-os-out.xml": "SPDX-License-Identifier: Apache-2.0",
}
# Folders that a deployment makes where they are missing; they go when nothing is left in them.
SYSTEM_FOLDERS = (
    "/etc/containers/networks",
    "/etc/containers/systemd",
    "/etc/firewalld/policies",
    "/etc/firewalld/zones",
    "/etc/NetworkManager/conf.d",
    "/etc/openstack",
    "/usr/local/libexec/hotstack-os",
    "/usr/local/libexec",
)
# What else is there as long as guests are.
HOST_FILES = ("/usr/local/libexec/hotstack-os", "/run/hotstack-os-infra-setup")
LINGER_FOLDER = "/var/lib/systemd/linger"
# What only a data directory of ours has.
DATA_MARKS = ("credentials.json", "mysql", "runtime")
# In a home that is not ours, only these are.
HOME_FILES = (
    ".config/libvirt/libvirtd.conf",
    ".config/libvirt/virtqemud.conf",
    ".config/libvirt/qemu.conf",
    f".config/libvirt/qemu/{GUEST}*",
    f".config/libvirt/qemu/nvram/{GUEST}*",
    f".cache/libvirt/qemu/log/{GUEST}*",
    f".config/systemd/user/{SESSION_UNIT}",
    f".config/systemd/user/*.wants/{SESSION_UNIT}",
)

# The keys of Open vSwitch that ovn-controller and we set beside those of the section ovs_external_ids.
OWN_OTHER_CONFIG = ("userspace-tso-enable", "vlan-limit")
OVN_OTHER_CONFIG = "ovn-chassis-idx-"


@dataclass(frozen=True)
class Subject:
    """Whose traces to look for: the settings of the deployment."""

    user: str = "hotstack"
    home: str = "/var/lib/hotstack"
    network: str = "hotstack-os"
    subnet: str = "172.31.0.0/25"
    bridges: tuple[str, ...] = ("hot-int", "hot-ex")
    addresses: tuple[str, ...] = ()
    record_file: str = "/var/lib/hotstack-os/runtime/created.json"
    data_dirs: tuple[str, ...] = ("/var/lib/hotstack-os",)  # the first holds the record
    mounts_dir: str = "/var/lib/hotstack-os/nova-mnt"
    build_cache: str = ""
    base_image: str = ""
    everything: bool = False
    images: bool = True
    packages: bool = False

    def patterns(self) -> tuple[str, ...]:
        """Return what names our files."""
        if not self.everything:
            return SYSTEM_FILES
        home = (os.path.join(self.home, name) for name in HOME_FILES)
        return (*SYSTEM_FILES, *HOST_FILES, f"{LINGER_FOLDER}/{self.user}", *home)

    def recorded(self) -> tuple[str, ...]:
        """Return the paths that may be there before a deployment, and change with it."""
        named = (*SYSTEM_FILES, *HOST_FILES, *(os.path.join(self.home, name) for name in HOME_FILES))
        shared = (HOSTS, CLOUDS, self.home, LINGER_FOLDER, *SYSTEM_FOLDERS)
        return tuple(path for path in (*named, *shared, *self.data_dirs) if "*" not in path)

    def folders(self) -> tuple[str, ...]:
        """Return the folders whose entries matter."""
        return (*SYSTEM_FOLDERS, LINGER_FOLDER, self.home, *self.data_dirs) if self.everything else SYSTEM_FOLDERS


@dataclass(frozen=True)
class Unit:
    """One of our units, as systemd has it."""

    active: bool = False
    enabled: bool = False


@dataclass(frozen=True)
class Account:
    """A user and what belongs to it."""

    uid: int = 0
    comment: str = ""
    shell: str = ""
    groups: tuple[str, ...] = ()
    lingers: bool = False
    runs: bool = False  # its service manager does


@dataclass(frozen=True)
class Bridge:
    """A bridge, and the ports that OVN gave it."""

    marked: bool = False
    datapath: str = "system"
    mtu: int | None = None
    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Switch:
    """What Open vSwitch has: all bridges, and the keys of its root."""

    bridges: Mapping[str, Bridge] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)
    other_config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Host:
    """What of ours is on the host."""

    units: Mapping[str, Unit] = field(default_factory=dict)
    containers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # containers of others that use our network or images
    networks: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    base_image: bool = False
    paths: tuple[str, ...] = ()  # what the patterns match, and data
    entries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of the folders that may become empty
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # recorded ones, as they are now
    texts: Mapping[str, str] = field(default_factory=dict)  # files shared with others, with our marks in them
    secrets: tuple[str, ...] = ()  # files in homes that hold the credential
    session: Mapping[int, str] = field(default_factory=dict)  # processes of our session by id: a guest, or empty
    account: Account | None = None
    session_enabled: bool = False
    switch: Switch = field(default_factory=Switch)
    addresses: tuple[str, ...] = ()  # ours, on a bridge of ours
    tables: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()  # firewalld's, in effect, that are ours
    trusted: tuple[str, ...] = ()  # sources that firewalld trusts at the moment
    forwarding: bool = False
    running: tuple[str, ...] = ()  # what else may need forwarding: podman's and libvirt's networks of others
    states: Mapping[str, Unit] = field(default_factory=dict)  # units of the distribution that we may have started
    mounts: Mapping[str, str] = field(default_factory=dict)  # below the data, each with its root in its file system
    capabilities: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()  # installed


@dataclass(frozen=True)
class Removal:
    """One thing to remove or put back."""

    kind: str
    name: str
    detail: str = ""
    data: Any = None

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{KINDS[self.kind]} {self.name}" + (f": {self.detail}" if self.detail else "")


# Every kind, with what a person calls it; `removal_host` has a function for each.
KINDS = {
    "unit": "unit",
    "container": "container",
    "session": "session",
    "guest": "guest",
    "lingering": "lingering of",
    "manager": "service manager of",
    "lines": "our lines in",
    "file": "file",
    "tree": "folder",
    "folder": "empty folder",
    "former": "file",
    "port": "port",
    "bridge": "bridge",
    "former bridge": "bridge",
    "switch key": "Open vSwitch's",
    "address": "address",
    "network": "podman network",
    "image": "image",
    "table": "nftables table",
    "zones": "firewalld's zones",
    "trusted": "firewalld's trusted source",
    "forwarding": "kernel setting",
    "state": "unit",
    "capability": "capability of",
    "mount": "mount",
    "package": "package",
    "user": "user",
    "account": "user",
    "data": "data in",
    "reload": "reload",
}


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are done, and what stays although it looks like ours, with the reason."""

    removals: tuple[Removal, ...] = ()
    kept: tuple[str, ...] = ()


def matches(path: str, pattern: str) -> bool:
    """Tell whether a path is what a pattern names; a star does not reach across folders."""
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(fnmatchcase(part, want) for part, want in zip(parts, wanted))


def matches_any(path: str, patterns: Iterable[str]) -> bool:
    """Tell whether one of the patterns names a path."""
    return any(matches(path, pattern) for pattern in patterns)


def without_block(text: str, begin: str, end: str) -> str:
    """Return a text without the lines from one mark to the other."""
    return re.sub(rf"^[ \t]*{re.escape(begin)}[ \t]*$.*?^[ \t]*{re.escape(end)}[ \t]*$\n?", "", text, flags=re.M | re.S)


def without_clouds(text: str) -> str:
    """Return the text of a clouds.yaml without any part of ours."""
    return re.sub(
        rf"^[ ]*{re.escape(clouds.BEGIN)}(?P<part>[^\n]*)$.*?^[ ]*{re.escape(clouds.END)}(?P=part)$\n?",
        "",
        text,
        flags=re.M | re.S,
    )


def bare(path: str, text: str) -> str:
    """Return what a shared file says without what we add to make room for our lines."""
    lines = text.splitlines()
    if path.endswith("clouds.yaml"):
        lines = [re.sub(r"^clouds:\s*(\{\s*\}|null|~)?", "clouds:", line).rstrip() for line in lines if line != "---"]
        lines = [] if lines == ["clouds:"] else lines
    return "\n".join(lines).strip("\n")


def shared_text(path: str, text: str, former: Mapping[str, Any] | None) -> str | None:
    """Return a shared file's text without our lines, as it was where nothing else changed; None if nothing is left."""
    rest = without_block(text, *HOSTS_MARKS) if path == HOSTS else without_clouds(text)
    if former is not None and bare(path, former.get("content", "")) == bare(path, rest):
        return str(former.get("content", ""))
    return rest if former is not None or bare(path, rest) or path == HOSTS else None


def plan(subject: Subject, host: Host, record: Record) -> Plan:
    """Decide what to remove, in which order, and what to keep."""
    removals = [*services(subject, host), *shared(host, record)]
    kept: list[str] = []
    if subject.everything:
        removals += session(subject, host, record)
        removals += switch(subject, host, record)
    if subject.network in host.networks and not host.others:
        removals.append(Removal("network", subject.network))
    files = list(system_files(subject, host, record))
    removals += files
    if subject.everything:
        removals += network(subject, host, record, files)
        removals += account(subject, host, record)
        removals += capabilities(host, record)
        removals += images(subject, host, record) if subject.images else []
        data = data_of(subject, host, record)
        removals += data.removals
        kept += data.kept
    doomed = {removal.name for removal in removals if removal.kind in ("file", "tree", "data")}
    removals += empty_folders(subject, host, record, doomed)
    removals += reloads(removals)
    if subject.everything:
        removals += states(subject, host, record)
        removals += packages(host, record) if subject.packages else []
        kept += unknown(subject, host, record)
    kept += [f"container {name}, which is not ours, with what it uses of ours" for name in host.others]
    return Plan(tuple(in_order(removals)), tuple(kept))


def in_order(removals: Iterable[Removal]) -> list[Removal]:
    """Return them with the data last: the record is in there, and a run that is cut short needs it again."""
    return sorted(removals, key=lambda removal: removal.kind == "data")


def services(subject: Subject, host: Host) -> Iterator[Removal]:
    """Yield what runs: units that can start others first."""
    for name in sorted(host.units, key=lambda name: (not name.endswith((".path", ".target")), name)):
        unit = host.units[name]
        if unit.active or unit.enabled:
            what = [text for text, holds in (("running", unit.active), ("enabled", unit.enabled)) if holds]
            yield Removal("unit", name, " and ".join(what), data="at once" if subject.everything else "")
    for name in host.containers:
        yield Removal("container", name)


def shared(host: Host, record: Record) -> Iterator[Removal]:
    """Yield the files that have lines of ours, with what they become."""
    for path in sorted(host.texts):
        former = record.get(PATHS, {}).get(path)
        text = shared_text(path, host.texts[path], former)
        if text is None:
            yield Removal("file", path)
        elif text != host.texts[path]:
            yield Removal("lines", path, data={"text": text, "former": former})


def session(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield our guests and the libvirt that they run in; of a user that was there before, only what is ours."""
    ours = not kept_user(subject, host, record)
    guests = {name: pid for pid, name in host.session.items() if name and (ours or name.startswith(GUEST))}
    if host.session or host.session_enabled:
        yield Removal("session", SESSION_UNIT, data=subject.user)
    for name in sorted(guests):
        yield Removal("guest", name, data=guests[name])


def kept_user(subject: Subject, host: Host, record: Record) -> bool:
    """Tell whether the user is somebody else's: it was there before or, without a record, is not as we make it."""
    if subject.user in record.get(USERS, {}):
        return record[USERS][subject.user] is not None
    return host.account is not None and host.account.comment != COMMENT


def switch(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield our bridges, and the keys of Open vSwitch that become what they were."""
    former = record.get(BRIDGES, {})
    for name in subject.bridges:
        if name not in host.switch.bridges:
            continue
        found = host.switch.bridges[name]
        # ovn-controller makes one again that was removed under it, without our mark.
        if found.marked or (name in former and former[name] is None):
            yield Removal("bridge", name)
            continue
        for port in found.ports:
            yield Removal("port", port, f"of bridge {name}", data=name)
        if name == subject.bridges[-1]:
            for address in host.addresses:
                yield Removal("address", address, f"of bridge {name}", data=name)
        before = former.get(name)
        if before and (found.datapath, found.mtu) != (before["datapath"], before["mtu"]):
            yield Removal("former bridge", name, "datapath and MTU as they were", data=before)
    for column, wanted, current in (
        ("external_ids", former_ids(subject, host, record), host.switch.external_ids),
        ("other_config", former_config(subject, host, record), host.switch.other_config),
    ):
        for key, text in sorted(ovs_external_ids.differing(current, wanted).items()):
            back = "removed" if text is None else f"{text} again"
            yield Removal("switch key", f"{column}:{key}", back, data=(column, key, text))


def former_ids(subject: Subject, host: Host, record: Record) -> dict[str, str | None]:
    """Return the keys of external_ids as they were. Without a record those go that only OVN has, if it is our OVN."""
    known = record.get(EXTERNAL_IDS)
    if known is not None:
        return {ovs_bridges.OVN_DATAPATH: None, **known}
    ours = host.switch.external_ids.get("ovn-bridge") == subject.bridges[0]
    return {key: None for key in host.switch.external_ids if key.startswith("ovn-") and ours}


def former_config(subject: Subject, host: Host, record: Record) -> dict[str, str | None]:
    """Return the keys of other_config as they were."""
    known = record.get(OTHER_CONFIG)
    bridges = [host.switch.bridges[name] for name in subject.bridges if name in host.switch.bridges]
    if known is None and not any(bridge.marked for bridge in bridges):
        return {}
    names = [key for key in host.switch.other_config if key.startswith(OVN_OTHER_CONFIG)]
    return {**dict.fromkeys((*OWN_OTHER_CONFIG, *names)), **(known or {})}


def system_files(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield our files; one that was there before becomes what it was."""
    patterns = subject.patterns()
    ours = not kept_user(subject, host, record)
    for path in (*host.paths, *host.secrets):
        if path not in host.secrets and not matches_any(path, patterns):
            continue
        # What goes with its folder, or with the user.
        if any(path.startswith(f"{folder}/") for folder in host.paths if matches_any(folder, patterns)):
            continue
        if path.startswith(LINGER_FOLDER) and (host.account or not ours):
            continue
        if path.startswith(f"{subject.home}/") and ours:
            continue
        former = record.get(PATHS, {}).get(path)
        if former is None:
            yield Removal("file", path)
        elif "content" in former and host.files.get(path) != former:
            yield Removal("former", path, "as it was", data=former)


def network(subject: Subject, host: Host, record: Record, files: Iterable[Removal]) -> Iterator[Removal]:
    """Yield what the kernel and the firewall have of ours."""
    if TABLE in host.tables:
        yield Removal("table", TABLE)
    # Of podman's table nobody knows who needs it as long as there are networks of others.
    if PODMAN_TABLE in host.tables and PODMAN_TABLE in record.get(TABLES, {}) and not host.running:
        yield Removal("table", PODMAN_TABLE)
    if host.zones or any(removal.name.startswith("/etc/firewalld/") for removal in files):
        yield Removal("zones", ", ".join(host.zones) or "on disk", data=subject.subnet)
    elif subject.subnet in host.trusted:
        yield Removal("trusted", subject.subnet)
    if host.forwarding and record.get(SETTINGS, {}).get(FORWARDING) == "0" and not host.running:
        yield Removal("forwarding", FORWARDING, "0 again")


def account(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield the user with all that it has, or what we made of a user that was there before."""
    user = subject.user
    found = host.account
    if not kept_user(subject, host, record):
        if found and found.lingers:
            yield Removal("lingering", user)
        if found and found.runs:
            yield Removal("manager", user, data=found.uid)
        if found:
            yield Removal("user", user)
        known = (
            found
            or subject.user in record.get(USERS, {})
            or f"{subject.home}/.config/systemd/user/{SESSION_UNIT}" in host.paths
        )
        if subject.home in host.paths and known and record.get(PATHS, {}).get(subject.home) is None:
            yield Removal("tree", subject.home)
        return
    former = record.get(USERS, {}).get(user)
    if found is None or former is None:
        return
    if found.lingers and not former.get("lingers"):
        yield Removal("lingering", user)
    home = record.get(PATHS, {}).get(subject.home)
    if home and subject.home in host.paths and not as_before(subject.home, home, host, ()):
        yield Removal("data", subject.home, "as it was", data={"former": home, "record": subject.record_file})
    wanted = (former.get("comment", ""), former.get("shell", ""), tuple(former.get("groups", ())))
    if (found.comment, found.shell, found.groups) != wanted:
        yield Removal("account", user, "comment, shell and groups as they were", data=former)


def images(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield our images, and the one that they were made from if it was not there before."""
    for name in host.images:
        yield Removal("image", name)
    if host.base_image and subject.base_image in record.get(IMAGES, {}):
        yield Removal("image", subject.base_image)


def is_ours(subject: Subject, path: str, root: str) -> bool:
    """Tell whether a mount is one of Nova's volumes, or the folder of these mounted onto itself to be shared."""
    return path.startswith(subject.mounts_dir + "/") or (
        path == subject.mounts_dir and root != "/" and path.endswith(root)
    )


def data_of(subject: Subject, host: Host, record: Record) -> Plan:
    """Return the data to remove, and before it mounts of ours; mounts of others stay with what is in them."""
    top = subject.data_dirs[0]
    inner = {path: root for path, root in host.mounts.items() if path != top}
    ours = [path for path, root in inner.items() if is_ours(subject, path, root)]
    others = sorted(set(inner) - set(ours))
    removals = [Removal("mount", path) for path in sorted(ours, reverse=True)]
    kept = [f"{path}, a mount that somebody else made, with what is in it" for path in others]
    # The first comes last: the record is in there.
    for path in (*subject.data_dirs[1:], top):
        inside = path != top and path.startswith(top + "/")
        if path not in host.paths or path in others or inside:
            continue
        if path in record.get(PATHS, {}):
            former = record[PATHS][path]
            if not as_before(path, former, host, others):
                data = {"former": former, "record": subject.record_file}
                removals.append(Removal("data", path, "as it was" if former else "", data=data))
        elif path == top and set(DATA_MARKS) & set(host.entries.get(path, ())):
            removals.append(Removal("data", path, data={"former": None, "record": subject.record_file}))
        elif path != top and host.entries.get(path):
            kept.append(f"{path}, as there is no record of what was in it before")
    return Plan(tuple(removals), tuple(kept))


def as_before(path: str, former: Mapping[str, Any] | None, host: Host, others: Iterable[str]) -> bool:
    """Tell whether a folder of data is as it was, apart from mounts of others in it."""
    inside = {mount[len(path) + 1 :].split("/")[0] for mount in others if mount.startswith(path + "/")}
    left = set(host.entries.get(path, ())) - inside - set((former or {}).get("entries", ()))
    if former is None:
        return bool(inside) and not left
    return not left and access(host.files.get(path, {})) == access(former)


def access(known: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the record says of the owner and the mode of a path."""
    return (known.get("mode"), known.get("uid"), known.get("gid"))


def empty_folders(subject: Subject, host: Host, record: Record, doomed: set[str]) -> Iterator[Removal]:
    """Yield the folders that were made for what is going, and have nothing else in them."""
    gone = set(doomed)
    folders = SYSTEM_FOLDERS if not subject.everything else (*SYSTEM_FOLDERS, LINGER_FOLDER)
    known = record.get(PATHS, {})
    for folder in (*folders, *sorted({os.path.dirname(path) for path in host.secrets})):
        left = {f"{folder}/{name}" for name in host.entries.get(folder, ())} - gone
        if folder == LINGER_FOLDER:
            left.discard(f"{folder}/{subject.user}")
        if folder == "/etc/containers/networks":
            left.discard(f"{folder}/{subject.network}.json")
        ours = known.get(folder, "") is None or (
            folder.endswith(("/hotstack-os", "/openstack")) and folder not in known
        )
        if folder in host.entries and folder not in gone and not left and ours:
            gone.add(folder)
            yield Removal("folder", folder)


def reloads(removals: Iterable[Removal]) -> Iterator[Removal]:
    """Yield who must be told."""
    names = [removal.name for removal in removals if removal.kind in ("file", "former")]
    if any(name.startswith(("/etc/systemd/system/", "/etc/containers/systemd/")) for name in names):
        yield Removal("reload", "systemd")
    if any(name.startswith("/etc/NetworkManager/") for name in names):
        yield Removal("reload", "NetworkManager")


def states(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield units of the distribution that did not run at the first run, where nobody else needs them now."""
    foreign = [name for name, bridge in host.switch.bridges.items() if name not in subject.bridges or not bridge.marked]
    for name, former in sorted(record.get(UNITS, {}).items()):
        now = host.states.get(name)
        if now is None or former is None or foreign:
            continue
        if (now.active and not former["active"]) or (now.enabled and not former["enabled"]):
            yield Removal("state", name, "as it was", data=former)


def capabilities(host: Host, record: Record) -> Iterator[Removal]:
    """Yield the programs of the distribution that got a capability which they did not have."""
    for path, text in sorted(host.capabilities.items()):
        if CAPABILITY in text and CAPABILITY not in record.get(CAPABILITIES, {}).get(path, CAPABILITY):
            yield Removal("capability", path, CAPABILITY)


def packages(host: Host, record: Record) -> Iterator[Removal]:
    """Yield the packages that the first run installed."""
    for name in sorted(set(record.get(PACKAGES, {})) & set(host.packages)):
        yield Removal("package", name)


def unknown(subject: Subject, host: Host, record: Record) -> Iterator[str]:
    """Yield what nobody can tell any more."""
    if kept_user(subject, host, record) and subject.user not in record.get(USERS, {}):
        yield f"user {subject.user}, who is not as a deployment makes it, as there is no record of who made it"
    if subject.build_cache in host.paths and not subject.build_cache.startswith(subject.data_dirs[0] + "/"):
        yield f"{subject.build_cache}, which was put where downloads of builds outlive a deployment"
    if subject.packages and PATHS not in record:
        yield "packages, as there is no record of those that a deployment installed"
    for path, text in sorted(host.capabilities.items()):
        if CAPABILITY in text and path not in record.get(CAPABILITIES, {}):
            yield f"{text} of {path}, as there is no record of who gave it that"
