# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the map of services, and what follows from it for the ports of the host."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

MAP = "hotstack_os_services"

# The keys of a line, and what their values must be.
KEYS = {
    "address": "a whole number",
    "port": "a whole number",
    "public": "a host name without a dot",
    "aliases": "a list of host names without a dot",
    "check": "a path and a status, such as {path: /v3, status: 200}",
    "needs": "a list of services",
    "one_shot": "true or false",
}
# Those that decide how a service runs and is found: their values may change, but not which of them a line has.
SHAPE = ("address", "port", "public", "one_shot")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def has_form(key: str, value: Any) -> bool:
    """Return whether the value of a key of the map has the right form."""
    if key in ("address", "port"):
        return isinstance(value, int) and not isinstance(value, bool)
    if key == "one_shot":
        return isinstance(value, bool)
    if key == "public":
        return isinstance(value, str) and bool(LABEL.fullmatch(value))
    if key == "check":
        return (
            isinstance(value, Mapping)
            and set(value) == {"path", "status"}
            and bool(re.fullmatch(r"/[!-~]*", str(value["path"])))
            and isinstance(value["status"], int)
            and 100 <= value["status"] <= 599
        )
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) and LABEL.fullmatch(item) for item in value)


def line_problems(name: str, line: Any, highest: int | None) -> Iterator[str]:
    """Yield what is wrong with one line of the map by itself."""
    where = f"{MAP}['{name}']"
    if not isinstance(line, Mapping):
        yield f"{where} is {line!r}, but must be a dictionary."
        return
    for key, value in line.items():
        if key not in KEYS:
            close = difflib.get_close_matches(str(key), list(KEYS), 1, 0.6)
            hint = f"did you mean {close[0]}?" if close else "a line may have " + ", ".join(KEYS) + "."
            yield f"{where} has the unknown key '{key}'; {hint}"
        elif not has_form(key, value):
            yield f"{where}['{key}'] is {value!r}, but must be {KEYS[key]}."
        elif key == "port" and not 1 <= value <= 65535:
            yield f"{where}['port'] is {value}, but must be from 1 to 65535."
        elif key == "address" and highest is not None and not 2 <= value <= highest:
            yield (
                f"{where}['address'] is {value}, but must be from 2 to {highest}, "
                "the lower half of hotstack_os_container_network."
            )
    if line.get("one_shot") is True:
        extra = [key for key in ("address", "port", "public", "aliases", "check") if key in line]
        if extra:
            yield f"{where} is one_shot and has {', '.join(extra)}, but a step that ends may have only needs."
    elif "public" in line and not {"address", "port"} <= set(line):
        yield f"{where} has public, but must have an address and a port too."
    elif "public" not in line and ("aliases" in line or "check" in line):
        key = "aliases" if "aliases" in line else "check"
        yield f"{where} has {key}, but must have public too."


def shape_problems(name: str, line: Mapping[str, Any], shipped: Mapping[str, Any]) -> Iterator[str]:
    """Yield which keys a line has or lacks against the collection's own."""
    lacking = [key for key in SHAPE if shipped.get(key) and not line.get(key)]
    if lacking:
        yield f"{MAP}['{name}'] lacks {', '.join(lacking)}, but must have that: no service can be turned off or hidden."
    extra = [key for key in SHAPE if line.get(key) and not shipped.get(key)]
    if extra:
        yield f"{MAP}['{name}'] has {', '.join(extra)}, but must not, as the collection's own line."


def cycle(services: Mapping[str, Any]) -> list[str]:
    """Return a chain of needs that ends where it began, or an empty list."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done or name not in services:
            return []
        for need in services[name].get("needs", []):
            found = walk(need, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    for name in services:
        found = walk(name, [])
        if found:
            return found
    return []


def entry_ports(services: Mapping[str, Any]) -> dict[str, int]:
    """Return by service the ports at the provider address: those that HAProxy serves, its own and the DNS server's."""
    return {
        name: line["port"]
        for name, line in services.items()
        if "port" in line and ("public" in line or name in ("dnsmasq", "haproxy"))
    }


def clashes(taken: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    """Yield who has the same as somebody before: its name, the other's and what it is."""
    first: dict[Any, str] = {}
    for name, what in taken:
        if what in first:
            yield name, first[what], what
        else:
            first[what] = name


def relation_problems(services: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between lines that are fine by themselves."""
    for name, line in services.items():
        for need in line.get("needs", []):
            if need not in services:
                close = difflib.get_close_matches(need, list(services), 1, 0.6)
                hint = f"did you mean {close[0]}?" if close else "a need must be a service of the map."
                yield f"{MAP}['{name}']['needs'] names the unknown service '{need}'; {hint}"
    chain = cycle(services)
    if chain:
        yield f"{MAP} has the cyclic needs {' -> '.join(chain)}, but no service may need itself."
    addresses = [(name, line["address"]) for name, line in services.items() if "address" in line]
    for name, other, what in clashes(addresses):
        yield f"{MAP}['{name}']['address'] is {what}, but must be a number of its own, and {other} has it."
    entry = entry_ports(services)
    for name, other, what in clashes(entry.items()):
        yield f"{MAP}['{name}']['port'] is {what}, but must be free on the provider address, and {other} has it."
    owners = {line["public"]: name for name, line in reversed(list(services.items())) if "public" in line}
    for name, line in services.items():
        for alias in line.get("aliases", []):
            if alias in owners and alias != line["public"]:
                yield f"{MAP}['{name}']['aliases'] has '{alias}', but must not name what {owners[alias]} has as public."


def service_problems(services: Mapping[str, Any], shipped: Mapping[str, Any], network: str | None) -> list[str]:
    """Return what is wrong with the map; `shipped` is the collection's own, `network` one that is fine, if it is."""
    found: list[str] = []
    for name in services:
        if name not in shipped:
            close = difflib.get_close_matches(str(name), list(shipped), 1, 0.6)
            hint = f"did you mean {close[0]}?" if close else "it must be one of " + ", ".join(shipped) + "."
            found.append(f"{MAP} has the unknown service '{name}'; {hint}")
    missing = [name for name in shipped if name not in services]
    if missing and not found:
        found.append(f"{MAP} lacks {', '.join(missing)}, but must have every service: none can be turned off.")
    highest = IPv4Network(network).num_addresses // 2 - 1 if network else None
    for name, line in services.items():
        found += line_problems(name, line, highest)
    if not found:
        found += (text for name, line in services.items() for text in shape_problems(name, line, shipped[name]))
    return found or list(relation_problems(services))
