# SPDX-License-Identifier: Apache-2.0
"""Finds out what `status` must know of a host: all at once, each within a time limit.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import re
import shlex
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from . import apparmor, file_capabilities, kvm, processes, service_units, status_cloud, status_facts
from .container_plan import PREFIX, service_unit, unit_file
from .status_facts import Facts
from .status_host import CLOCK_KEEPERS

Settings = Mapping[str, Any]

# The jobs of the reader that tell which services are not well.
OF_SERVICES = ("units", "containers", "unit_files")
TARGET = "hotstack-os.target"
SESSION_UNIT = f"{PREFIX}libvirtd-session.service"
SETUP = f"/usr/local/libexec/{PREFIX}infra-setup"
HOST_UNITS = (
    TARGET,
    f"{PREFIX}infra-setup.service",
    f"{PREFIX}libvirtd-ready.service",
    f"{PREFIX}libvirtd-capability.path",
    "ovs-vswitchd.service",
    "ovsdb-server.service",
    "apparmor.service",
    *(f"{name}.service" for name in CLOCK_KEEPERS),
)
UNIT_PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts", "ControlGroup"),
    *("ActiveEnterTimestamp", "StateChangeTimestamp", "MemoryCurrent", "UnitFileState"),
)
# adjtimex(2): room for its argument, which is all zero to read, and what it returns for a clock that runs free.
TIMEX, TIME_ERROR = 512, 5
SYSTEM_ID_FILE = "/etc/openvswitch/system-id.conf"
CAPABILITY = "cap_net_admin"
# The secret of the application credential, beside the clouds of root.
APPLICATION_CREDENTIAL = "cloud-secret.yaml"
# The part of the record with further files that clients have, and what is in one as long as it has something of ours.
CLIENT_FILES, OURS = "client_files", ("# BEGIN hotstack.os", "hotstack_cloud_secrets:")
# Files that hold nothing but a secret, below the data directory.
KEY_FILES = ("keystone/fernet-keys", "keystone/credential-keys", "rabbitmq/.erlang.cookie")
# What podman itself says in a unit's journal: the id of a container, and remarks on its own work.
OF_PODMAN = re.compile(r"[0-9a-f]{64}$|time=\"|\s*$")
CELLS = (
    "SELECT 'cell', name, disabled FROM nova_api.cell_mappings UNION ALL SELECT 'host', h.host, c.name"
    " FROM nova_api.host_mappings h JOIN nova_api.cell_mappings c ON c.id = h.cell_id"
)
ZONES = (
    *("busctl", "--json=short", "call", "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1"),
    *("org.fedoraproject.FirewallD1.zone", "getActiveZones"),
)


class ReadError(Exception):
    """Something can't be found out; the text says why."""


def output(*command: str, patience: float, **options: Any) -> str:
    """Return what a command prints; it must succeed in time."""
    done = attempt(*command, patience=patience, **options)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise ReadError(f"`{shlex.join(command[:3])}` failed: {said[0]}")
    return done.stdout


