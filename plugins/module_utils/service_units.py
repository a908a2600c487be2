# SPDX-License-Identifier: Apache-2.0
"""Bring services to what their unit files say, of the system's service manager or of a user's own."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import Any

PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState", "MainPID", "NeedDaemonReload")


class UnitError(Exception):
    """A service manager refused something; the text says what."""


@dataclass(frozen=True)
class State:
    """What a service manager says of a unit."""

    loaded: bool = False
    active: str = "inactive"
    enabled: bool = False
    pid: int = 0
    stale: bool = False


def parse_states(text: str) -> dict[str, State]:
    """Return the states in what `systemctl show` printed of several units: blocks with an empty line between."""
    states = {}
    for block in text.strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in values:
            states[values["Id"]] = State(
                loaded=values.get("LoadState") == "loaded",
                active=values.get("ActiveState", ""),
                enabled=values.get("UnitFileState") == "enabled",
                pid=int(values.get("MainPID") or 0),
                stale=values.get("NeedDaemonReload") == "yes",
            )
    return states


def plan(unit: dict[str, Any], state: State, reason: str | None) -> list[str]:
    """Return the verbs that bring a unit to what is wanted. `reason` says why what runs is outdated."""
    verbs = [] if state.enabled or not unit["enabled"] else ["enable"]
    if unit["started"]:
        if state.active not in {"active", "activating", "reloading"}:
            verbs.append("start")
        elif reason:
            verbs.append("restart")
    return verbs


class Manager:
    """The system's service manager, or that of a user."""

    def __init__(self, user: pwd.struct_passwd | None) -> None:
        self.user = user
        self.runtime_dir = f"/run/user/{user.pw_uid}" if user else "/run"
        # The system's unit that a user's service manager is.
        self.unit = f"user@{user.pw_uid}.service" if user else ""

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Call systemctl."""
        if self.user is None:
            return subprocess.run(["systemctl", *arguments], check=False, capture_output=True, text=True)
        return subprocess.run(
            ["systemctl", "--user", *arguments],
            check=False,
            capture_output=True,
            text=True,
            user=self.user.pw_uid,
            group=self.user.pw_gid,
            extra_groups=[],
            env={"XDG_RUNTIME_DIR": self.runtime_dir, "PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
        )

    def call(self, *arguments: str) -> str:
        """Call systemctl and return its output; it must succeed."""
        answer = self.command(*arguments)
        if answer.returncode:
            raise UnitError(f"systemctl {' '.join(arguments)} failed: {(answer.stderr or answer.stdout).strip()}")
        return answer.stdout

    def reachable(self) -> bool:
        """Return whether it runs and has started: its socket alone also exists while it starts and after it ended."""
        return self.user is None or Manager(None).command("is-active", "--quiet", self.unit).returncode == 0

    def wake(self) -> None:
        """Wait until a user's service manager has started, for as long as its unit allows.

        Lingering starts it at boot, and in the background when it is enabled: a start of the unit waits for that one.
        """
        if self.user is not None:
            Manager(None).bring("start", self.unit)

    def states(self, names: list[str]) -> dict[str, State]:
        """Return the states of the units."""
        answer = self.command("show", f"--property={','.join(PROPERTIES)}", "--", *names)
        found = parse_states(answer.stdout)
        return {name: found.get(name, State()) for name in names}

    def log(self, name: str, lines: int = 20) -> str:
        """Return the last lines that a unit logged."""
        field = "_SYSTEMD_UNIT" if self.user is None else "_SYSTEMD_USER_UNIT"
        command = ["journalctl", "--no-pager", "--output=cat", f"--lines={lines}", f"{field}={name}"]
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()

    def bring(self, verb: str, name: str) -> None:
        """Enable, start or restart a unit; on failure tell what it logged."""
        if verb != "enable":
            self.command("reset-failed", name)
        answer = self.command(verb, name)
        if answer.returncode:
            who = f" of user {self.user.pw_name}" if self.user else ""
            text = answer.stderr.strip()
            raise UnitError(f"{name}{who} could not be brought to {verb}: {text}\nIts last lines:\n{self.log(name)}")
