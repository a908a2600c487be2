# SPDX-License-Identifier: Apache-2.0
"""The ground on which faults happen: streams of requests, pings and commits, and the measuring of one fault."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from guests import PINGS_A_SECOND, Guest
from lab import DATA_DIR, PREFIX, ROOT, TOOL, Lab

from faultlib import results

INSIDE = Path(__file__).resolve().parent / "inside"
FOLDER = "/var/tmp/hotstack-faults"
ANSWERS = f"{FOLDER}/answers"
WRITER = "hotstack-faults-writer"
UNITS = {"requests": "hotstack-faults-requests", "pings": "hotstack-faults-ping-", "commits": "hotstack-faults-commits"}
SITE = "ansible-playbook hotstack.os.site"
STATUS_PATIENCE = 90.0
AFTER_CURE = 30.0
CURES = 4

PREPARE = f"""
set -eu
umask 077
mkdir -p {FOLDER}
cat >{FOLDER}/access.json
password=$(sed -n 's/.*"mariadb_password": "\\([^"]*\\)".*/\\1/p' {FOLDER}/access.json)
podman exec --interactive {PREFIX}mariadb mariadb <<END
CREATE DATABASE IF NOT EXISTS hotstack_faults;
CREATE TABLE IF NOT EXISTS hotstack_faults.markers (number BIGINT PRIMARY KEY);
CREATE OR REPLACE USER hotstack_faults@'%' IDENTIFIED BY '$password';
GRANT ALL ON hotstack_faults.* TO hotstack_faults@'%';
END
"""
UNPREPARE = f"""
podman exec --interactive {PREFIX}mariadb mariadb \
    --execute "DROP DATABASE IF EXISTS hotstack_faults; DROP USER IF EXISTS hotstack_faults"
