# SPDX-License-Identifier: Apache-2.0
"""Read a host and tell what a deployment would miss on it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Tell whether a host can take a deployment
description:
  - Reads the host and fails with B(all) unmet conditions, each with what was found, what is needed and how to mend it.
  - It changes nothing. What an earlier deployment of this collection uses does not count as taken.
  - Whether KVM works is found out by running a guest of a few instructions.
version_added: 0.1.0
author:
  - The hotstack.os authors (!UNKNOWN)
attributes:
  check_mode:
    description: Can run in check mode and return what it would return otherwise.
    support: full
  diff_mode:
    description: Shows what changes.
    support: none
    details: It changes nothing.
options:
  systems:
    description: The lowest supported version by distribution, as C(ID) and C(VERSION_ID) of os-release name them.
    type: dict
    required: true
  system_names:
    description: How to tell a user which systems are supported.
    type: str
    required: true
  podman_version:
    description: The lowest version of podman, if it is installed.
    type: str
    required: true
  memory_mib:
    description: Memory that must be available before a first deployment.
    type: int
    required: true
  disks:
    description: Space that must be free before a first deployment. Needs on one file system add up.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: A folder that need not exist yet.
        type: path
        required: true
      mib:
        description: What must be free there, in MiB.
        type: int
        required: true
  networks:
    description: IPv4 networks that nobody else may use.
    type: list
    elements: str
    required: true
  own_names:
    description: Interfaces and podman networks that are ours.
    type: list
    elements: str
    required: true
  services:
    description: The map of services, whose ports must be free.
    type: dict
    required: true
  entry_address:
    description: The address at which public services listen.
    type: str
    required: true
  dns_address:
    description: The second address of the DNS server.
    type: str
    required: true
  user:
    description: The system user that is ours.
    type: str
    required: true
  home:
    description: Its home.
    type: path
    required: true
  ca_bundle:
    description: A file of CA certificates that must exist; empty for none.
    type: str
    default: ""
  clients:
    description: The users who get a cloud, and so must exist, as lists by the name of the setting that has them.
    type: dict
    default: {}
  settings:
    description: Settings that can't change after a first deployment, or not while it runs, by their names.
    type: dict
    default: {}
  former_settings:
    description: The file in which the last deployment noted its settings.
    type: path
    default: /etc/hotstack-os/deployment.json
"""

EXAMPLES = r"""
- name: Check the host
  hotstack.os.preflight:
    systems: {debian: "13"}
    system_names: Debian 13 or newer
    podman_version: "5.0"
    memory_mib: 4096
    disks:
      - {path: /var/lib/hotstack-os, mib: 8192}
    networks: [172.31.0.0/25, 172.31.0.128/25]
    own_names: [hotstack-os, hot-ex, hot-int]
    services: "{{ hotstack_os_services }}"
    entry_address: 172.31.0.129
    dns_address: 172.31.0.10
    user: hotstack
    home: /var/lib/hotstack
    settings:
      hotstack_os_data_dir: /var/lib/hotstack-os
"""

RETURN = r"""
problems:
  description: Unmet conditions; the module fails if there is any.
  returned: always
  type: list
  elements: str
kvm:
  description: Whether KVM runs guests.
  returned: always
  type: bool
selinux:
  description: The mode of SELinux, V(enforcing), V(permissive) or V(disabled).
  returned: always
  type: str
deployed:
  description: Whether services of an earlier deployment run.
  returned: always
  type: bool
"""

import contextlib
import dataclasses
import glob
import grp
import json
import os
import pwd
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import apparmor, kvm, preflight, services, status_report

UNITS = [
    "firewalld.service",
    "libvirtd.service",
    "openvswitch-switch.service",
    "openvswitch.service",
    "systemd-logind.service",
    "virtqemud.service",
]

# Tools that must answer if they are installed, and how they are asked without a change to anything.
TOOLS = {
    "libvirtd": ["libvirtd", "--version"],
    "virtqemud": ["virtqemud", "--version"],
}

# The seconds that a program or a name server may take. A busy host needs them; others never wait so long.
PATIENCE = 20.0

PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"


