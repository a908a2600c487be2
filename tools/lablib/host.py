# SPDX-License-Identifier: Apache-2.0
"""The lab host: starting, entering, rebooting and removing the container."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import time
from pathlib import Path

from lablib import before, images, process
from lablib import machine as outer
from lablib.paths import Paths
from lablib.podman import Podman, write
from lablib.process import LabError, Phases, say

CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
BOOTED = ("running", "degraded")
STATUS = """
echo "systemd: $(systemctl is-system-running), up $(ps -o etime= -p 1 | tr -d " ")"
systemctl list-units --failed --plain --no-legend
systemctl list-units --all --plain --no-legend --type=target,service 'hotstack-os*' | awk '{print $3, $4, $1}' | sort
podman ps --all --filter name=hotstack-os- --format '{{.Status}}  {{.Names}}' | sort -k2
echo "images and containers: $(du -sh /var/lib/containers | cut -f1)"
"""


def certificates() -> Path | None:
    """Return the file of CA certificates that this machine trusts."""
    return next((Path(name) for name in CERTIFICATES if Path(name).exists()), None)


def install_missing(paths: Paths, phases: Phases) -> None:
    """Install what the lab needs on this machine, and say what."""
    manager = outer.package_manager()
    packages = outer.missing_programs(
        manager=manager or "apt-get", can_raise_limits=outer.read_machine().can_raise_limits
    )
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
    with (paths.state / "installed").open("a") as record:
        record.write("".join(f"{package}\n" for package in packages))


class LabHost:
    """One lab host and what can be done with it."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.machine = outer.read_machine()
        self.podman = Podman(paths, self.machine)
        self.phases = Phases(paths.timings, paths.name)
        # Mounts beyond those of every lab host.
        self.volumes: list[str] = []

    def state(self) -> str:
        """Return podman's word for the container's state; empty if there is none."""
        if not (self.paths.state / "containers.conf").exists():
            return ""
        if self.machine.needs_namespace and self.podman.holder() is None:
            return ""
        return self.podman.output("container", "inspect", "--format", "{{.State.Status}}", self.paths.name)

    def up(self) -> None:
        """Make the lab host run, whatever state it is in."""
        self.paths.state.mkdir(parents=True, exist_ok=True)
        with (self.paths.state / "lock").open("w") as lock:
            # Two labs may come up at the same time, and share images.
            fcntl.flock(lock, fcntl.LOCK_EX)
            reference = self.prepare()
        self.start(reference)

    def prepare(self) -> str:
        """Make this machine able to run lab hosts, and return the name of their image."""
        before.remember(self.paths)
        install_missing(self.paths, self.phases)
        self.podman.configure()
        bin_directory = self.paths.state / "bin"
        bin_directory.mkdir(exist_ok=True)
        write(bin_directory / "podman", self.podman.wrapper())
        (bin_directory / "podman").chmod(0o755)
        return images.build(self.podman, self.paths, self.phases, certificates=certificates())

    def start(self, reference: str) -> None:
        """Start the lab host if it doesn't run."""
        state = self.state()
        if state:
            current = self.podman.output("container", "inspect", "--format", "{{.ImageName}}", self.paths.name)
            if current != reference:
                say(f"{self.paths.name} was made from an older image; tools/lab down, then up makes a new one.")
        if state == "running":
            say(f"{self.paths.name} runs.")
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
            raise LabError("/etc/resolv.conf names only servers on loopback: add one that a container can ask.")
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
        containers, journal = self.paths.lab / "containers", self.paths.lab / "journal"
        cache = self.paths.cache / "builds"
        for directory in (containers, journal, cache):
            directory.mkdir(parents=True, exist_ok=True)
        network = self.paths.network
        options = ["--detach", f"--name={self.paths.name}", f"--hostname={self.paths.name}"]
        options.append(f"--network={network.stem if network else 'none'}")
        # systemd in the lab host owns these files as on a machine, instead of podman.
        options += ["--no-hosts", "--dns=none"]
        options += ["--privileged", "--systemd=always", "--cgroupns=private", "--stop-timeout=120"]
        options += [
            "--shm-size=1g",
            f"--pidfile={self.paths.pidfile}",
            f"--volume={containers}:/var/lib/containers",
            # podman would put a tmpfs there.
            f"--volume={journal}:/var/log/journal",
            f"--volume={cache}:/var/cache/hotstack-os",
            f"--volume={self.paths.given}:/etc/hotstack-lab/machine:ro",
            *self.volumes,
        ]
        options += [f"--env-file={self.paths.given}/environment"]
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
            raise LabError(f"{self.paths.name} is still {state or 'silent'} {seconds} s after its start.")
        if state == "degraded":
            command = ["systemctl", "list-units", "--failed", "--plain", "--no-legend"]
            failed = self.podman.output("exec", self.paths.name, *command).splitlines()
            say(f"Failed units in {self.paths.name}: {', '.join(line.split()[0] for line in failed)}")

    def runs(self) -> bool:
        """Tell whether the lab host runs, without asking podman, who takes longer than most commands in it."""
        try:
            root = Path(f"/proc/{int(self.paths.pidfile.read_text())}/root")
            if (root / "etc/hostname").read_text().strip() == self.paths.name:
                return True
        except (OSError, ValueError):
            pass
        return self.state() == "running"

    def require_running(self) -> None:
        """Say how to start the lab host if it doesn't run."""
        if not self.runs():
            raise LabError(f"{self.paths.name} does not run; tools/lab up starts it.")

    def exec_command(self, command: list[str], *, workdir: str = "/root") -> list[str]:
        """Return the whole command that runs something in the lab host, with a terminal if we have one."""
        options = ["exec", "--interactive", f"--workdir={workdir}"]
        if sys.stdin.isatty() and sys.stdout.isatty():
            options += ["--tty", f"--env=TERM={os.environ.get('TERM', 'xterm')}"]
        return self.podman.command(*options, self.paths.name, *command)

    def controller_command(self, command: list[str], *, workdir: str = "/root") -> list[str]:
        """Return the whole command that runs something where Ansible is: in the lab host itself."""
        return self.exec_command(command, workdir=workdir)

    def provide_images(self) -> None:
        """Provide the images of the installed collection; a container lab builds them when it is deployed."""

    def execute(self, command: list[str]) -> None:
        """Become a command in the lab host: streams, signals and exit status need no copying then."""
        self.require_running()
        whole = self.exec_command(command)
        os.execvpe(whole[0], whole, self.podman.env)

    def reboot(self, *, hard: bool = False) -> None:
        """Stop the lab host as systemd does at power-off, or kill all of it, and start it with an empty /run."""
        self.require_running()
        with self.phases.phase("power cut" if hard else "reboot"):
            self.podman.run("kill" if hard else "stop", self.paths.name)
            self.podman.run("wait", self.paths.name)
            self.give()
            self.podman.run("start", self.paths.name)
            self.wait_booted()

    def status(self) -> int:
        """Print what runs; the exit status tells whether the lab host does."""
        name, state = self.paths.name, self.state()
        print(f"{name}: {state or 'does not exist'}")
        others = [path.name for path in sorted((self.paths.state / "labs").glob("*")) if path.name != name]
        if others:
            print(f"other labs: {', '.join(others)}")
        if state != "running":
            return 1
        print(self.podman.output("exec", name, "sh", "-c", STATUS))
        return 0

    def remove(self) -> None:
        """Remove the lab host and its data."""
        if self.state():
            with self.phases.phase("remove the lab host"):
                self.podman.run("rm", "--force", "--time=20", self.paths.name)
        if self.paths.lab.exists():
            shutil.rmtree(self.paths.lab)
