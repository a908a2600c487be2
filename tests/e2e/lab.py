# SPDX-License-Identifier: Apache-2.0
"""The lab host as the end-to-end tests see it: commands in it, and runs of the playbook."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOOL = str(ROOT / "tools/lab")
PREFIX = "hotstack-os-"
# hotstack_os_data_dir, which no lab changes.
DATA_DIR = "/var/lib/hotstack-os"
RECAP = re.compile(r"^\S+\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
# For a shell: a client of the session's libvirt, in which Nova's guests run.
VIRSH = 'virsh --quiet --connect "qemu:///session?socket=/run/user/$(id -u hotstack)/libvirt/libvirt-sock"'
PLAY_UNIT = "hotstack-os-test-play"


@dataclass(frozen=True)
class Play:
    """How a run of the playbook ended."""

    status: int
    output: str
    seconds: float

    @property
    def changed(self) -> int:
        """Return the number of changed tasks; -1 if the run had no recap."""
        found = RECAP.search(self.output)
        return int(found.group(2)) if found else -1

    @property
    def changes(self) -> list[str]:
        """Return the tasks that changed something."""
        blocks = self.output.split("\nTASK [")[1:]
        return [block.split("]", 1)[0] for block in blocks if re.search(r"^changed: ", block, re.MULTILINE)]

    def tail(self, lines: int = 60) -> str:
        """Return the end of what the run printed, for a message."""
        return "\n".join(self.output.splitlines()[-lines:])


class Lab:
    """The lab host that HOTSTACK_LAB_NAME names."""

    def run(self, *command: str, check: bool = True, timeout: float = 120, data: str | None = None) -> str:
        """Run a command as root in the lab host and return its standard output."""
        done = self.attempt(*command, timeout=timeout, data=data)
        if check:
            assert done.returncode == 0, (
                f"{' '.join(command)[:200]} ended with {done.returncode}: {done.stderr[-2000:]}"
            )
        return done.stdout

    def attempt(self, *command: str, timeout: float = 120, data: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as root in the lab host, whatever it returns."""
        given = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
        return subprocess.run(
            [TOOL, "exec", "--", *command], check=False, capture_output=True, text=True, timeout=timeout, **given
        )

    def shell(self, script: str, *, check: bool = True, timeout: float = 120) -> str:
        """Run a shell script in the lab host and return its standard output."""
        return self.run("sh", "-c", script, check=check, timeout=timeout)

    def python(self, script: str, *arguments: str, timeout: float = 300) -> Any:
        """Run a Python script in the lab host and return the JSON that it prints."""
        return json.loads(self.run("/usr/bin/python3", "-", *arguments, data=script, timeout=timeout))

    def openstacksdk(self, script: str, *arguments: str, folder: str = "", timeout: float = 300) -> Any:
        """Run a Python script where openstacksdk is, a folder of the host too; return the JSON that it prints."""
        client = self.run("cat", "/usr/local/bin/openstack")
        image = next(word for word in shlex.split(client, comments=True) if word.startswith("localhost/hotstack-os-"))
        command = ["podman", "run", "--rm", "--interactive", "--pull=never", "--network=host", "--log-driver=none"]
        command += [f"--volume={path}:{path}:ro" for path in ("/etc/openstack", folder) if path]
        return json.loads(self.run(*command, image, "python3", "-", *arguments, data=script, timeout=timeout))

    def deploy(self, *options: str, check: bool = True, timeout: float = 2400, playbook: str = "site") -> Play:
        """Deploy as a user does, or run another playbook of ours, with further options of ansible-playbook."""
        name = playbook if playbook.endswith(".yml") else f"hotstack.os.{playbook}"
        begin = time.monotonic()
        done = subprocess.run(
            [TOOL, "deploy", f"--playbook={name}", *(["--", *options] if options else [])],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        play = Play(done.returncode, done.stdout, time.monotonic() - begin)
        if check:
            assert play.status == 0, play.tail()
        return play

    def reboot(self) -> None:
        """Restart the lab host the way a reboot would."""
        subprocess.run([TOOL, "reboot"], check=True, stdin=subprocess.DEVNULL, timeout=600)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float, pause: float = 1.0) -> Any:
        """Return the first true answer; fail after the time limit."""
        end = time.monotonic() + seconds
        while True:
            answer = condition()
            if answer:
                return answer
            assert time.monotonic() < end, f"Not within {seconds:.0f} s: {what}"
            time.sleep(pause)

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return podman's record of each of our running containers, by service."""
        listed = f"podman ps --quiet --filter name=^{PREFIX} | xargs --no-run-if-empty podman inspect"
        # One that ended between the two questions is said on standard error, the others are listed all the same.
        records = json.loads(self.shell(listed, check=False) or "[]")
        return {record["Name"].removeprefix(PREFIX): record for record in records}

    def unhealthy(self, services: list[str]) -> list[str]:
        """Return those of the services that are not healthy at this moment, or have no container."""
        states = {name: record["State"].get("Health", {}) for name, record in self.containers().items()}
        return [name for name in services if states.get(name, {}).get("Status") != "healthy"]

    def invocations(self, services: list[str]) -> dict[str, str]:
        """Return systemd's id of the current start of each service: it changes with every start."""
        units = [f"{PREFIX}{service}.service" for service in services]
        shown = self.run("systemctl", "show", "--property=InvocationID", "--value", *units).split("\n\n")
        return dict(zip(services, (value.strip() for value in shown), strict=True))

    def active(self, unit: str) -> bool:
        """Tell whether a unit is active."""
        return self.run("systemctl", "is-active", unit, check=False).strip() == "active"

    def assert_healthy(self, services: list[str], seconds: float = 300) -> None:
        """Wait until the target is active and each service healthy."""
        self.wait(lambda: self.active("hotstack-os.target"), "hotstack-os.target is active", seconds)
        self.wait(lambda: not self.unhealthy(services), f"{services} are healthy", seconds)

    def assert_token(self, seconds: float = 60) -> None:
        """Wait until Keystone issues a token to the admin, through DNS and HAProxy."""
        command = ("openstack", "--os-cloud", "hotstack-os-admin", "token", "issue", "-f", "value", "-c", "id")
        self.wait(lambda: len(self.attempt(*command).stdout.strip()) > 100, "Keystone issues a token", seconds)

    @contextmanager
    def play_in_background(self, *options: str) -> Iterator[None]:
        """Run the installed playbook as a unit of its own, which is killed with all its processes at the end."""
        self.run("systemctl", "reset-failed", f"{PLAY_UNIT}.service", check=False)
        environment = 'set -a; . /etc/environment; set +a; exec ansible-playbook hotstack.os.site "$@"'
        inherited = [f"--setenv={name}" for name in ("PATH", "ANSIBLE_CONFIG")]
        command = ["systemd-run", f"--unit={PLAY_UNIT}", "--collect", "--service-type=exec", "--quiet", *inherited]
        command += ["--setenv=HOME=/root", "--working-directory=/opt/hotstack-os/source"]
        self.run(*command, "sh", "-c", environment, "sh", *options)
        try:
            yield
            assert self.active(f"{PLAY_UNIT}.service"), "The playbook ended before it could be killed."
        finally:
            self.run("systemctl", "kill", "--signal=KILL", f"{PLAY_UNIT}.service", check=False)
            self.wait(lambda: not self.active(f"{PLAY_UNIT}.service"), "the killed playbook is gone", 30, 0.2)