def attempt(*command: str, patience: float, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in English, whatever it returns."""
    options = {"env": {**os.environ, "LC_ALL": "C"}, **options}
    try:
        return subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=patience,
            **options,
        )
    except subprocess.TimeoutExpired:
        raise ReadError(f"`{shlex.join(command[:3])}` did not end within {patience:.0f} s") from None
    except OSError as error:
        raise ReadError(f"`{command[0]}` can't be run: {error.strerror}") from None


def text_of(path: str) -> str:
    """Return the text of a file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


class Jobs:
    """Jobs that are done at the same time, all within one limit.

    Their threads keep no program from ending: one may hang for good, such as in a file system that does not answer.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.end = time.monotonic() + seconds
        self.errors: dict[str, str] = {}
        self.threads: dict[str, threading.Thread] = {}

    def start(self, jobs: Mapping[str, Callable[[], None]]) -> None:
        """Start further jobs; the limit stays."""
        for name, job in jobs.items():
            self.errors[name] = f"there was no answer within {self.seconds:.0f} s"
            self.threads[name] = threading.Thread(target=self.work, args=(name, job), daemon=True)
            self.threads[name].start()

    def work(self, name: str, job: Callable[[], None]) -> None:
        """Do a job."""
        try:
            job()
        except (ReadError, status_cloud.CloudError) as error:
            self.errors[name] = str(error)
        # Half of what is asked may be broken, in any way.
        except Exception as error:
            self.errors[name] = f"{type(error).__name__}: {error}"
        else:
            del self.errors[name]

    def wait(self, names: Collection[str]) -> dict[str, str]:
        """Wait for some; return by name why they have failed or are not done."""
        for name in names:
            self.threads[name].join(max(0.0, self.end - time.monotonic()))
        errors = dict(self.errors)
        return {name: errors[name] for name in names if name in errors}


def together(jobs: Mapping[str, Callable[[], None]], seconds: float) -> dict[str, str]:
    """Do jobs at the same time; return by name why some have failed or are not done."""
    started = Jobs(seconds)
    started.start(jobs)
    return started.wait(jobs)


class Reader:
    """Finds out the facts of this host."""

    def __init__(self, settings: Settings, written: float, patience: float) -> None:
        self.settings = settings
        self.written = written
        self.patience = patience
        self.end = time.monotonic() + patience
        self.facts = Facts()
        self.trial = (0, 0)

    def read(self, suspects: Callable[[Facts], Collection[str]]) -> Facts:
        """Find out all at once; of the services that are suspects, once they can be told, also why."""
        known: dict[str, Callable[[], None]] = {
            "units": self.units,
            "containers": self.containers,
            "unit_files": self.unit_files,
            "setup": self.setup,
            "interfaces": self.interfaces,
            "switch": self.switch,
            "cells": self.cells,
            "agents": self.agents,
            "session": self.session,
            "guests": self.guests,
            "virtualization": self.virtualization,
            "zones": self.zones,
            "tables": self.tables,
            "apparmor": self.apparmor,
            "names": self.names,
            "disks": self.disks,
            "modes": self.modes,
            "clock": self.clock,
        }
        self.trial = kvm.begin(self.setting("user"))
        # The jobs give up by themselves, with a better word, a little earlier.
        jobs = Jobs(self.patience + 0.5)
        jobs.start(known)
        self.facts.errors.update(jobs.wait(OF_SERVICES))
        whys = {f"why {name}": partial(self.explain, name) for name in suspects(self.facts)}
        jobs.start(whys)
        self.facts.errors.update(jobs.wait(known))
        jobs.wait(whys)
        return self.facts

    def left(self) -> float:
        """Return the seconds that are left; what begins late has a moment."""
        return max(0.2, self.end - time.monotonic())

    def output(self, *command: str, **options: Any) -> str:
        """Return what a command prints."""
        return output(*command, patience=self.left(), **options)

    def setting(self, name: str) -> Any:
        """Return a setting of the deployment."""
        return self.settings[f"hotstack_os_{name}"]

    # --- services

    def units(self) -> None:
        """Ask systemd."""
        names = [*HOST_UNITS, *(service_unit(name) for name in self.setting("services"))]
        command = ("systemctl", "show", "--timestamp=unix", f"--property={','.join(UNIT_PROPERTIES)}", "--", *names)
        self.facts.units = status_facts.parse_units(self.output(*command))
        for name in self.setting("services"):
            unit = self.facts.units.get(service_unit(name))
            if unit and unit.active != "inactive":
                self.facts.memory[name] = unit.memory if unit.memory is not None else resident(unit.cgroup)

    def containers(self) -> None:
        """Ask podman, and see where Nova mounts volumes."""
        command = ("podman", "ps", "--all", "--format=json", f"--filter=name=^{PREFIX}")
        self.facts.containers = status_facts.parse_containers(self.output(*command))
        labels = {name: label_of(container.pid) for name, container in self.facts.containers.items()}
        self.facts.confined = frozenset(name for name, label in labels.items() if apparmor.confines(label))
        compute = self.facts.containers.get("nova-compute")
        path = self.setting("volume_mounts_dir")
        for where, pid in (("host", "self"), *((("nova-compute", str(compute.pid)),) if compute else ())):
            if pid != "0":
                found = status_facts.mount_of(text_of(f"/proc/{pid}/mountinfo"), path)
                if found:
                    self.facts.mounts[where] = found

    def unit_files(self) -> None:
        """Read the sources of the units and what they mount."""
        for name in self.setting("services"):
            try:
                found = status_facts.parse_unit_file(text_of(unit_file(name)))
            except FileNotFoundError:
                continue
            folder = os.path.join(self.setting("config_dir"), name)
            changed = [key for key, value in found.config.items() if digest_of(os.path.join(folder, key)) != value]
            self.facts.unit_files[name] = status_facts.UnitFile(
                found.digest,
                found.intact,
                found.config,
                tuple(os.path.join(folder, key) for key in sorted(changed)),
                found.profile,
            )
        folder = self.setting("stamps_dir")
        self.facts.stamps = frozenset(os.listdir(folder)) if os.path.isdir(folder) else frozenset()

    # --- host and network

    def setup(self) -> None:
        """Ask the program that sets the network up at boot."""
        self.facts.setup = self.output(SETUP, "check").splitlines()

    def interfaces(self) -> None:
        """Ask the kernel."""
        self.facts.interfaces = status_facts.parse_interfaces(self.output("ip", "-json", "address"))

    def switch(self) -> None:
        """Ask Open vSwitch, and the database of OVN that it names."""
        ask = ("ovs-vsctl", f"--timeout={max(1, int(self.patience))}")
        bridges = self.output(*ask, "list-br").split()
        listed = self.output(*ask, "--format=json", "--columns=external_ids", "list", "Open_vSwitch")
        ids = status_facts.parse_ids(listed)
        try:
            next_id = text_of(SYSTEM_ID_FILE).strip()
        except FileNotFoundError:
            next_id = None
        self.facts.switch = status_facts.Switch(tuple(bridges), ids, next_id)
        try:
            answer = status_cloud.ask_ovsdb(ids.get("ovn-remote", ""), self.left())
            self.facts.chassis = status_facts.parse_chassis(answer)
        except (status_cloud.CloudError, ValueError) as error:
            self.facts.errors["chassis"] = str(error)

    def zones(self) -> None:
        """Ask firewalld, if it runs."""
        if attempt("systemctl", "is-active", "--quiet", "firewalld", patience=self.left()).returncode == 0:
            self.facts.zones = status_facts.parse_zones(self.output(*ZONES))

    def tables(self) -> None:
        """Ask nftables."""
        self.facts.tables = self.output("nft", "list", "tables").splitlines()

    def apparmor(self) -> None:
        """Ask the kernel about the profile of the containers."""
        enabled = apparmor.enabled()
        mode = apparmor.loaded().get(apparmor.PROFILE, "") if enabled else ""
        file = os.path.isfile(apparmor.FILE)
        self.facts.apparmor = status_facts.AppArmor(enabled, file, mode, tuple(apparmor.overrides()))

    def names(self) -> None:
        """Resolve a public name, and see whether the APIs can be reached."""
        name = self.public_name()
        address = self.setting("provider_address")
        port = self.setting("services")["haproxy"]["port"]
        patience = min(self.patience, 2.0)
        asked: dict[str, Callable[[], None]] = {
            "dns": lambda: self.facts.names.update(dns=status_cloud.resolve(address, name, patience)),
            "hosts": lambda: self.facts.names.update(hosts=socket.gethostbyname(name)),
            "public": lambda: self.facts.entries.update(public=status_cloud.speaks(address, port, patience)),
            "direct": lambda: self.facts.entries.update(
                direct=status_cloud.speaks(self.setting("addresses")["haproxy"], port, patience)
            ),
        }
        for where, error in together(asked, self.patience).items():
            self.facts.names[where] = error

    def public_name(self) -> str:
        """Return the public name of Keystone."""
        return f"{self.setting('services')['keystone']['public']}.{self.setting('domain')}"

    # --- ties

    def cells(self) -> None:
        """Ask the database about Nova's cells."""
        command = (
            "podman",
            "exec",
            f"{PREFIX}mariadb",
            "mariadb",
            "--batch",
            "--skip-column-names",
            "--execute",
            CELLS,
        )
        self.facts.cells = status_facts.parse_cells(self.output(*command))

    def agents(self) -> None:
        """Ask the APIs about their workers."""
        with open(self.setting("credentials_file"), encoding="utf-8") as file:
            password = json.load(file)["admin_password"]
        session = status_cloud.Session(self.setting("auth_url"), password, self.left())
        session.patience = self.left()

        def ask(kind: str) -> Callable[[], None]:
            return lambda: self.facts.agents.update({kind: session.agents(kind)})

        failed = together({kind: ask(kind) for kind in status_cloud.WORKERS}, self.left() + 0.2)
        self.facts.errors.update({f"agents of {kind}": error for kind, error in failed.items()})

    def session(self) -> None:
        """Look at the daemon of the session libvirt."""
        user = pwd.getpwnam(self.setting("user"))
        shown = service_units.Manager(user).command(
            "show", "--property=ActiveState,MainPID,ExecStart", "--", SESSION_UNIT
        )
        if shown.returncode:
            raise ReadError(f"the service manager of {user.pw_name} does not answer: {shown.stderr.strip()}")
        values = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
        found = re.search(r"path=(\S+) ;", values.get("ExecStart", ""))
        if not found:
            raise ReadError(f"{user.pw_name} has no unit {SESSION_UNIT}")
        bits = file_capabilities.mask([CAPABILITY])
        pid = int(values.get("MainPID") or 0)
        self.facts.session = status_facts.Session(
            active=values.get("ActiveState", "inactive"),
            program=found[1],
            file_problem=file_problem(found[1], bits),
            process_problem=(processes.outdated(pid, found[1], bits) or "") if pid else "",
        )

    def guests(self) -> None:
        """Ask the session libvirt."""
        socket_ = f"/run/user/{pwd.getpwnam(self.setting('user')).pw_uid}/libvirt/libvirt-sock"
        command = ("virsh", "--quiet", f"--connect=qemu:///session?socket={socket_}", "domstats", "--state")
        self.facts.guests = status_facts.parse_domains(self.output(*command))

    def virtualization(self) -> None:
        """Look at how Nova runs guests, and at what the trial of KVM found."""
        fault = kvm.finish(*self.trial)
        path = os.path.join(self.setting("config_dir"), "nova-compute", "nova.conf")
        found = re.search(r"^virt_type = (\w+)$", text_of(path), re.MULTILINE)
        if not found:
            raise ReadError(f"{path} has no virt_type")
        self.facts.virtualization = status_facts.Virtualization(found[1], fault)

    # --- files and time

    def disks(self) -> None:
        """Look at the room on file systems."""
        names = ("data_dir", "instances_dir", "volume_mounts_dir", "volumes_dir", "build_cache_dir")
        paths = [*map(self.setting, names), self.settings["image_cache"], "/var/lib/containers", "/var/log", "/"]
        for path in dict.fromkeys(paths):
            if os.path.isdir(path):
                room = os.statvfs(path)
                self.facts.disks.append(
                    status_facts.Disk(
                        path=path,
                        device=os.stat(path).st_dev,
                        free=room.f_bavail * room.f_frsize,
                        total=room.f_blocks * room.f_frsize,
                        free_inodes=room.f_favail,
                        inodes=room.f_files,
                    )
                )

    def modes(self) -> None:
        """Look at what holds secrets."""
        config = self.setting("config_dir")
        clouds = self.settings["clouds_file"]
        paths = [
            self.setting("credentials_file"),
            clouds,
            os.path.join(os.path.dirname(clouds), APPLICATION_CREDENTIAL),
        ]
        paths += [self.setting("record_file"), config]
        for folder, _folders, names in os.walk(config):
            paths += [os.path.join(folder, name) for name in names]
        self.facts.modes = [mode_of(path) for path in paths]
        for key in KEY_FILES:
            self.facts.modes += keys_below(os.path.join(self.setting("data_dir"), key))
        named = set(paths)
        for path in client_files(self.setting("record_file")):
            if path not in named and any(mark in text_of(path) for mark in OURS):
                self.facts.modes += keys_below(path)

    def clock(self) -> None:
        """Ask the kernel."""
        uptime = float(text_of("/proc/uptime").split()[0])
        self.facts.clock = status_facts.Clock(synchronised(), time.time(), uptime, self.written)

    # --- services that are not well

    def explain(self, name: str) -> None:
        """Find out what a service said last, and what its container lacks."""
        command = ("journalctl", f"--unit={service_unit(name)}", f"--identifier={PREFIX}{name}", "--lines=9")
        printed = attempt(*command, "--output=cat", "--no-pager", "--quiet", patience=self.left()).stdout.splitlines()
        said = next((line.strip() for line in reversed(printed) if not OF_PODMAN.match(line)), "")
        health = ""
        shown = attempt("podman", "inspect", "--format={{json .State.Health}}", PREFIX + name, patience=self.left())
        if shown.returncode == 0:
            log = (json.loads(shown.stdout) or {}).get("Log") or []
            health = str(log[-1].get("Output", "")).strip() if log and log[-1].get("ExitCode") else ""
        image = re.search(r"^Image=(\S+)$", text_of(unit_file(name)), re.MULTILINE)
        missing = image and attempt("podman", "image", "exists", image[1], patience=self.left()).returncode == 1
        self.facts.why[name] = status_facts.Why(said[:300], health[:300], bool(missing))


def label_of(pid: int) -> str:
    """Return the label that a security module gives a process, empty if it has none or is gone."""
    try:
        return text_of(f"/proc/{pid}/attr/current")
    except OSError:
        return ""


def resident(cgroup: str, root: str = "/sys/fs/cgroup", proc: str = "/proc") -> int:
    """Return the memory of the processes of a control group, where nothing counts it for the group as a whole."""
    pages = 0
    for folder, _folders, names in os.walk(root + cgroup) if cgroup else ():
        if "cgroup.procs" in names:
            for pid in text_of(os.path.join(folder, "cgroup.procs")).split():
                try:
                    pages += int(text_of(f"{proc}/{pid}/statm").split()[1])
                except (OSError, IndexError):
                    continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def synchronised() -> bool:
    """Return whether the kernel's clock is synchronised, as timedatectl finds it out too."""
    answer: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX))
    return answer not in (-1, TIME_ERROR)


