# SPDX-License-Identifier: Apache-2.0
"""Whether a started container has become what it should be, from what `systemctl show` says of its unit."""

from __future__ import annotations

from dataclasses import dataclass

# A start that ended this often will not succeed by waiting; systemd goes on trying all the same.
RESTARTS_ALLOWED = 3

# For so many seconds, times the host's time factor, nothing may happen while all that is left waits for something else.
STANDSTILL = 60.0

PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "Result", "NRestarts", "Job", "ExecMainStatus")


def parse_show(output: str) -> dict[str, dict[str, str]]:
    """Return the properties of each unit in the output of `systemctl show`."""
    units = {}
    for block in output.strip().split("\n\n"):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in properties:
            units[properties["Id"]] = properties
    return units


@dataclass
class Watch:
    """What has been seen of one unit since it was told to start."""

    name: str
    timeout: int
    one_shot: bool = False
    began: float | None = None  # when it was first seen starting; a unit that waits for another has not begun
    restarts_before: int | None = None  # an explicit start resets systemd's counter, so it may sink once

    def verdict(self, unit: dict[str, str], now: float, stamped: bool) -> str | None:
        """Return "ready", None to go on waiting, or a phrase that says why waiting is of no use."""
        pending = unit.get("Job", "0") not in ("", "0")
        state = unit.get("ActiveState", "inactive")
        if not pending and self._done(state, stamped):
            return "ready"
        count = int(unit.get("NRestarts") or 0)
        self.restarts_before = count if self.restarts_before is None else min(self.restarts_before, count)
        restarted = count - self.restarts_before
        if state == "activating" and self.began is None:
            self.began = now
        waited = 0 if self.began is None else round(now - self.began)
        cause = ""
        if unit.get("Result", "success") != "success":
            cause = f" (result {unit['Result']}, exit status {unit.get('ExecMainStatus', 'unknown')})"
        reason = None
        if unit.get("LoadState", "loaded") != "loaded":
            reason = f"because systemd could not load its unit ({unit['LoadState']})"
        elif state in ("failed", "inactive") and not pending:
            reason = f"after {waited} s{cause}"
        elif restarted >= RESTARTS_ALLOWED:
            reason = f"after {waited} s and {restarted} restarts{cause}"
        elif self.began is not None and now - self.began >= self.timeout:
            reason = f"within {self.timeout} s ({restarted} restarts)"
        return reason

    def _done(self, state: str, stamped: bool) -> bool:
        """Whether a unit without a pending job is what it should be."""
        if self.one_shot:
            return stamped and state in ("active", "inactive")
        return state == "active"
