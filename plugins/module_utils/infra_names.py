# SPDX-License-Identifier: Apache-2.0
"""The names and ports under which containers are found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Services = Mapping[str, Mapping[str, Any]]


def internal_names(services: Services) -> dict[str, list[str]]:
    """Return the short names of each service with an address: its own, and public ones that no other has before it."""
    taken = {name for name, line in services.items() if "address" in line}
    names: dict[str, list[str]] = {name: [name] for name in services if name in taken}
    for name, line in services.items():
        for other in [line["public"], *line.get("aliases", [])] if name in names and "public" in line else []:
            if other not in taken:
                taken.add(other)
                names[name].append(other)
    return names


def published_ports(services: Services, address: str, *more: int) -> list[str]:
    """Return what to publish at the host's address: the port of every public service, and more ports."""
    ports = {line["port"] for line in services.values() if "public" in line} | set(more)
    return [f"{address}:{port}:{port}" for port in sorted(ports)]