def digest_of(path: str) -> str:
    """Return the digest of a file that a container mounts, empty if it can't be read."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            return status_facts.config_digest(mode, file.read())
    except (OSError, UnicodeDecodeError):
        return ""


def file_problem(path: str, bits: int) -> str:
    """Return why a program would not have the capability, empty if it would."""
    try:
        with file_capabilities.opened(path) as descriptor:
            there = file_capabilities.read(descriptor)
    except file_capabilities.CapabilityError as error:
        return str(error).rstrip(".")
    return "" if there.permitted & bits == bits and there.effective else f"{path} lacks the capability {CAPABILITY}"


def mode_of(path: str, wanted: str = "root") -> status_facts.FileMode:
    """Return who may read a file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return status_facts.FileMode(path, None)
    return status_facts.FileMode(path, stat.S_IMODE(status.st_mode), name_of(status.st_uid), wanted)


def name_of(uid: int) -> str:
    """Return the name of a user, or its number: users of images have no name on the host."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def keys_below(path: str) -> list[status_facts.FileMode]:
    """Return who may read a service's key, or its folder of keys; the folder says which user the service has."""
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    if not os.path.exists(path):
        return []
    owner = name_of(os.stat(folder).st_uid)
    names = sorted(os.listdir(path)) if folder == path else []
    return [mode_of(each, owner) for each in (path, *(os.path.join(path, name) for name in names))]


def client_files(record_file: str) -> list[str]:
    """Return the files of clients that are there, outside of where root's lie by default: in homes above all."""
    try:
        recorded = json.loads(text_of(record_file)).get(CLIENT_FILES, {})
    except (OSError, ValueError, AttributeError):
        return []
    return sorted(path for path in recorded if os.path.isfile(path))
