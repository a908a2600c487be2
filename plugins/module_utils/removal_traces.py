# SPDX-License-Identifier: Apache-2.0
"""What a deployment leaves on a host: its names and places, and the shape of what is found of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import apparmor
from ansible_collections.hotstack.os.plugins.module_utils.status_report import DEPLOYMENT

Record = Mapping[str, Mapping[str, Any]]

# The sections of the record; ovs_external_ids has its own.
PATHS, USERS, GROUPS, LINGERING, UNITS = "paths", "users", "groups", "lingering", "units"
SETTINGS, TABLES, OTHER_CONFIG = "kernel_settings", "nft_tables", "ovs_other_config"
BRIDGES, IMAGES, PACKAGES, PACKAGES_BEFORE = "ovs_bridges", "images", "packages", "packages_before"
EXTERNAL_IDS, CAPABILITIES = "ovs_external_ids", "capabilities"
# Files of clients that were written where nobody would look for them.
CLIENT_FILES = "client_files"

# What the last deployment noted of its settings, and those that say where its data is: the user, then `data_dirs`.
SETTINGS_FILE = DEPLOYMENT
PLACES = (
    "hotstack_os_user",
    "hotstack_os_data_dir",
    "hotstack_os_instances_dir",
    "hotstack_os_volume_mounts_dir",
    "hotstack_os_volumes_dir",
)
# Where the folders of PLACES are by default, below the data directory.
BELOW = ("nova-instances", "nova-mnt", "cinder-nfs")

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
    apparmor.FILE,
    *apparmor.OVERRIDES,
    apparmor.CACHE,
    "/etc/firewalld/zones/hotstack-os.xml",
    "/etc/firewalld/zones/hotstack-external.xml",
    "/etc/firewalld/policies/hotstack-os-out.xml",
    "/etc/NetworkManager/conf.d/90-hotstack-os.conf",  # of an earlier version
    "/etc/NetworkManager/conf.d/zz-hotstack-os.conf",
    "/etc/systemd/network/00-hotstack-os.network",
    "/etc/openstack/cloud-secret.yaml",
    "/usr/local/libexec/hotstack-os-infra-setup",
    "/usr/local/libexec/hotstack-os/command",
    "/usr/local/libexec/hotstack-os/lib",
    "/run/hotstack-os-*.cid",
    "/usr/local/sbin/hotstack-os",
    CLIENT,
)
# Packages that stay while somebody else has such things.
FAMILIES = {
    "bridge": ("openvswitch*", "python3-openvswitch*"),
    "domain": ("libvirt*", "qemu*", "ovmf*", "edk2-*", "seabios*", "ipxe*"),
    "container": (
        *("podman*", "buildah*", "crun*", "runc*", "conmon*", "netavark*", "aardvark-dns*", "containers-common*"),
        *("golang-github-containers-*", "nftables*", "catatonit*", "fuse-overlayfs*", "passt*", "uidmap*"),
    ),
}
# Where libvirt keeps the domains of the system, defined or running.
DOMAINS = ("/etc/libvirt/qemu/*.xml", "/etc/libvirt/lxc/*.xml", "/run/libvirt/qemu/*.xml")
# Where podman keeps the containers of a user.
ROOTLESS = ".local/share/containers/storage/*-containers/containers.json"
# What is ours only with this text in it: somebody else may have a file of that name.
MARKS = {
    CLIENT: "# Made by hotstack.os",
    apparmor.FILE: "# Made by hotstack.os",
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
    "/etc/systemd/network",
    "/etc/openstack",
    "/usr/local/libexec/hotstack-os",
    "/usr/local/libexec",
)
# What the service manager of the user, known by its number, has from us.
MANAGER_DROP_IN = "/etc/systemd/system/user@*.service.d/hotstack-os.conf"
# What else is there as long as guests are.
HOST_FILES = (
    "/usr/local/libexec/hotstack-os",
    "/run/hotstack-os-infra-setup",
    "/root/.cache/hotstack-os/smoke-test",
    MANAGER_DROP_IN,
)
HOST_FOLDERS = ("/root/.cache/hotstack-os", "/root/.cache")
# What `hotstack-os diagnose` collected for helpers, who may still need it.
ARCHIVES = "/var/tmp/hotstack-os-*.tar.gz"
LINGER_FOLDER = "/var/lib/systemd/linger"
# What only a data directory of ours has; builds of images make the last one before anything is deployed.
DATA_MARKS = ("credentials.json", "mysql", "runtime")
DEPLOYMENT_MARKS = ("credentials.json", "mysql")
# What services make in the data directory, and in a folder of guests, of mounts or of volumes: in a folder that was
# there before, only this goes.
DATA_NAMES = (
    *("credentials.json", ".credentials.json.new", "runtime", "mysql", "rabbitmq", "keystone", "glance", "nova"),
    *("neutron", "ovn", "cinder", "heat", *BELOW),
)
UUID = "-".join("[0-9a-f]" * length for length in (8, 4, 4, 4, 12))
FOLDER_NAMES = (
    *(UUID, f"{UUID}_del", f"{UUID}_resize", "_base", "locks", "snapshots", "compute_nodes"),
    *("[0-9a-f]" * 32, f"volume-{UUID}*", ".cinderSecureEnvIndicator"),
)
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
    ".config/systemd/user/-.slice.d/hotstack-os.conf",
)  # What libvirt makes there for itself: ours if it was not there and nobody else defined anything in it.
HOME_TREES = (".config/libvirt", ".cache/libvirt", ".local/share/libvirt")
DEFINITIONS = tuple(f".config/libvirt/{kind}/*.xml" for kind in ("qemu", "qemu/networks", "storage", "secrets"))
# What libvirt has of our guests.
GUESTS = f".config/libvirt/qemu/{GUEST}*.xml"
# Folders that are made for these where they are missing, the inner ones first.
HOME_FOLDERS = (
    ".config/systemd/user/default.target.wants",
    ".config/systemd/user/-.slice.d",
    ".config/systemd/user",
    ".config/systemd",
    ".config",
    ".cache",
    ".local/share",
    ".local",
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
        return (*SYSTEM_FILES, *HOST_FILES, f"{LINGER_FOLDER}/{self.user}", *self.at_home(HOME_FILES + HOME_TREES))

    def recorded(self) -> tuple[str, ...]:
        """Return the paths that may be there before a deployment, and change with it."""
        named = (*SYSTEM_FILES, *HOST_FILES, *self.at_home(HOME_FILES + HOME_TREES + HOME_FOLDERS))
        shared = (HOSTS, CLOUDS, self.home, LINGER_FOLDER, *SYSTEM_FOLDERS, *HOST_FOLDERS)
        return tuple(path for path in (*named, *shared, *self.data_dirs) if "*" not in path)

    def folders(self) -> tuple[str, ...]:
        """Return the folders whose entries matter."""
        if not self.everything:
            return SYSTEM_FOLDERS
        return (*SYSTEM_FOLDERS, LINGER_FOLDER, *HOST_FOLDERS, self.home, *self.at_home(HOME_FOLDERS), *self.data_dirs)

    def at_home(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the paths of these in the user's home."""
        return tuple(os.path.join(self.home, name) for name in names)


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

    node: str = ""  # its name, as `uname -n` prints it
    units: Mapping[str, Unit] = field(default_factory=dict)
    containers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # containers of others that use our network or images
    networks: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    base_image: bool = False
    base_user: str = ""  # a container of others that uses it
    paths: tuple[str, ...] = ()  # what the patterns match, and data
    entries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of the folders that may become empty
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # recorded ones, as they are now
    texts: Mapping[str, str] = field(default_factory=dict)  # files shared with others, with our marks in them
    secrets: tuple[str, ...] = ()  # files in homes that hold the credential
    session: Mapping[int, str] = field(default_factory=dict)  # processes of our session by id: a guest, or empty
    account: Account | None = None
    orphans: tuple[int, ...] = ()  # numbers of users who are gone while our session still runs
    definitions: tuple[str, ...] = ()  # of others, in the user's own libvirt
    session_enabled: bool = False
    switch: Switch = field(default_factory=Switch)
    addresses: tuple[str, ...] = ()  # ours, on a bridge of ours
    tables: tuple[str, ...] = ()
    profile: bool = False  # of AppArmor, loaded
    firewall: bool = False  # firewalld runs
    zones: tuple[str, ...] = ()  # firewalld's, in effect, that are ours
    trusted: tuple[str, ...] = ()  # sources that firewalld trusts at the moment
    forwarding: bool = False
    running: tuple[str, ...] = ()  # what else may need forwarding: podman's and libvirt's networks of others
    states: Mapping[str, Unit] = field(default_factory=dict)  # units of the distribution that we may have started
    mounts: Mapping[str, str] = field(default_factory=dict)  # below the data, each with its root in its file system
    capabilities: Mapping[str, str] = field(default_factory=dict)
    archives: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()  # installed
    foreign: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # domains and containers of others, if asked


