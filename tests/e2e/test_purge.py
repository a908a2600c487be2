# SPDX-License-Identifier: Apache-2.0
"""`tools/lab down --purge` leaves the machine as it was.

It is tried on another lab, in a folder of its own: it stands beside ours and takes nothing from it but the images.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import TOOL, Lab

STATE = "/var/lib/hotstack-lab-purge"
OURS = os.environ.get("HOTSTACK_LAB_DIR") or "/var/lib/hotstack-lab"
# What changes by itself, or belongs to the labs that run meanwhile.
OTHERS = (OURS, "/var/lib/systemd", "/var/lib/apt", "/var/lib/PackageKit")
ENVIRONMENT = {
    **os.environ,
    "HOTSTACK_LAB_NAME": "hotstack-purge",
    "HOTSTACK_LAB_DIR": STATE,
    "HOTSTACK_LAB_IMAGES": f"{OURS}/storage",
}


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tools/lab for the other lab."""
    return subprocess.run([TOOL, *arguments], check=False, capture_output=True, text=True, timeout=900, env=ENVIRONMENT)


def lines(*command: str) -> list[str]:
    """Return what a command of the machine prints; nothing if it isn't there."""
    if not shutil.which(command[0]):
        return []
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.splitlines()


def files(top: str) -> set[str]:
    """Return each file below a folder with its mode and, if it is small, its content's digest."""
    found = set()
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if not f"{folder}/{name}".startswith(OTHERS)]
        for path in (Path(folder, name) for name in [*folders, *names]):
            try:
                known = path.lstat()
                # Our own look at the user's podman writes into its lock files.
                small = path.is_file() and not path.is_symlink() and known.st_size < 100_000 and path.suffix != ".lock"
                content = hashlib.sha256(path.read_bytes()).hexdigest() if small else ""
            except OSError:
                continue
            found.add(f"{path} {known.st_mode:o} {content}")
    return found


def processes() -> set[str]:
    """Return the processes that have to do with the other lab: by their command, environment or mounts."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parts = [(process / name).read_bytes() for name in ("cmdline", "environ", "mountinfo")]
        except OSError:
            continue
        if int(process.name) != os.getpid() and any(b"hotstack-lab-purge" in part for part in parts):
            found.add(f"{process.name} {parts[0].decode(errors='replace')}")
    return found


def machine() -> dict[str, set[str]]:
    """Return what must be the same before and after."""
    # Podman first: it makes its folders when it is asked for the first time, which is our look and not the lab's doing.
    podman = {
        "containers": set(lines("podman", "ps", "--all", "--quiet")),
        "images": set(lines("podman", "images", "--all", "--quiet")),
        "networks": set(lines("podman", "network", "ls", "--quiet")),
        "volumes": set(lines("podman", "volume", "ls", "--quiet")),
    }
    return podman | {
        "files in /etc": files("/etc"),
        "files in /var/lib": files("/var/lib"),
        "interfaces": {line.split(":")[1].strip() for line in lines("ip", "-oneline", "link") if "veth" not in line},
        "addresses": {line.strip() for line in lines("ip", "-oneline", "address") if "veth" not in line},
        "mounts": set(Path("/proc/self/mounts").read_text().splitlines()),
        "processes": processes(),
        "rules": {line for table in ("filter", "nat") for line in lines("iptables", "-t", table, "-S")},
        "tables": set(lines("nft", "list", "tables")),
        "forwarding": {Path("/proc/sys/net/ipv4/ip_forward").read_text()},
        "in /run": {str(path) for path in Path("/run").iterdir()},
    }


@pytest.fixture
def purged() -> Iterator[None]:
    """Leave nothing of the other lab, whatever happened."""
    tool("down", "--purge")
    yield
    tool("down", "--purge")


@pytest.mark.usefixtures("purged")
def test_purge_leaves_the_machine_as_it_was(lab: Lab) -> None:
    """Look at the machine, make a lab host, use and reboot it, remove it, look again."""
    lab.run("true")
    before = machine()
    started = tool("up")
    assert started.returncode == 0, started.stderr
    assert "build" not in started.stderr
    assert tool("exec", "--", "getent", "hosts", "localhost").returncode == 0
    assert tool("reboot").returncode == 0
    during = machine()
    assert during["interfaces"] > before["interfaces"]
    assert during["processes"]
    removed = tool("down", "--purge")
    assert removed.returncode == 0, removed.stderr
    assert not Path(STATE).exists()
    after = machine()
    different = {what: sorted(before[what] ^ after[what]) for what in before if before[what] != after[what]}
    assert different == {}
    assert lab.run("getent", "hosts", "localhost"), "the labs beside it go on"
    assert "There is no lab" in tool("down").stderr
