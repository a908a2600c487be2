# SPDX-License-Identifier: Apache-2.0
"""What a report on a deployment is made of, and which of its lines are the causes of others.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Settings = Mapping[str, Any]

# The file in which the role host_command writes what was deployed.
DEPLOYMENT = "/etc/hotstack-os/deployment.json"
SITE = "ansible-playbook hotstack.os.site"
SETUP = "systemctl restart hotstack-os-infra-setup"

# What may be the cause of others comes first among the causes.
HOST, NETWORK, LIBVIRT, SERVICE, TIE = "host", "network", "libvirt", "services", "cloud"
ORDER = (HOST, NETWORK, LIBVIRT, SERVICE, TIE)


@dataclass(frozen=True)
class Line:
    """One thing that was looked at. What is bad has a cause, and a command to type next."""

    area: str
    name: str
    seen: str
    cause: str = ""
    command: str = ""
    # What this follows from, by the name of another line; such a line is no cause by itself.
    follows: str = ""

    @property
    def good(self) -> bool:
        """Tell whether all is well here."""
        return not self.cause


@dataclass(frozen=True)
class Row:
    """A service in the table."""

    name: str
    unit: str
    health: str
    since: float | None
    restarts: int
    image: str
    release: str
    memory: int | None
    address: str


@dataclass
class Report:
    """The state of a deployment."""

    rows: list[Row] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Tell whether all is well."""
        return all(line.good for line in self.lines)


def unknown(area: str, name: str, reason: str, command: str, follows: str = "") -> Line:
    """Return the line of what can't be found out."""
    return Line(area, name, "not known", reason, command, follows)


def plural(count: int, word: str) -> str:
    """Return a number of things."""
    return f"{count} {word}" + ("" if count == 1 else "s")


def causes(report: Report, services: Mapping[str, Any]) -> list[tuple[Line, list[str]]]:
    """Return the bad lines that follow from no other, the most probable cause first, each with what follows from it."""
    bad = [line for line in report.lines if not line.good]
    own = {line.name for line in bad if not line.follows}
    found = []
    for line in bad:
        if not line.follows or line.follows not in own:
            behind = [other.name for other in bad if other.follows == line.name]
            found.append((line, sorted(set(behind))))
    return sorted(found, key=lambda item: (ORDER.index(item[0].area), -len(item[1]), depth(services, item[0].name)))


def depth(services: Mapping[str, Any], name: str) -> int:
    """Return how many levels of needs are below a service."""
    return 1 + max((depth(services, need) for need in services.get(name, {}).get("needs", [])), default=-1)
