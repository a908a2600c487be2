# SPDX-License-Identifier: Apache-2.0
"""Whether a running process was started from what is on the disk now.

Only the standard library: a host unit runs this file as well, without Ansible.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping


def parse_environment(data: bytes) -> dict[str, str]:
    """Return the variables in the text of /proc/PID/environ."""
    pairs = (item.partition("=") for item in data.decode(errors="replace").split("\0") if "=" in item)
    return {name: value for name, _equals, value in pairs}


def replaced_library(maps: str) -> str | None:
    """Return a library that the process still has loaded although its file was replaced or removed."""
    for line in maps.splitlines():
        match = re.search(r" r-xp .* (/\S*\.so\S*) \(deleted\)$", line)
        if match:
            return match[1]
    return None


def permitted(status: str) -> int:
    """Return the capabilities that a process has, from the text of /proc/PID/status."""
    match = re.search(r"^CapPrm:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return int(match[1], 16) if match else 0


def outdated(
    pid: int, program: str, capabilities: int = 0, environment: Mapping[str, str] | None = None, proc: str = "/proc"
) -> str | None:
    """Return why the process differs from what a new start would bring, or None if it does not.

    `program` is the file that it should run, `capabilities` the bits that it should have, `environment` the variables.
    """

    def content(name: str) -> bytes:
        with open(os.path.join(proc, str(pid), name), "rb") as file:
            return file.read()

    try:
        found = parse_environment(content("environ"))
        library = replaced_library(content("maps").decode(errors="replace"))
        if any(found.get(name) != value for name, value in (environment or {}).items()):
            return "its configuration changed"
        if not os.path.samefile(os.path.join(proc, str(pid), "exe"), program):
            return "its program was replaced"
        if capabilities & ~permitted(content("status").decode(errors="replace")):
            return "it lacks a capability"
    except (FileNotFoundError, ProcessLookupError):
        # It ended meanwhile, so its next start brings what is there now.
        return None
    return f"its library {os.path.basename(library)} was replaced" if library else None
