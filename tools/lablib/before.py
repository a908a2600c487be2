# SPDX-License-Identifier: Apache-2.0
"""What of the machine the lab changes outside of its own directory, and how that is put back."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from lablib.machine import output
from lablib.paths import Paths

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# What podman and its helpers make outside of the directories that they are told.
FILES = (
    "/run/containers/networks/ipam.db",
    "/run/lock/netavark.lock",
    "/var/lib/containers/cache/blob-info-cache-v1.boltdb",
)
FOLDERS = (
    "/run/containers",
    "/run/crun",
    "/run/netavark",
    "/run/netns",
    "/run/runc",
    "/sys/fs/cgroup/libpod_parent",
    "/sys/fs/cgroup/unified/libpod_parent",
    "/var/lib/containers",
)


def remember(paths: Paths) -> None:
    """Write down, once, what must be put back."""
    record = paths.state / "before.json"
    if not record.exists():
        there = [path for path in (*FILES, *FOLDERS) if Path(path).exists()]
        facts = {"ip_forward": FORWARD.read_text().strip(), "there": there, "rules": rules()}
        record.write_text(json.dumps(facts) + "\n")


def restore(paths: Paths, interface: str) -> None:
    """Put it back; nothing runs any more."""
    record = paths.state / "before.json"
    facts: dict[str, Any] = {"ip_forward": "", "there": [*FILES, *FOLDERS], "rules": []}
    if record.exists():
        facts = json.loads(record.read_text())
    subprocess.run(["ip", "link", "delete", interface], capture_output=True, check=False)
    for command in undo(rules(), facts["rules"]):
        subprocess.run(command, capture_output=True, check=False)
    if facts["ip_forward"] == "0":
        FORWARD.write_text("0\n")
    for stray in (Path(path) for path in FILES if path not in facts["there"]):
        stray.unlink(missing_ok=True)
    for stray in (Path(path) for path in FOLDERS if path not in facts["there"]):
        remove_empty(stray)


def rules() -> list[str]:
    """Return the lines of all iptables rules and chains that podman's network helper made, as `table line`."""
    found = []
    for table in ("filter", "nat") if shutil.which("iptables") else ():
        lines = output("iptables", "-w", "-t", table, "-S").splitlines()
        found += [f"{table} {line}" for line in lines if "NETAVARK" in line]
    if "table inet netavark" in (output("nft", "list", "tables") if shutil.which("nft") else ""):
        found.append("nft table inet netavark")
    return found


def undo(now: list[str], before: list[str]) -> list[list[str]]:
    """Return the commands that remove what is new: rules first, then the chains, which are empty by then."""
    new = [shlex.split(line) for line in now if line not in before]
    commands = [["nft", "delete", *words[1:]] for words in new if words[0] == "nft"]
    for kind, flag in (("-A", "-D"), ("-N", "-X")):
        commands += [["iptables", "-w", "-t", words[0], flag, *words[2:]] for words in new if words[1] == kind]
    return commands


def remove_empty(top: Path) -> None:
    """Remove a folder and those in it, if nothing is in them: control groups, and what podman made for others too."""
    for directory, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()
