# SPDX-License-Identifier: Apache-2.0
"""The machine lab: a virtual machine with Debian's own kernel, run and deployed from a lab host of its own."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
import sys
import time

from lablib import deploy, images, process
from lablib.host import BOOTED, STATUS, LabHost
from lablib.paths import DEFINITION, ROOT, Paths
from lablib.process import LabError, say

# In the lab host: the definition, the disks of this machine, and those that are kept for every new one.
CONFIGURATION = "/etc/hotstack-lab/virtual"
DISKS = "/var/lib/hotstack-virtual"
KEPT = "/var/cache/hotstack-os/virtual"
UNIT = "hotstack-lab-virtual.service"
SSH = ["ssh", "-F", f"{CONFIGURATION}/ssh_config"]
NAME = "hotstack-machine"
PREFIX = "localhost/hotstack-os-"
# What an emulated machine may take to boot, in seconds.
BOOT_SECONDS = 1200
# Memory of the machine in MiB, and what is left to the one around it.
MEMORY, SPARE = 9216, 3072
# $1 is the directory of the kept system disk. The containers' disk holds what podman has here; nothing must be loaded.
MAKE_DISKS = f"""
truncate --size=30G {DISKS}/containers.img
mke2fs -q -t ext4 -L containers -d /var/lib/containers {DISKS}/containers.img
cp "$1/key" {DISKS}/key
cp --sparse=always "$1/system.img" {DISKS}/system.img.part
mv {DISKS}/system.img.part {DISKS}/system.img
"""
SYSTEM_PARTS = (
    DEFINITION / "files/usr/local/libexec/hotstack-lab-virtual-disk",
    ROOT / "roles/host_prep/vars/Debian.yml",
)


class VirtualLabHost(LabHost):
    """A virtual machine as lab host. The container of the lab switches it on, and is the controller that deploys it."""

    def __init__(self, paths: Paths, names: list[str] | None = None) -> None:
        super().__init__(paths)
        # The container images that the machine gets, all if the list is empty; those that it was made with if None.
        self.names = names
        self.volumes = [f"--volume={self.paths.disks}:{DISKS}"]

    def up(self) -> None:
        """Make the machine run, whatever state it is in; new disks have the container images in them."""
        if self.state() and not self.paths.disks.exists():
            raise LabError(f"{self.paths.name} is a container lab; HOTSTACK_LAB_NAME names another one.")
        self.paths.disks.mkdir(parents=True, exist_ok=True)
        super().up()
        if self.powered():
            say(f"The machine of {self.paths.name} runs.")
            return
        # The inventory of the container lab has the variables of both.
        variables = f"{CONFIGURATION}/group_vars"
        self.controller("mkdir", "--parents", variables)
        self.controller("ln", "-sfn", f"{deploy.SOURCE}/inventory/group_vars/hotstack_os.yml", variables)
        deploy.install(self)
        self.switch_on(self.prepare_disks())

    def controller(self, *command: str, data: bytes | None = None, check: bool = True) -> str:
        """Return what a command in the lab's container prints."""
        done = self.podman.run("exec", "--interactive", self.paths.name, *command, data=data, check=check)
        return done.stdout.decode(errors="replace").strip()

    def powered(self) -> bool:
        """Tell whether the machine is on."""
        return self.controller("systemctl", "is-active", UNIT, check=False) == "active"

    def provide_images(self) -> None:
        """Copy container images of other labs, build those that are still missing, and give them to the machine."""
        chosen = self.paths.disks / "images.json"
        if self.names is not None:
            chosen.write_text(json.dumps(self.names))
        names = json.loads(chosen.read_text()) if chosen.exists() else []
        # Those that all others extend come with them.
        wanted = tuple(f"{PREFIX}{name}:" for name in (*names, "rootfs", "base")) if names else PREFIX
        here = self.podman.command("exec", "--interactive", self.paths.name)
        for lab in sorted((self.paths.state / "labs").glob("*")):
            if lab.name != self.paths.name and (lab / "pid").exists():
                self.copy_images(lab.name, self.podman.command("exec", lab.name), here, wanted)
        variables = json.dumps({"images_names": names})
        build = ["ansible-playbook", "hotstack.os.build_images", f"--extra-vars={variables}"]
        command = super().exec_command(build, workdir=deploy.SOURCE)
        if subprocess.run(command, env=self.podman.env, stdout=sys.stderr, check=False).returncode:
            raise LabError("The container images could not be built; the output above says why.")
        if self.powered():
            self.copy_images("the lab's container", here, [*here, *SSH, NAME, "sudo"], wanted)

    def copy_images(self, name: str, source: list[str], target: list[str], wanted: str | tuple[str, ...]) -> None:
        """Copy images from one podman to another; both are what must stand before its command."""
        listing = ["podman", "images", "--format={{.Repository}}:{{.Tag}}"]
        there, known = (
            process.run([*where, *listing], env=self.podman.env, check=False).stdout.decode().split()
            for where in (source, target)
        )
        missing = [image for image in there if image.startswith(wanted) and image not in known]
        if not missing:
            return
        with self.phases.phase(f"copy {len(missing)} images from {name}"):
            save = [*source, "podman", "save", "--quiet", "--multi-image-archive", *missing]
            load = [*target, "podman", "load", "--quiet"]
            with subprocess.Popen(save, env=self.podman.env, stdout=subprocess.PIPE) as reader:
                done = subprocess.run(load, env=self.podman.env, stdin=reader.stdout, capture_output=True, check=False)
            if reader.returncode or done.returncode:
                said = done.stderr.decode(errors="replace").strip()
                raise LabError(f"The images of {name} could not be copied: {said}")

    def prepare_disks(self) -> str:
        """Make the machine's disks unless it has them; return the directory of its kernel in the lab's container."""
        given = [self.paths.given / name for name in ("ca.crt", "apt.conf", "pip.conf", "environment")]
        parts = [path.read_bytes() for path in (*SYSTEM_PARTS, *given)]
        system = f"{KEPT}/{images.digest(parts)}"
        with (self.paths.state / "virtual.lock").open("w") as lock:
            # All machines start from one disk.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.controller("sh", "-c", f"test -e {system} || echo missing"):
                with self.phases.phase("build the machine's system disk"):
                    self.controller("sh", "-c", f"mkdir -p {KEPT} && rm -rf {KEPT}/*")
                    script = "/usr/local/libexec/hotstack-lab-virtual-disk"
                    command = self.podman.command("exec", self.paths.name, script, system)
                    process.run_logged(command, self.paths.logs / "virtual-disk.log", env=self.podman.env)
        if not (self.paths.disks / "system.img").exists():
            with self.phases.phase("make the machine's disks"):
                self.controller("sh", "-ec", MAKE_DISKS, "sh", system)
        return system

    def switch_on(self, system: str) -> None:
        """Start QEMU, and wait until systemd in the machine has started everything."""
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        memory = min(MEMORY, total - SPARE)
        with self.phases.phase("boot the machine"):
            start = "/usr/local/libexec/hotstack-lab-virtual-start"
            self.controller(start, system, DISKS, f"{memory}M", accelerator())
            self.wait_machine()

    def ssh(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command as root in the machine, whatever it returns."""
        return self.podman.run("exec", self.paths.name, *SSH, NAME, "sudo", shlex.join(command), check=False)

    def boot_id(self) -> str:
        """Return what identifies the machine's current boot; empty while it does not answer."""
        return self.ssh("cat", "/proc/sys/kernel/random/boot_id").stdout.decode().strip()

    def wait_machine(self, before: str = "") -> None:
        """Wait until the machine has booted, and for another boot than `before`; report failed units."""
        end = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < end and self.powered():
            now = self.boot_id()
            if now and now != before:
                state = self.ssh("systemctl", "is-system-running", "--wait").stdout.decode().strip()
                if state in BOOTED:
                    break
            time.sleep(2)
        else:
            raise LabError(
                f"The machine did not boot within {BOOT_SECONDS} s; its console is in {self.paths.disks}/serial.log."
            )
        failed = self.ssh("systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout.decode()
        if failed.strip():
            say(f"Failed units in the machine: {', '.join(line.split()[0] for line in failed.splitlines())}")

    def exec_command(self, command: list[str], *, workdir: str = "/root") -> list[str]:
        """Return the whole command that runs something as root in the machine, with a terminal if we have one."""
        terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        script = f"cd {shlex.quote(workdir)} && exec {shlex.join(command)}"
        ssh = [*SSH, *terminal, NAME, shlex.join(["sudo", "sh", "-c", script])]
        return super().exec_command(ssh)

    def controller_command(self, command: list[str], *, workdir: str = "/root") -> list[str]:
        """Return the whole command that runs something where Ansible is: in the lab's container."""
        if command[0] == "ansible-playbook":
            command = [command[0], f"--inventory={CONFIGURATION}/hosts.yml", *command[1:]]
        return super().exec_command(command, workdir=workdir)

    def reboot(self, *, hard: bool = False) -> None:
        """Restart the machine, or cut its power."""
        self.require_running()
        with self.phases.phase("power cut" if hard else "reboot"):
            before = self.boot_id()
            if hard:
                self.controller("systemctl", "kill", "--signal=KILL", UNIT)
                while self.powered():
                    time.sleep(0.2)
                self.switch_on(self.prepare_disks())
            else:
                self.ssh("systemctl", "reboot")
                self.wait_machine(before)

    def status(self) -> int:
        """Print what runs; the exit status tells whether the machine does."""
        status = super().status()
        if status == 0:
            status = 0 if self.powered() else 1
            print(f"machine: {'on' if status == 0 else 'off'}")
            print(self.ssh("sh", "-c", STATUS).stdout.decode(errors="replace").strip())
        return status


def accelerator() -> str:
    """Return `kvm` if this machine's KVM works, by the collection's own check, and `tcg` if not."""
    check = [sys.executable, str(ROOT / "plugins/module_utils/kvm.py")]
    try:
        done = subprocess.run(check, capture_output=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return "tcg"
    return "tcg" if done.returncode or done.stdout.strip() else "kvm"
