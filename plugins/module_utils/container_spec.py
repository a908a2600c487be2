# SPDX-License-Identifier: Apache-2.0
"""What a definition of a container may say, and whether it makes sense on this map."""

from __future__ import annotations

import os
import re
from typing import Any

Definition = dict[str, Any]

CONFIG_OPTIONS: dict[str, Any] = {
    "src": {"type": "str", "required": True},
    "dest": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0640"},
}

DIRECTORY_OPTIONS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "dest": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0750"},
    "options": {"type": "str", "default": "rw,z"},
}

CONTAINER_OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "image": {"type": "str"},
    "command": {"type": "list", "elements": "str", "default": []},
    "user": {"type": "str"},
    "config": {"type": "list", "elements": "dict", "options": CONFIG_OPTIONS, "default": []},
    "directories": {"type": "list", "elements": "dict", "options": DIRECTORY_OPTIONS, "default": []},
    "volumes": {"type": "list", "elements": "str", "default": []},
    "network": {"type": "str", "choices": ["bridge", "host", "none"]},
    "publish": {"type": "list", "elements": "str", "default": []},
    "health": {"type": "str"},
    "privileged": {"type": "bool", "default": False},
    "capabilities": {"type": "list", "elements": "str", "default": []},
    "environment": {"type": "dict", "default": {}},
    "ulimits": {"type": "list", "elements": "str", "default": []},
    "memory": {"type": "str"},
    "essential": {"type": "bool", "default": False},
    "hostname": {"type": "str"},
    "start_timeout": {"type": "int", "default": 300},
    "stop_timeout": {"type": "int", "default": 30},
    "tmpfs": {"type": "list", "elements": "str", "default": []},
    "unit": {"type": "dict", "default": {}},
    "labels": {"type": "dict", "default": {}},
}

ARGUMENT_SPEC: dict[str, Any] = {
    "containers": {"type": "list", "elements": "dict", "options": CONTAINER_OPTIONS},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

UNIT_SECTIONS = ("Unit", "Container", "Service")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MODE = re.compile(r"0?[0-7]{3,4}")
MEMORY = re.compile(r"[1-9][0-9]*[kmgKMG]")


def listing(names: Any) -> str:
    """Return names as a sentence says them."""
    return ", ".join(sorted(names)) or "none"


def _paths(where: str, definition: Definition) -> list[str]:
    """Say what is wrong with the paths and modes of a definition."""
    problems = []
    for file in definition["config"]:
        if not file["dest"].startswith("/") or file["dest"].endswith("/"):
            problems.append(f"{where}: config dest '{file['dest']}' must be an absolute path of a file.")
    names = [os.path.basename(file["dest"]) for file in definition["config"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"{where}: two config files are called '{name}'; they share a folder on the host.")
    for directory in definition["directories"]:
        for key in ("path", "dest"):
            if not directory[key].startswith("/") or os.path.normpath(directory[key]) == "/":
                problems.append(f"{where}: directory {key} '{directory[key]}' must be an absolute path and not /.")
    for entry in [*definition["config"], *definition["directories"]]:
        if not MODE.fullmatch(entry["mode"]):
            problems.append(f"{where}: mode '{entry['mode']}' of {entry['dest']} must be octal, such as '0640'.")
    return problems


def _values(where: str, definition: Definition) -> list[str]:
    """Say what is wrong with the plain values of a definition."""
    problems = [
        f"{where}: {key} is {definition[key]}; it must be a positive number of seconds."
        for key in ("start_timeout", "stop_timeout")
        if definition[key] <= 0
    ]
    if definition["memory"] is not None and not MEMORY.fullmatch(definition["memory"]):
        problems.append(f"{where}: memory '{definition['memory']}' must be a number with k, m or g, such as '512m'.")
    for section, lines in definition["unit"].items():
        if section not in UNIT_SECTIONS:
            problems.append(f"{where}: unit section '{section}' is not one of {', '.join(UNIT_SECTIONS)}.")
        elif not isinstance(lines, dict):
            problems.append(f"{where}: unit section '{section}' must be a dictionary of keys and values.")
    return problems


def _references(
    where: str,
    definition: Definition,
    services: dict[str, dict[str, Any]],
    images: dict[str, Any],
    users: dict[str, int],
) -> list[str]:
    """Say which names of a definition lead nowhere."""
    name, image, user = definition["name"], definition["image"], definition["user"]
    if name not in services:
        return [f"Container '{name}' is not on the map hotstack_os_services. Known services: {listing(services)}."]
    problems = []
    line = services[name]
    if image is None:
        problems.append(f"{where}: image is missing.")
    elif image not in images:
        problems.append(f"{where}: image '{image}' is not one of hotstack_os_images: {listing(images)}.")
    if user is not None and user not in users:
        problems.append(f"{where}: user '{user}' is not one of hotstack_os_users: {listing(users)}.")
    if line.get("one_shot") and definition["health"]:
        problems.append(f"{where}: a one-shot ends, so it has no health.")
    if not line.get("one_shot") and not definition["health"]:
        problems.append(f"{where}: health is missing; nothing could wait for this service.")
    if definition["publish"] and network_of(definition, line) != "bridge":
        problems.append(f"{where}: publish needs the network 'bridge'.")
    for need in line.get("needs", []):
        if need not in services:
            problems.append(f"{where}: it needs '{need}', which is not on the map hotstack_os_services.")
    return problems


def network_of(definition: Definition, line: dict[str, Any]) -> str:
    """Return the network of a container: what it says, otherwise what its line on the map implies."""
    if definition["network"]:
        return str(definition["network"])
    return "bridge" if "address" in line or line.get("one_shot") else "host"


def problems_of(
    definitions: list[Definition],
    services: dict[str, dict[str, Any]],
    images: dict[str, Any],
    users: dict[str, int],
) -> list[str]:
    """Return a sentence for everything in these definitions that cannot work."""
    problems = []
    names = [definition["name"] for definition in definitions]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"Container '{name}' is defined twice.")
    for definition in definitions:
        where = f"Container '{definition['name']}'"
        problems += _references(where, definition, services, images, users)
        problems += _paths(where, definition)
        problems += _values(where, definition)
    return problems


def problems_of_absent(definitions: list[Definition] | None) -> list[str]:
    """Return a sentence for every name that cannot be one of ours."""
    return [
        f"Container '{definition['name']}' is no name of a service: small letters, digits and dashes."
        for definition in definitions or []
        if not NAME.fullmatch(definition["name"])
    ]


def unit_lines(definition: Definition, section: str) -> list[str]:
    """Return the further lines that a definition has for a section of its unit."""
    lines = []
    for key, value in definition["unit"].get(section, {}).items():
        lines += [f"{key}={each}" for each in (value if isinstance(value, list) else [value])]
    return lines