rm -rf {FOLDER}
"""

Found = TypeVar("Found")


def map_of_services() -> dict[str, dict[str, Any]]:
    """Return the lines of the map."""
    text = (ROOT / "roles/settings/defaults/main/services.yml").read_text()
    lines: dict[str, dict[str, Any]] = yaml.safe_load(text)["hotstack_os_services"]
    return lines


def running_services() -> list[str]:
    """Return the services that should run all the time."""
    return [name for name, line in map_of_services().items() if not line.get("one_shot")]


@dataclass(frozen=True)
class Fault:
    """Something to break, and what may follow from it.

    `do` breaks it and returns the moment from which to count; without one it is the moment when `do` was called.
    `affected` are the services whose main process must be another one afterwards. `stays` says that nothing but the
    cure of `status` mends it.
    """

    group: str
    name: str
    do: Callable[[Ground], float | None]
    affected: Sequence[str] = ()
    guests_may_end: bool = False
    pings_may_get_lost: bool = False
    stays: bool = False
    limit: float = 300.0

    @property
    def title(self) -> str:
        """Return group and name."""
        return f"{self.group} {self.name}"


def tried(do: Callable[[], Found], otherwise: Found, trouble: list[str]) -> Found:
    """Return what a function returns; if it fails, say so and return something else."""
    try:
        return do()
    except (AssertionError, ValueError, subprocess.SubprocessError) as error:
        trouble.append(f"{type(error).__name__}: {str(error)[:300]}")
        return otherwise


class Ground:
    """A lab host with everything deployed and guests that run."""

    def __init__(self, lab: Lab, guests: Mapping[str, Guest]) -> None:
        self.lab = lab
        self.lines = map_of_services()
        self.services = running_services()
        self.guests = dict(guests)
        self.taken: set[int] = set()
        self.boots = {name: guest.boot_id() for name, guest in self.guests.items()}

    # --- streams

    def begin(self) -> None:
        """Copy the programs into the lab host and start all streams."""
        self.lab.shell(f"mkdir -p -m 0700 {FOLDER}")
        for program in ("ask_apis", "markers", "watch"):
            text = (INSIDE / f"{program}.py").read_text()
            self.lab.run("sh", "-c", f"cat >{FOLDER}/{program}.py", data=text)
        credentials = json.loads(self.lab.run("cat", f"{DATA_DIR}/credentials.json"))
        access = {store: f"172.31.0.{self.lines[service]['address']}" for store, service in STORES.items()}
        access |= {"mariadb_password": secrets.token_hex(16), "rabbitmq_user": "nova"}
        access["rabbitmq_password"] = credentials["nova_messaging_password"]
        self.lab.run("sh", "-c", PREPARE, data=json.dumps(access))
        image = self.lab.shell(f"podman inspect --format '{{{{.ImageName}}}}' {PREFIX}nova-conductor").strip()
        self.writer = ["podman", "run", "--rm", "--network=host", "--log-driver=none", "--pull=never"]
        self.writer += ["--security-opt=label=disable", "--user=0", f"--volume={FOLDER}:/faults"]
        self.image = [image, "/opt/openstack/bin/python", "/faults/markers.py"]
        self.start_streams()

    def start_streams(self) -> None:
        """Start what asks, pings and commits; after a boot of the host, start it again."""
        self._unit(UNITS["requests"], "/usr/bin/python3", f"{FOLDER}/ask_apis.py", ANSWERS)
        self._unit(UNITS["commits"], *self.writer, "--replace", f"--name={WRITER}", *self.image, "write")
        for name, guest in self.guests.items():
            command = ("stdbuf", "-oL", "ping", "-n", "-D", "-i", str(1 / PINGS_A_SECOND), guest.address)
            self._unit(UNITS["pings"] + name, *command, output=self._replies(name))

    def _unit(self, name: str, *command: str, output: str = "/dev/null") -> None:
        self.lab.run("systemctl", "stop", f"{name}.service", check=False)
        where = (f"--property=StandardOutput=append:{output}", "--property=StandardError=null")
        again = ("--property=Restart=always", "--property=StartLimitIntervalSec=0")
        self.lab.run("systemd-run", "--quiet", "--collect", f"--unit={name}", *where, *again, *command)

    @staticmethod
    def _replies(guest: str) -> str:
        return f"{FOLDER}/replies-{guest}"

    def end(self) -> None:
        """Stop all streams and remove what they made."""
        for unit in (UNITS["requests"], UNITS["commits"], *(UNITS["pings"] + name for name in self.guests)):
            self.lab.run("systemctl", "stop", f"{unit}.service", check=False)
        self.lab.run("podman", "rm", "--force", "--ignore", "--time=0", WRITER, check=False)
        self.lab.run(*self.writer, *self.image, "end", check=False)
        self.lab.shell(UNPREPARE, check=False)

    # --- what faults use

    def unit(self, service: str) -> str:
        """Return the unit of a service."""
        return f"{PREFIX}{service}.service"

    def cut_power(self) -> None:
        """Kill everything in the lab host at once, and start it again."""
        self._host("reboot", "--hard")

    def reboot(self) -> None:
        """Reboot the lab host."""
        self._host("reboot")

    def _host(self, *command: str) -> None:
        subprocess.run([TOOL, *command], check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
        self.start_streams()

    # --- measuring

    def look(self, affected: Mapping[str, int], since: float, seconds: float) -> dict[str, Any]:
        """Wait until all is healthy."""
        given = {"services": self.services, "since": since, "before": affected, "seconds": seconds, "log": ANSWERS}
        command = ("/usr/bin/python3", f"{FOLDER}/watch.py", json.dumps(given))
        found: dict[str, Any] = json.loads(self.lab.run(*command, timeout=seconds + 120))
        return found

    def status(self) -> dict[str, Any]:
        """Return what the command on the host says."""
        said = self.lab.run("hotstack-os", "status", "--json", check=False)
        try:
            found: dict[str, Any] = json.loads(said)
        except ValueError:
            return {"well": False, "checks": [], "causes": []}
        return found

    def settle(self, patience: float) -> tuple[dict[str, Any], bool]:
        """Return what `status` says once all is well, or time is up, and whether it said something else before."""
        end = time.monotonic() + patience
        waited = False
        while True:
            status = self.status()
            if status["well"] or time.monotonic() > end:
                return status, waited
            waited = True
            time.sleep(1)

    def measure(self, fault: Fault) -> results.Result:
        """Do one fault and see what comes of it."""
        before = self.look({}, time.time(), 60)
        if before["left"]:
            # The fault before this one was not mended, which its own result says.
            self._do(SITE)
            before = self.look({}, time.time(), 60)
        if before["left"]:
            return results.Result(fault.title, trouble=[f"not well before: {', '.join(before['left'])}"])
        since = time.time()
        affected = {service: before["processes"][service] for service in fault.affected}
        trouble: list[str] = []
        moment = tried(lambda: fault.do(self), None, trouble)
        health, used, said = self._mend(fault, affected, moment or since)
        if health["left"]:
            trouble.append(f"not healthy: {', '.join(health['left'])}")
        elif said:
            trouble.append(f"status: {'; '.join(said)}")
        unknown: dict[str, bool] = {}
        boots = tried(self._boots, unknown, trouble)
        nothing: dict[str, int] = {}
        committed, lost = tried(lambda: self._markers(since), (nothing, nothing), trouble)
        time.sleep(0.5)
        until = time.time()
        others = sorted(
            name
            for name, pid in health["processes"].items()
            if before["processes"].get(name) not in (pid, None) and name not in fault.affected
        )
        return results.Result(
            fault.title,
            guests_may_end=fault.guests_may_end,
            pings_may_get_lost=fault.pings_may_get_lost,
            healthy=health["seconds"],
            cures=used,
            requests=self._requests(since, until),
            pings=self._pings(since, until),
            boots=boots,
            committed=committed,
            lost=lost,
            restarted=[] if fault.guests_may_end else others,
            said=said,
            trouble=trouble,
        )

    def _mend(
        self, fault: Fault, affected: Mapping[str, int], since: float
    ) -> tuple[dict[str, Any], list[str], list[str]]:
        """Wait until all is healthy and `status` says so; do what it says, as long as it says something new."""
        used: list[str] = []
        patience = 5.0 if fault.stays else fault.limit
        while True:
            # After a cure nothing need be another process any more.
            health = self.look({} if used else affected, since, patience)
            patience = 5.0 if fault.stays and not used else STATUS_PATIENCE if not health["left"] else 0.0
            status, waited = self.settle(patience)
            if status["well"] and waited and not health["left"]:
                health["seconds"] = time.time() - since
            said = results.complaints(status)
            new = [command for command in results.cures(status) if command not in used]
            if (status["well"] and not health["left"]) or not new or len(used) >= CURES:
                if not status["well"] and not said:
                    said = ["it gave no answer"]
                return health, used, said
            print(f"    status: {'; '.join(said)[:300]}\n    doing: {new[0]}", flush=True)
            used.append(new[0])
            self._do(new[0])
            # Where one cure is not enough, `status` names the next one.
            patience = min(fault.limit, AFTER_CURE)

    def _do(self, command: str) -> None:
        """Do what somebody would type on the host."""
        with suppress(subprocess.SubprocessError):
            self.lab.attempt("sh", "-c", f"set -a; . /etc/environment; set +a; {command}", timeout=1200)

    def _boots(self) -> dict[str, bool]:
        """Tell for each guest whether it is still the same boot."""
        same = {}
        for name, guest in self.guests.items():
            guest.wait(300)
            now = guest.boot_id()
            same[name] = now == self.boots[name]
            self.boots[name] = now
        return same

    def _markers(self, since: float) -> tuple[dict[str, int], dict[str, int]]:
        """Compare what was committed with what is there; both streams go on."""
        committed = self.lab.shell(f"cat {FOLDER}/committed")
        found = json.loads(self.lab.run(*self.writer, *self.image, "read", timeout=120))
        verdict = results.judge_markers(committed, found, self.taken, since)
        self.taken |= set(found["rabbitmq"])
        return verdict

    def _requests(self, since: float, until: float) -> results.Requests:
        lines = self.lab.shell(f"tail -n 12000 {ANSWERS}")
        return results.judge_requests(results.parse_answers(lines), since, until)

    def _pings(self, since: float, until: float) -> dict[str, results.Pings]:
        found = {}
        for name in self.guests:
            replies = results.parse_pings(self.lab.shell(f"tail -n 12000 {self._replies(name)}"))
            found[name] = results.judge_pings(replies, since, until)
        return found


STORES = {"mariadb": "mariadb", "rabbitmq": "rabbitmq", "ovn": "ovn-northd"}
