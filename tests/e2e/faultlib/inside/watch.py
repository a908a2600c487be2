# SPDX-License-Identifier: Apache-2.0
"""Wait until all services are healthy and each API answers; print how many seconds that took since a moment.

Given as JSON: `services`; `since`, seconds of the clock; `before`, the main process of each container that must be
another one; `seconds`, how long to wait; `log`, what ask_apis.py writes, or nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

PREFIX = "hotstack-os-"
TAIL = 1 << 18


def say(*command: str) -> str:
    """Return what a command prints, whatever it returns."""
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def containers() -> dict[str, tuple[int, bool]]:
    """Return the main process of each container, and whether it is healthy."""
    try:
        records = json.loads(say("podman", "ps", "--format=json", f"--filter=name=^{PREFIX}") or "[]")
    except ValueError:
        return {}
    return {
        record["Names"][0].removeprefix(PREFIX): (int(record["Pid"]), "(healthy)" in record["Status"])
        for record in records or []
    }


def answers(log: str) -> dict[str, list[tuple[float, bool]]]:
    """Return for each API when it answered and whether it was well, in order."""
    found: dict[str, list[tuple[float, bool]]] = {}
    with open(log, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
        for line in file.read().decode(errors="replace").splitlines()[1:]:
            try:
                start, seconds, api, error = json.loads(line)
            except ValueError:
                continue
            found.setdefault(api, []).append((start + seconds, not error))
    return found


def well_since(ends: list[tuple[float, bool]], since: float) -> float | None:
    """Return when an API began to answer for good; nothing if its last answer is a failure or older than `since`."""
    if not ends or not ends[-1][1] or ends[-1][0] < since:
        return None
    begin = ends[-1][0]
    for moment, good in reversed(ends):
        if not good:
            break
        begin = moment
    return max(begin, since)


def lacking(services: list[str], before: dict[str, int], now: dict[str, tuple[int, bool]]) -> list[str]:
    """Return the services that are not healthy, or not yet another process."""
    return [
        name for name in services if name not in now or not now[name][1] or now[name][0] in (0, before.get(name, 0))
    ]


def main() -> None:
    """Look until all is well or time is up."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    services, since, before = given["services"], given["since"], given["before"]
    units = ["hotstack-os.target", *(f"{PREFIX}{name}.service" for name in services)]
    end = time.time() + given["seconds"]
    healthy: float | None = None
    while True:
        begin = time.time()
        now = containers()
        left = lacking(services, before, now)
        states = say("systemctl", "is-active", *units).split()
        left += [unit for unit, state in zip(units, states) if state != "active"]
        healthy = None if left else healthy or begin
        moments = [healthy]
        if healthy and given["log"]:
            ends = answers(given["log"])
            for api in ("keystone", "nova", "neutron", "glance", "cinder", "heat"):
                moments.append(well_since(ends.get(api, []), since))
                if moments[-1] is None:
                    left.append(f"API of {api}")
        if not left or begin > end:
            break
        time.sleep(0.3)
    seconds = max(0.0, max(moment or 0.0 for moment in moments) - since) if not left else None
    print(json.dumps({"seconds": seconds, "left": left, "processes": {name: pid for name, (pid, _) in now.items()}}))


if __name__ == "__main__":
    main()
