# SPDX-License-Identifier: Apache-2.0
"""The names under which clients find the public services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def public_names(services: Mapping[str, Mapping[str, Any]], domain: str) -> list[str]:
    """Return each full name once, in the order of the map; the aliases of a service follow its name."""
    names: dict[str, None] = {}
    for line in services.values():
        for label in [line["public"], *line.get("aliases", [])] if "public" in line else []:
            names[f"{label}.{domain}"] = None
    return list(names)
