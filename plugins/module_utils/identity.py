# SPDX-License-Identifier: Apache-2.0
"""What must be registered in Keystone, and the steps from what is there.

Every object is a `Thing`: a kind, a key that people use (names, never ids), values that must hold and references to
other things whose ids Keystone wants. So one comparison serves regions, domains, roles, projects, users, services,
endpoints and grants alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, ...]
Name = tuple[str, Key]

INTERFACES = ("public", "internal", "admin")


@dataclass(frozen=True)
class Thing:
    """One object that must exist with these values."""

    kind: str
    key: Key
    values: Mapping[str, Any] = field(default_factory=dict)
    references: Mapping[str, Name] = field(default_factory=dict)
    # Only compared by trying, never read or shown.
    password: str = ""

    @property
    def name(self) -> Name:
        """The name under which a state keeps it."""
        return (self.kind, self.key)


# What Keystone has: the id, the values and, for a user, whether the wanted password is right (`verified`).
State = dict[Name, dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """Create a thing, or update these values of it."""

    verb: str
    thing: Thing
    values: Mapping[str, Any]


def wanted_things(params: Mapping[str, Any], passwords: Mapping[str, str]) -> list[Thing]:
    """Return everything that the module's parameters ask for, each after what it refers to."""
    region = params["region"]
    things = [Thing("region", (region,), {"id": region})]
    for domain in params["domains"]:
        values = {"name": domain["name"], "description": domain["description"], "enabled": True}
        things.append(Thing("domain", (domain["name"],), values))
    things += [Thing("role", (role,), {"name": role}) for role in params["roles"]]
    for project in params["projects"]:
        values = {"name": project["name"], "description": project["description"], "enabled": True}
        things.append(_inside_domain("project", project, values))
    for user in params["users"]:
        values = {"name": user["name"], "description": user["description"], "enabled": True}
        things.append(_inside_domain("user", user, values, passwords[user["password_credential"]]))
        things += [_grant(user, grant) for grant in user["grants"]]
    for service in params["services"]:
        kind = service["type"]
        values = {"type": kind, "name": service["name"], "description": service["description"], "enabled": True}
        things.append(Thing("service", (kind,), values))
        for interface in INTERFACES:
            values = {"interface": interface, "url": service["url"], "region_id": region, "enabled": True}
            key = (kind, region, interface)
            things.append(Thing("endpoint", key, values, {"service_id": ("service", (kind,))}))
    return things


def _inside_domain(kind: str, item: Mapping[str, Any], values: Mapping[str, Any], password: str = "") -> Thing:
    domain = item["domain"]
    return Thing(kind, (domain, item["name"]), values, {"domain_id": ("domain", (domain,))}, password)


def _grant(user: Mapping[str, Any], grant: Mapping[str, Any]) -> Thing:
    """Return a role of a user, on a project of the domain Default or on a domain."""
    target: Name = ("project", ("Default", grant["project"])) if grant["project"] else ("domain", (grant["domain"],))
    user_name: Name = ("user", (user["domain"], user["name"]))
    references: dict[str, Name] = {"user": user_name, "role": ("role", (grant["role"],)), "target": target}
    return Thing("grant", (*user_name[1], grant["role"], target[0], *target[1]), {}, references)


def plan(wanted: list[Thing], state: State) -> list[Step]:
    """Return the steps that are missing, in order."""
    steps = []
    for thing in wanted:
        present = state.get(thing.name)
        if present is None:
            steps.append(Step("create", thing, _with_password(thing, thing.values)))
            continue
        different = {name: value for name, value in thing.values.items() if present.get(name) != value}
        if thing.password and not present.get("verified"):
            different = _with_password(thing, different)
        if different:
            steps.append(Step("update", thing, different))
    return steps


def _with_password(thing: Thing, values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "password": thing.password} if thing.password else dict(values)


def describe(things: list[Thing], state: State | None = None, steps: list[Step] | None = None) -> str:
    """Return things as text for a diff: as a state has them, or as they are wanted; without passwords."""
    replaced = {step.thing.name for step in steps or [] if "password" in step.values}
    lines = []
    for thing in things:
        present = thing.values if state is None else state.get(thing.name)
        if present is None:
            continue
        lines.append(f"{thing.kind} {' '.join(thing.key)}")
        lines += [f"  {name}: {present.get(name)}" for name in thing.values if name != "id"]
        if state is None and thing.name in replaced:
            lines.append("  password: (hidden, another one)")
    return "".join(f"{line}\n" for line in lines)