def matches(path: str, pattern: str) -> bool:
    """Tell whether a path is what a pattern names; a star does not reach across folders."""
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(fnmatchcase(part, want) for part, want in zip(parts, wanted))


def matches_any(path: str, patterns: Iterable[str]) -> bool:
    """Tell whether one of the patterns names a path."""
    return any(matches(path, pattern) for pattern in patterns)


def drop_in_folders(paths: Iterable[str]) -> set[str]:
    """Return the folders of our drop-ins among these paths. Their names have a number, so no list holds them."""
    return {os.path.dirname(path) for path in paths if matches(path, MANAGER_DROP_IN)}


def above(path: str) -> tuple[str, str]:
    """Return the folder of a file and the one that it is in, which may have been made for it."""
    folder = os.path.dirname(path)
    return folder, os.path.dirname(folder)


def elsewhere(subject: Subject, deployed: Mapping[str, Any]) -> str:
    """Say with which settings a deployment was made whose data these settings would miss; nothing if with these."""
    meant = dict(zip(PLACES, (subject.user, *subject.data_dirs)))
    other = {
        name: value
        for name, value in meant.items()
        if name in deployed and os.path.normpath(str(deployed[name])) != os.path.normpath(value)
    }
    options = " ".join(f"-e {name}={deployed[name]}" for name in other)
    return (
        f"This host was deployed with other settings, and its data would be missed: add {options}, then run this again."
        if other
        else ""
    )


