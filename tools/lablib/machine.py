# SPDX-License-Identifier: Apache-2.0
"""What the outer machine is like, and what follows for the lab: pure decisions over facts that are read once."""

from __future__ import annotations

import ipaddress
import os
import resource
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lablib.process import LabError

CAP_SYS_RESOURCE = 24
# In the lab host: crun without the limits that the kernel's cgroup tree can't hold.
INNER_RUNTIME = "/usr/local/libexec/hotstack-lab-runtime"

# Lab hosts are in 10.213.77.0/24, or in the next one that is free.
FIRST_SUBNET = 77

# A program that the lab needs, and the package that has it, by the package manager that installs it.
PROGRAMS: dict[str, dict[str, str]] = {
    "podman": {"apt-get": "podman", "dnf": "podman"},
    "mmdebstrap": {"apt-get": "mmdebstrap", "dnf": "mmdebstrap"},
    "netavark": {"apt-get": "netavark", "dnf": "netavark"},
    "nsenter": {"apt-get": "util-linux", "dnf": "util-linux"},
    "ip": {"apt-get": "iproute2", "dnf": "iproute"},
    "git": {"apt-get": "git", "dnf": "git-core"},
    # netavark before 1.12 makes its rules with it.
    "iptables": {"apt-get": "iptables", "dnf": "iptables-nft"},
}
# The outer runtime where crun can't be it: it raises RLIMIT_MEMLOCK for its device filter.
RUNC = {"runc": {"apt-get": "runc", "dnf": "runc"}}
# podman looks for its helpers there, not on PATH.
HELPER_DIRECTORIES = ("/usr/libexec/podman", "/usr/lib/podman", "/usr/local/libexec/podman", "/usr/local/lib/podman")


@dataclass(frozen=True)
class Machine:
    """The facts about the outer machine that change what the lab does."""

    systemd: bool
    cgroup2: bool
    can_raise_limits: bool
    controllers: tuple[str, ...]
    nofile: int
    nproc: int

    @property
    def needs_namespace(self) -> bool:
        """Podman must see a pure cgroup v2 tree; a hybrid machine gives it one in a mount namespace of its own."""
        return not self.cgroup2


def read_machine() -> Machine:
    """Look at the machine."""
    controllers = Path("/sys/fs/cgroup/cgroup.controllers")
    unified = Path("/sys/fs/cgroup/unified/cgroup.controllers")
    tree = controllers if controllers.exists() else unified
    return Machine(
        systemd=Path("/run/systemd/system").is_dir(),
        cgroup2=controllers.exists(),
        can_raise_limits=has_capability(Path("/proc/self/status").read_text(), CAP_SYS_RESOURCE),
        controllers=tuple(tree.read_text().split()) if tree.exists() else (),
        nofile=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        nproc=resource.getrlimit(resource.RLIMIT_NPROC)[1],
    )


def has_capability(status: str, number: int) -> bool:
    """Tell whether /proc/PID/status shows an effective capability."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def limits(machine: Machine) -> list[str]:
    """Return the lines of containers.conf that keep podman from asking for more than the machine may give."""
    lines = []
    if not machine.can_raise_limits:
        nproc = min(machine.nproc, 32768) if machine.nproc > 0 else 32768
        lines.append(f'default_ulimits = ["nofile={machine.nofile}:{machine.nofile}", "nproc={nproc}:{nproc}"]')
    if "pids" not in machine.controllers:
        lines.append("pids_limit = 0")
    return lines


def outer_containers_conf(machine: Machine, state: Path, runtime_state: Path, *, runc: str | None) -> str:
    """Return containers.conf of the podman that runs lab hosts: nothing is shared with the user's own podman."""
    engine = [
        'events_logger = "file"',
        'lock_type = "file"',
        f'tmp_dir = "{runtime_state}/libpod"',
        f'cgroup_manager = "{"cgroupfs" if machine.needs_namespace or not machine.systemd else "systemd"}"',
    ]
    if not machine.can_raise_limits and runc:
        engine.append('runtime = "runc"')
    network = ['network_backend = "netavark"', f'network_config_dir = "{state}/networks"']
    parts = {"containers": limits(machine), "engine": engine, "network": network}
    return "".join(f"[{name}]\n" + "".join(f"{line}\n" for line in lines) for name, lines in parts.items())


def inner_containers_conf(machine: Machine) -> str:
    """Return what containers.conf in the lab host adds: a container can't have more than the one it is in."""
    lines = ["[containers]", *limits(machine)]
    if not {"memory", "cpu"} <= set(machine.controllers):
        lines += ["[engine]", 'runtime = "hotstack-lab"', 'runtime_supports_json = ["crun", "hotstack-lab"]']
        lines += ["[engine.runtimes]", f'hotstack-lab = ["{INNER_RUNTIME}"]']
    return "".join(f"{line}\n" for line in lines)


def nameservers(resolv_conf: str) -> list[str]:
    """Return the servers that can be asked from another network namespace: all but those on loopback."""
    servers = [line.split()[1] for line in resolv_conf.splitlines() if line.startswith("nameserver ")]
    return [server for server in servers if not server.startswith("127.") and server != "::1"]


def free_subnet(routes: str) -> ipaddress.IPv4Network:
    """Return a network for lab hosts that overlaps none of those in `ip route` (the default route aside)."""
    taken = []
    for word in (line.split()[0] for line in routes.splitlines() if line.split()):
        try:
            taken.append(ipaddress.IPv4Network(word, strict=False))
        except ValueError:
            continue
    for number in range(FIRST_SUBNET, 256):
        wanted = ipaddress.IPv4Network(f"10.213.{number}.0/24")
        if not any(wanted.overlaps(other) for other in taken):
            return wanted
    raise LabError("No free network is left for lab hosts in 10.213.77.0 to 10.213.255.0.")


def proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables of an environment, both spellings as they are."""
    names = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
    return {key: value for key, value in environment.items() if key.lower() in names and value}


def remote_index(pip_settings: str, environment: Mapping[str, str]) -> str:
    """Return the Python index that pip uses here, if it is one that a container can use too; empty for pip's own."""
    found = environment.get("PIP_INDEX_URL", "")
    for line in pip_settings.splitlines():
        key, _, value = line.partition("=")
        if not found and key.strip() == "global.index-url":
            found = value.strip().strip("'\"")
    return found if found.startswith(("http://", "https://")) else ""


def apt_settings(dump: str) -> str:
    """Return the lines of `apt-config dump` that say how packages are reached."""
    wanted = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until", "Acquire::Check-Date")
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith(wanted) and '""' not in line)


def missing_programs(*, manager: str, can_raise_limits: bool) -> list[str]:
    """Return the packages that must be installed first."""
    wanted = PROGRAMS if can_raise_limits else {**PROGRAMS, **RUNC}
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *HELPER_DIRECTORIES])
    packages = {names[manager] for program, names in wanted.items() if not shutil.which(program, path=path)}
    return sorted(packages)


def package_manager() -> str | None:
    """Return the package manager of this machine, if it is one that the lab knows."""
    return next((name for name in ("apt-get", "dnf") if shutil.which(name)), None)


def output(*command: str) -> str:
    """Return what a command prints, or nothing if it fails or isn't there."""
    try:
        return subprocess.run(command, capture_output=True, check=False, text=True).stdout
    except FileNotFoundError:
        return ""
