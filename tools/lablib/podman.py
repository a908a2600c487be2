# SPDX-License-Identifier: Apache-2.0
"""The lab's own podman: its storage, configuration and network are apart from the user's."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from lablib import machine as outer
from lablib import process
from lablib.paths import Paths
from lablib.process import LabError

HOLDER = "hotstack-lab-namespace"
HOLD = "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec -a {name} sleep infinity"


class Podman:
    """Runs podman for the lab, in the lab's mount namespace if the machine needs one."""

    def __init__(self, paths: Paths, machine: outer.Machine) -> None:
        self.paths = paths
        self.machine = machine
        self.env = {
            **os.environ,
            "CONTAINERS_CONF": str(paths.state / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(paths.state / "storage.conf"),
        }

    def configure(self) -> None:
        """Write the configuration, and start the holder of the namespace; one tools/lab at a time."""
        self.paths.state.mkdir(parents=True, exist_ok=True)
        with (self.paths.state / "configure.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.write_configuration()
            if self.machine.needs_namespace and self.holder() is None:
                self.start_holder()

    def write_configuration(self) -> None:
        """Write what podman reads."""
        state, runtime = self.paths.state, self.paths.runtime
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        seen = runtime / "boot_id"
        if seen.exists() and seen.read_text() != boot and self.holder() is None:
            # Not every machine empties /run when it boots, and podman would believe what it finds there.
            shutil.rmtree(runtime)
        for directory in (state / "networks", self.paths.logs, self.paths.cache, runtime):
            directory.mkdir(parents=True, exist_ok=True)
        state.chmod(0o711)
        write(seen, boot)
        conf = outer.outer_containers_conf(self.machine, state, runtime, runc=shutil.which("runc"))
        write(state / "containers.conf", conf)
        write(state / "storage.conf", storage_conf(self.paths, os.environ.get("HOTSTACK_LAB_IMAGES", "")))
        if self.paths.network is None:
            made = network(outer.free_subnet(outer.output("ip", "-4", "route")))
            write(state / "networks" / f"{made['name']}.json", json.dumps(made, indent=2) + "\n")

    def holder(self) -> int | None:
        """Return the process that keeps the mount namespace, if it is still that process."""
        file = self.paths.runtime / "namespace.pid"
        try:
            pid = int(file.read_text())
            name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
        except (OSError, ValueError):
            return None
        return pid if name == HOLDER else None

    def start_holder(self) -> None:
        """Start the process that keeps the mount namespace, and wait until cgroup v2 shows in it."""
        script = HOLD.format(name=HOLDER)
        command = ["unshare", "--mount", "--propagation", "private", "bash", "-c", script]
        closed = subprocess.DEVNULL
        held = subprocess.Popen(command, stdin=closed, stdout=closed, stderr=closed, start_new_session=True, cwd="/")
        write(self.paths.runtime / "namespace.pid", f"{held.pid}\n")
        for _ in range(50):
            if self.holder() is not None:
                return
            time.sleep(0.1)
        raise LabError("No mount namespace with cgroup v2 could be made: root with CAP_SYS_ADMIN is needed.")

    def stop_holder(self) -> None:
        """End the process that keeps the mount namespace: all mounts in it go with it."""
        pid = self.holder()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)

    def enter(self) -> list[str]:
        """Return what must stand before a command to run it where podman runs."""
        if not self.machine.needs_namespace:
            return []
        pid = self.holder()
        if pid is None:
            raise LabError("The lab's mount namespace is gone; tools/lab up makes a new one.")
        return ["nsenter", "--target", str(pid), "--mount", f"--wd={os.getcwd()}"]

    def command(self, *arguments: str) -> list[str]:
        """Return the whole command of a podman call."""
        return [*self.enter(), "podman", *arguments]

    def run(self, *arguments: str, data: bytes | None = None, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run podman to its end."""
        return process.run(self.command(*arguments), env=self.env, data=data, check=check)

    def output(self, *arguments: str) -> str:
        """Return what podman prints; empty if it fails."""
        done = self.run(*arguments, check=False)
        return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""

    def wrapper(self) -> str:
        """Return a script with which other programs (molecule, testinfra) use the lab's podman."""
        lines = ["#!/bin/sh", "# The podman of the lab, made by tools/lab."]
        lines += [f"export {key}={self.env[key]}" for key in ("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF")]
        if self.machine.needs_namespace:
            lines.append(f"read -r pid < {self.paths.runtime}/namespace.pid")
        enter = 'nsenter --target "$pid" --mount --wd=/ ' if self.machine.needs_namespace else ""
        lines.append(f'exec {enter}{shutil.which("podman") or "podman"} "$@"')
        return "\n".join(lines) + "\n"


def storage_conf(paths: Paths, images: str) -> str:
    """Return storage.conf; `images` is the storage of another lab, whose images are used as if they were built here."""
    text = f'[storage]\ndriver = "overlay"\ngraphroot = "{paths.state}/storage"\nrunroot = "{paths.runtime}/storage"\n'
    return text + (f'[storage.options]\nadditionalimagestores = ["{images}"]\n' if images else "")


def network(subnet: ipaddress.IPv4Network) -> dict[str, object]:
    """Return the network that lab hosts are on, in podman's own format; rules on this machine carry its name."""
    name = f"hotstack-lab{subnet.network_address.packed[2] - outer.FIRST_SUBNET}"
    return {
        "name": name,
        "id": name.encode().hex().rjust(64, "0"),
        "driver": "bridge",
        "network_interface": name,
        "created": "2026-01-01T00:00:00Z",
        "subnets": [{"subnet": str(subnet), "gateway": str(subnet[1])}],
        "ipv6_enabled": False,
        "internal": False,
        "dns_enabled": False,
        "ipam_options": {"driver": "host-local"},
    }


def write(path: Path, text: str) -> bool:
    """Write a file if its content differs, and tell whether it did."""
    if path.exists() and path.read_text() == text:
        return False
    # Another tools/lab may read it at this moment.
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)
    return True