def text_of(path: str) -> str:
    """Return what a file holds, or nothing if it can't be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def answer(arguments: list[str], timeout: float = PATIENCE) -> tuple[str, str]:
    """Run a program and return its output and what went wrong."""
    try:
        done = subprocess.run(
            arguments,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "LC_ALL": "C", "PATH": PATH},
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer to `{' '.join(arguments)}` within {timeout:g} s"
    except OSError as error:
        return "", f"`{arguments[0]}` that can't be run ({error.strerror})"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return done.stdout, f"`{' '.join(arguments)}` failing with: {lines[-1]}"
    return done.stdout, ""


def installed(program: str) -> bool:
    """Return whether the host has a program."""
    return shutil.which(program, path=PATH) is not None


def within(seconds: float, question: Callable[[], list[str]]) -> list[str] | None:
    """Return the answer to a question, or None if there is none in time; nobody waits for a slow name server."""
    answers: list[list[str]] = []

    def ask() -> None:
        with contextlib.suppress(OSError):
            answers.append(question())

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None


def addresses_of(name: str) -> list[str]:
    """Return the IPv4 and IPv6 addresses of a host."""
    return sorted({str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})


def read_names(host: preflight.Host) -> None:
    """Read what the host is called, and how that resolves."""

    def canonical() -> list[str]:
        return [socket.getaddrinfo(host.name, None, flags=socket.AI_CANONNAME)[0][3]]

    host.name = socket.gethostname()
    host.full_name = (within(PATIENCE, canonical) or [""])[0]
    if host.full_name:
        host.name_addresses = within(PATIENCE, lambda: addresses_of(host.name))
        host.full_name_addresses = within(PATIENCE, lambda: addresses_of(host.full_name))


def free_space(path: str) -> preflight.Disk:
    """Return the file system of a folder, or of where it would be made."""
    here = Path(path)
    while not here.exists():
        here = here.parent
    state = os.statvfs(here)
    return preflight.Disk(os.stat(here).st_dev, state.f_bavail * state.f_frsize // 2**20)


def owners(inodes: set[str]) -> dict[str, tuple[str, bool]]:
    """Return by inode of a socket which process has it, and whether that belongs to one of our units."""
    found: dict[str, tuple[str, bool]] = {}
    for link in glob.iglob("/proc/[0-9]*/fd/*") if inodes else ():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in inodes:
            process = link.split("/")[2]
            ours = preflight.OUR_UNITS in text_of(f"/proc/{process}/cgroup")
            known = found.get(target[8:-1])
            if known is None or ours:
                found[target[8:-1]] = (f"{text_of(f'/proc/{process}/comm').strip()} (process {process})", ours)
    return found


def read_listeners(wanted: preflight.Wanted) -> list[preflight.Listener]:
    """Return who listens where a deployment wants to."""
    taken = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        for listener in preflight.parse_listeners(text_of(f"/proc/net/{name}"), name[:3]):
            if preflight.wanted_by(listener, wanted):
                taken.append(listener)
    known = owners({listener.inode for listener in taken})
    return [
        dataclasses.replace(listener, owner=known[listener.inode][0], ours=known[listener.inode][1])
        if listener.inode in known
        else listener
        for listener in taken
    ]


def read_podman_networks(folder: str = "/etc/containers/networks") -> dict[str, list[str]]:
    """Return the subnets of every podman network by its name; the one that is always there has no file at first."""
    found = {"podman": ["10.88.0.0/16"]}
    for path in sorted(Path(folder).glob("*.json")):
        try:
            network = json.loads(path.read_text(encoding="utf-8"))
            found[network["name"]] = [subnet["subnet"] for subnet in network.get("subnets") or []]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def read_former(host: preflight.Host, path: str) -> None:
    """Read what the last run was done with, and which data there is of it."""
    try:
        former = json.loads(text_of(path) or "{}")
    except ValueError:
        return
    host.former = {name: value for name, value in former.items() if isinstance(value, str)}
    folders = [host.former[name] for name in preflight.FOLDERS if name in host.former]
    host.filled = frozenset(folder for folder in folders if os.path.isdir(folder) and os.listdir(folder))
    data = host.former.get(preflight.DATA)
    host.has_database = bool(data) and os.path.isdir(f"{data}/mysql/data")


def misplaced(paths: Iterable[str]) -> dict[str, str]:
    """Return those of these paths that are no folders, and what they are."""
    found = {path: "a link" if os.path.islink(path) else "no folder" for path in paths if os.path.lexists(path)}
    return {path: what for path, what in found.items() if what == "a link" or not os.path.isdir(path)}


def taken(names: Iterable[str], folder: str = "/sys/class/net") -> dict[str, str]:
    """Return which of these names a device of the kernel has that can be none of Open vSwitch's, and what it is."""
    signs = {"bridge": "a Linux bridge", "device": "a device"}
    found = [
        (name, what)
        for name in names
        if name
        for sign, what in signs.items()
        if os.path.exists(f"{folder}/{name}/{sign}")
    ]
    return dict(found)


def read_accounts(host: preflight.Host, name: str) -> None:
    """Read the user and the group of this name."""
    groups = {entry.gr_name: entry.gr_gid for entry in grp.getgrall()}
    names = {gid: group for group, gid in groups.items()}
    host.group_id = groups.get(name)
    with contextlib.suppress(KeyError):
        user = pwd.getpwnam(name)
        group = names.get(user.pw_gid, str(user.pw_gid))
        host.user = preflight.Account(user.pw_uid, group, user.pw_dir, user.pw_shell)


