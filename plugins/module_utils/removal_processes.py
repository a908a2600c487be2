# SPDX-License-Identifier: Apache-2.0
"""Which processes a user and the session of the guests have: their control groups tell, as systemd made them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress

from ansible_collections.hotstack.os.plugins.module_utils import removal_traces

# systemd's own hierarchies, the second one where the others are still those of version 1.
SYSTEMD_HIERARCHIES = ("", "name=systemd")
OWNER = re.compile(r"/user[.]slice/user-(\d+)[.]slice/")


def control_groups(pid: str) -> dict[str, str]:
    """Return the control group of a process in each hierarchy of systemd."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        groups = (line.rstrip("\n").split(":", 2)[1:] for line in file)
        return {name: path for name, path in groups if name in SYSTEMD_HIERARCHIES}


def processes_in(pattern: str) -> list[int]:
    """Return the processes whose control group, as the host's systemd calls it, begins so: none of containers."""
    tops = {name: path.removesuffix("/init.scope").rstrip("/") for name, path in control_groups("1").items()}
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            groups = control_groups(pid)
            if any(re.match(re.escape(tops[name]) + pattern, path) for name, path in groups.items() if name in tops):
                found.append(int(pid))
    return found


def user_processes(uid: int) -> list[int]:
    """Return the processes that a user's sessions and service manager started."""
    return processes_in(f"/user[.]slice/user-{uid}[.]slice/")


def session() -> dict[int, str]:
    """Return the processes of our session: guests with their names, others with none.

    The control group tells, even without the user.
    """
    found = {}
    for pid in processes_in(rf"/user[.]slice/user-\d+[.]slice/(.*/)?{re.escape(removal_traces.SESSION_UNIT)}(/|$)"):
        with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            guest = re.search(r"\0guest=([^,\0]+)", file.read().decode(errors="replace"))
            found[pid] = guest[1] if guest else ""
    return found


def session_owners(pids: Iterable[int]) -> tuple[int, ...]:
    """Return the numbers of the users in whose slices these processes of our session are."""
    found = set()
    for pid in pids:
        with suppress(OSError):
            found |= {int(uid) for path in control_groups(str(pid)).values() for uid in OWNER.findall(path)}
    return tuple(sorted(found))
