# SPDX-License-Identifier: Apache-2.0
"""The lab host: starting, entering, rebooting and removing the container."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

from lablib import images, process
from lablib import machine as outer
from lablib.paths import NETWORK, Paths
from lablib.podman import Podman, write
from lablib.process import LabError, Phases, say

CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
BOOTED = ("running", "degraded")


def certificates() -> Path | None:
    """Return the file of CA certificates that this machine trusts."""
    return next((Path(name) for name in CERTIFICATES if Path(name).exists()), None)


def install_missing(phases: Phases) -> None:
    """Install what the lab needs on this machine, and say what."""
    manager = outer.package_manager()
    packages = outer.missing_programs(manager=manager or "apt-get")
    if not packages:
        return
    if manager is None:
        raise LabError(f"This machine lacks {', '.join(packages)}, and neither apt-get nor dnf is there to install it.")
    with phases.phase(f"install on this machine: {' '.join(packages)}"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        if manager == "apt-get":
            process.run(["apt-get", "update"], env=env)
            process.run(["apt-get", "install", "--yes", "--no-install-recommends", *packages], env=env)
        else:
            process.run(["dnf", "install", "--assumeyes", *packages], env=env)


class LabHost:
    """One lab host and what can be done with it."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.machine = outer.read_machine()
        self.podman = Podman(paths, self.machine)
        self.phases = Phases(paths.timings, paths.name)

    def state(self) -> str:
        """Return podman's word for the container's state; empty if there is none."""
        if not (self.paths.state / "containers.conf").exists():
            return ""
        if self.machine.needs_namespace and self.podman.holder() is None:
            return ""
        return self.podman.output("container", "inspect", "--format", "{{.State.Status}}", self.paths.name)

    def up(self) -> None:
        """Make the lab host run, whatever state it is in."""
        install_missing(self.phases)
        self.podman.configure()
        bin_directory = self.paths.state / "bin"
        bin_directory.mkdir(exist_ok=True)
        write(bin_directory / "podman", self.podman.wrapper())
        (bin_directory / "podman").chmod(0o755)
        reference = images.build(self.podman, self.paths, self.phases, certificates=certificates())
        state = self.state()
        if state == "running":
            current = self.podman.output("container", "inspect", "--format", "{{.ImageName}}", self.paths.name)
            say(f"{self.paths.name} runs." + ("" if current == reference else " Its image is older than its definition: see down."))
            return
        with self.phases.phase("start the lab host"):
            self.give()
            if state:
                self.podman.run("start", self.paths.name)
            else:
                self.create(reference)
            self.wait_booted()

    def give(self) -> None:
        """Write down for the lab host what it must know about this machine."""
        given = self.paths.given
        given.mkdir(parents=True, exist_ok=True)
        resolv = Path("/etc/resolv.conf").read_text()
        upstream = Path("/run/systemd/resolve/resolv.conf")
        servers = outer.nameservers(resolv) or (outer.nameservers(upstream.read_text()) if upstream.exists() else [])
        if not servers:
            raise LabError("/etc/resolv.conf names no server that a container could ask: add a nameserver that isn't on loopback.")
        write(given / "resolv.conf", "".join(f"nameserver {server}\n" for server in servers))
        trusted = certificates()
        write(given / "ca.crt", trusted.read_text() if trusted else "")
        write(given / "apt.conf", "".join(f"{line}\n" for line in images.apt_options()))
        index = images.pip_index()
        write(given / "pip.conf", "[global]\n" + (f"index-url = {index}\n" if index else ""))
        proxies = outer.proxies(os.environ)
        bundle = "/etc/ssl/certs/ca-certificates.crt"
        environment = {**proxies, "SSL_CERT_FILE": bundle, "PIP_CERT": bundle, "REQUESTS_CA_BUNDLE": bundle}
        write(given / "environment", "".join(f"{key}={value}\n" for key, value in environment.items()))
        write(given / "containers.conf", outer.inner_containers_conf(self.machine))
        settings = {"hotstack_os_python_index": index, "hotstack_os_build_proxy": proxies.get("https_proxy", "")}
        known = {key: value for key, value in settings.items() if value}
        write(given / "inventory.yml", json.dumps({"hotstack_os": {"vars": known}}, indent=2) + "\n")

    def create(self, reference: str) -> None:
        """Start a new lab host."""
        containers = self.paths.lab / "containers"
        cache = self.paths.cache / "builds"
        for directory in (containers, cache):
            directory.mkdir(parents=True, exist_ok=True)
        options = ["--detach", f"--name={self.paths.name}", f"--hostname={self.paths.name}", f"--network={NETWORK}"]
        # systemd in the lab host owns these files as on a machine, instead of podman.
        options += ["--no-hosts", "--dns=none"]
        options += ["--privileged", "--systemd=always", "--cgroupns=private", "--stop-timeout=120"]
        options += [
            f"--volume={containers}:/var/lib/containers",
            f"--volume={cache}:/var/cache/hotstack-os",
            f"--volume={self.paths.given}:/etc/hotstack-lab/machine:ro",
        ]
        options += [f"--env={key}={value}" for key, value in outer.proxies(os.environ).items()]
        self.podman.run("run", *options, reference)

    def wait_booted(self, seconds: int = 120) -> None:
        """Wait until systemd has started everything, and say what failed."""
        end = time.monotonic() + seconds
        state = ""
        while time.monotonic() < end:
            done = self.podman.run("exec", self.paths.name, "systemctl", "is-system-running", check=False)
            state = done.stdout.decode().strip()
            if state in BOOTED:
                break
            time.sleep(0.5)
        else:
            raise LabError(f"{self.paths.name} did not finish booting in {seconds} s (systemd says {state or 'nothing'}).")
        if state == "degraded":
            failed = self.podman.output("exec", self.paths.name, "systemctl", "list-units", "--failed", "--plain", "--no-legend")
            say(f"Failed units in {self.paths.name}: " + ", ".join(line.split()[0] for line in failed.splitlines()))

    def require_running(self) -> None:
        """Say how to start the lab host if it doesn't run."""
        if self.state() != "running":
            raise LabError(f"{self.paths.name} does not run; tools/lab up starts it.")

    def execute(self, command: list[str], *, workdir: str = "/root", terminal: bool | None = None) -> None:
        """Become a command in the lab host."""
        self.require_running()
        if terminal is None:
            terminal = sys.stdin.isatty() and sys.stdout.isatty()
        options = ["exec", "--interactive", f"--workdir={workdir}"]
        if terminal:
            options += ["--tty", f"--env=TERM={os.environ.get('TERM', 'xterm')}"]
        self.podman.replace_process([*options, self.paths.name, *command])

    def reboot(self) -> None:
        """Stop the lab host as systemd does at power-off, and start it again with an empty /run."""
        self.require_running()
        with self.phases.phase("reboot"):
            self.podman.run("stop", self.paths.name)
            self.give()
            self.podman.run("start", self.paths.name)
            self.wait_booted()

    def down(self) -> bool:
        """Remove the lab host and its data; tell whether there was one."""
        found = bool(self.state())
        if found:
            with self.phases.phase("remove the lab host"):
                self.podman.run("rm", "--force", "--time=20", self.paths.name)
        if self.paths.lab.exists():
            found = True
            shutil.rmtree(self.paths.lab)
        return found