def is_user(name: str) -> bool:
    """Return whether the host has a user of this name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def read_tools(host: preflight.Host) -> None:
    """Read the state of units and programs."""
    if installed("systemctl"):
        shown, _fault = answer(["systemctl", "show", "--property=Id,LoadState,ActiveState,UnitFileState", *UNITS])
        host.units = preflight.parse_units(shown)
    if installed("podman"):
        shown, fault = answer(["podman", "--version"])
        host.podman = shown.split()[-1] if shown.split() else ""
        if fault:
            host.broken_tools["podman"] = fault
    host.apparmor_without_parser = apparmor.enabled() and not installed(apparmor.PARSER)
    tools = {tool: command for tool, command in TOOLS.items() if installed(tool)}
    if installed("ovs-vsctl") and os.path.exists("/run/openvswitch/db.sock"):
        tools["Open vSwitch"] = ["ovs-vsctl", "--timeout=30", "list-br"]
    for tool, command in tools.items():
        _shown, fault = answer(command)
        if fault:
            host.broken_tools[tool] = fault


def read_host(wanted: preflight.Wanted) -> preflight.Host:
    """Read everything that is judged."""
    system = preflight.parse_assignments(text_of("/etc/os-release"))
    host = preflight.Host(
        uid=os.geteuid(),
        init=text_of("/proc/1/comm").strip(),
        os_id=system.get("ID", ""),
        os_version=system.get("VERSION_ID", ""),
        os_name=system.get("PRETTY_NAME", ""),
        unified_cgroups=os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        memory_mib=preflight.parse_available_memory(
            text_of("/proc/meminfo"),
            text_of("/sys/fs/cgroup/memory.max"),
            text_of("/sys/fs/cgroup/memory.current"),
        ),
        disks={path: free_space(path) for path in wanted.disk_mib},
        routes=preflight.parse_routes(text_of("/proc/net/route")),
        podman_networks=read_podman_networks(),
        listeners=read_listeners(wanted),
        kvm_fault=kvm.fault(),
        deployed=bool(glob.glob(f"/sys/fs/cgroup/system.slice/{preflight.OUR_UNITS}*.service")),
    )
    if os.path.exists("/sys/fs/selinux/enforce"):
        host.selinux = "enforcing" if text_of("/sys/fs/selinux/enforce").strip() == "1" else "permissive"
    if wanted.ca_bundle:
        if not os.path.isfile(wanted.ca_bundle):
            host.ca_bundle = "missing"
        elif "-----BEGIN CERTIFICATE-----" not in text_of(wanted.ca_bundle):
            host.ca_bundle = "empty"
    host.misplaced = misplaced(wanted.settings.get(name, "") for name in preflight.FOLDERS)
    host.taken = taken(wanted.settings.get(name, "") for name in preflight.BRIDGES)
    host.clients = frozenset(name for names in wanted.clients.values() for name in names if is_user(name))
    read_former(host, wanted.former_settings)
    read_accounts(host, wanted.user)
    read_names(host)
    read_tools(host)
    return host


def wanted_from(params: dict[str, Any]) -> preflight.Wanted:
    """Return what a deployment with these parameters needs."""
    entry = params["entry_address"]
    ports = services.entry_ports(params["services"])
    listeners = [("tcp", entry, port) for port in ports.values()]
    for address in (entry, params["dns_address"]):
        listeners += [("tcp", address, ports["dnsmasq"]), ("udp", address, ports["dnsmasq"])]
    return preflight.Wanted(
        systems={name: str(version) for name, version in params["systems"].items()},
        system_names=params["system_names"],
        podman=params["podman_version"],
        memory_mib=params["memory_mib"],
        disk_mib={disk["path"]: disk["mib"] for disk in params["disks"]},
        networks=tuple(params["networks"]),
        own_names=frozenset(params["own_names"]),
        listeners=tuple(listeners),
        user=params["user"],
        home=params["home"],
        ca_bundle=params["ca_bundle"],
        settings=params["settings"],
        former_settings=params["former_settings"],
        clients={setting: tuple(map(str, names)) for setting, names in params["clients"].items()},
    )


def run(
    params: dict[str, Any], read: Callable[[preflight.Wanted], preflight.Host] = read_host
) -> tuple[dict[str, Any], list[str]]:
    """Return the result, and what to warn of."""
    wanted = wanted_from(params)
    host = read(wanted)
    found = preflight.errors(host, wanted)
    result: dict[str, Any] = {
        "changed": False,
        "problems": [str(finding) for finding in found],
        "kvm": not host.kvm_fault,
        "selinux": host.selinux,
        "deployed": host.deployed,
    }
    if found:
        result["msg"] = preflight.report(found)
    return result, preflight.warnings(host, wanted)


def main() -> None:
    """Be an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "systems": {"type": "dict", "required": True},
            "system_names": {"type": "str", "required": True},
            "podman_version": {"type": "str", "required": True},
            "memory_mib": {"type": "int", "required": True},
            "disks": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "mib": {"type": "int", "required": True},
                },
            },
            "networks": {"type": "list", "elements": "str", "required": True},
            "own_names": {"type": "list", "elements": "str", "required": True},
            "services": {"type": "dict", "required": True},
            "entry_address": {"type": "str", "required": True},
            "dns_address": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "home": {"type": "path", "required": True},
            "ca_bundle": {"type": "str", "default": ""},
            "clients": {"type": "dict", "default": {}},
            "settings": {"type": "dict", "default": {}},
            "former_settings": {"type": "path", "default": status_report.DEPLOYMENT},
        },
        supports_check_mode=True,
    )
    result, notes = run(module.params)
    for note in notes:
        module.warn(note)
    if result["problems"]:
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