def below(path: str, folders: Iterable[str]) -> bool:
    """Tell whether a path is in one of these folders."""
    return any(os.path.normpath(path).startswith(f"{os.path.normpath(folder)}/") for folder in folders)


def stray(subject: Subject, disks: Mapping[str, Iterable[str]]) -> str:
    """Say which guest has a disk where these settings have no data; nothing if all are in its folders."""
    for guest, paths in sorted(disks.items()):
        for path in paths:
            if not below(path, subject.data_dirs):
                return (
                    f"Guest {guest} has the disk {path}, which is in no folder of these settings, so data would be"
                    f" missed: add those that the deployment had, such as -e {PLACES[1]}=..., then run this again."
                )
    return ""


def cleaning(subject: Subject, node: str) -> str:
    """Return the command that removes everything from the host of this name, with each setting that is not the default.

    The host comes last: a command that was broken into lines on its way is refused.
    """
    usual = (Subject.user, Subject.data_dirs[0], *(f"{subject.data_dirs[0]}/{name}" for name in BELOW))
    meant = zip(PLACES, (subject.user, *subject.data_dirs), usual)
    options = (f"-e {name}={value}" for name, value, default in meant if value != default)
    return " ".join(("ansible-playbook hotstack.os.clean", *options, f"-e clean_host={node}"))
