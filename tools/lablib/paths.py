# SPDX-License-Identifier: Apache-2.0
"""Where the lab keeps things: all below one directory, so that removing it removes the lab."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lablib.process import LabError

ROOT = Path(__file__).resolve().parent.parent.parent
DEFINITION = ROOT / "molecule" / "lab_host"
IMAGE = "localhost/hotstack-lab"


@dataclass(frozen=True)
class Paths:
    """The directories of the lab called `name`; all labs share one podman storage and one cache."""

    name: str
    state: Path
    runtime: Path

    @property
    def lab(self) -> Path:
        """What only this lab has."""
        return self.state / "labs" / self.name

    @property
    def network(self) -> Path | None:
        """The definition of the network that lab hosts are on; its name is the file's and the interface's."""
        return next(iter((self.state / "networks").glob("*.json")), None)

    @property
    def given(self) -> Path:
        """What the lab host is told about the outer machine."""
        return self.lab / "machine"

    @property
    def disks(self) -> Path:
        """The disks of a virtual machine; where they are, the lab host is one."""
        return self.lab / "disks"

    @property
    def pidfile(self) -> Path:
        """The lab host's first process, written by podman."""
        return self.lab / "pid"

    @property
    def cache(self) -> Path:
        """Downloads that outlive a lab host."""
        return self.state / "cache"

    @property
    def logs(self) -> Path:
        """The output of long steps."""
        return self.state / "logs"

    @property
    def timings(self) -> Path:
        """One JSON object a line: how long each phase took."""
        return self.state / "timings.jsonl"


def lab_paths(name: str, state: str) -> Paths:
    """Return the directories of a lab, after looking at the name."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}[a-z0-9]", name):
        rule = "2 to 32 lower-case letters, digits and dashes are allowed, starting with a letter"
        raise LabError(f"HOTSTACK_LAB_NAME is {name!r}: {rule}.")
    directory = Path(state)
    if not directory.is_absolute() or len(directory.parts) < 3:
        raise LabError(f"HOTSTACK_LAB_DIR is {state!r}: an absolute path at least two levels deep is needed.")
    return Paths(name=name, state=directory, runtime=Path("/run") / directory.name)


def from_environment() -> Paths:
    """Return the directories of the lab that the environment names."""
    name = os.environ.get("HOTSTACK_LAB_NAME") or "hotstack-lab"
    return lab_paths(name, os.environ.get("HOTSTACK_LAB_DIR") or "/var/lib/hotstack-lab")
