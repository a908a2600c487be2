# SPDX-License-Identifier: Apache-2.0
"""What a cloud should hold for its users, compared with what it holds: decisions alone, without a call.

The program `cloud_work` uses it inside a container, so it needs only the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# A name for users, the service that keeps the quota, and the service's own name for it.
QUOTAS = {
    **{name: ("compute", name) for name in ("cores", "ram", "instances", "key_pairs")},
    **{name: ("compute", name) for name in ("server_groups", "server_group_members")},
    "networks": ("network", "network"),
    "subnets": ("network", "subnet"),
    "ports": ("network", "port"),
    "routers": ("network", "router"),
    "floating_ips": ("network", "floatingip"),
    "security_groups": ("network", "security_group"),
    "security_group_rules": ("network", "security_group_rule"),
    **{name: ("block_storage", name) for name in ("volumes", "snapshots", "gigabytes", "per_volume_gigabytes")},
}

# What can't be changed once it is there. A flavor is replaced instead: servers keep a copy of theirs.
FIXED = {
    "network": ("provider:network_type", "provider:physical_network"),
    "subnet": ("cidr", "ip_version"),
}
REPLACED = ("flavor", "keypair")

# What is made here says so: by a flavor's description, an image's tag. A snapshot of a server gets neither, unlike the
# properties of its image.
MARK = "hotstack.os.post_setup"
MARKS: dict[str, dict[str, Any]] = {"flavor": {"description": MARK}, "image": {"tags": [MARK]}}

# What an image was made from, noted on it.
SOURCE, CHECKSUM = "hotstack_os_source", "hotstack_os_checksum"
# The name of an image until all of it is there.
UPLOADING = "{name}.uploading"


class CloudError(Exception):
    """Something that can't be brought to what is wanted, and why."""


@dataclass(frozen=True)
class Step:
    """Create something, update some values of it, or replace it."""

    verb: str
    kind: str
    name: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


def decide(kind: str, wanted: Mapping[str, Any], found: Mapping[str, Any] | None) -> Step | None:
    """Return the step from what was found to what is wanted; None if there is nothing to do."""
    name = str(wanted.get("name", kind))
    if found is None:
        return Step("create", kind, name, {}, wanted)
    after = {key: value for key, value in wanted.items() if not same(key, value, found.get(key))}
    if not after:
        return None
    before = {key: found.get(key) for key in after}
    for key in FIXED.get(kind, ()):
        if key in after:
            raise CloudError(
                f"The {kind} '{name}' has the {key} '{before[key]}' instead of '{after[key]}', which can't be changed;"
                " remove it, or describe it as it is."
            )
    return Step("replace" if kind in REPLACED else "update", kind, name, before, after)


def same(key: str, wanted: Any, found: Any) -> bool:
    """Return whether two values mean the same."""
    if key == "allocation_pools":
        return sorted(map(pool_key, wanted)) == sorted(map(pool_key, found or []))
    if key == "external_gateway_info":
        return bool(found) and found.get("network_id") == wanted["network_id"]
    if key == "public_key":
        return key_body(wanted) == key_body(found or "")
    if isinstance(wanted, str) and found is not None and not isinstance(found, str):
        # A property of an image is a text, whatever type a client knows it by.
        return wanted.lower() == str(found).lower()
    return bool(wanted == found)


def pool_key(pool: Mapping[str, str]) -> tuple[str, str]:
    """Return a pool in a form that can be compared."""
    return (pool["start"], pool["end"])


def key_body(public_key: str) -> list[str]:
    """Return type and key of a public key, without its comment."""
    return public_key.split()[:2]


def own(
    kind: str, name: str, found: Iterable[Mapping[str, Any]], project: str | None, projects: Mapping[str, str]
) -> Mapping[str, Any] | None:
    """Return the one with this name that belongs to the project; one of another project alone is refused."""
    named = [item for item in found if item.get("name") == name]
    ours = [item for item in named if owner(item) == project]
    if len(ours) > 1:
        ids = ", ".join(str(item["id"]) for item in ours)
        raise CloudError(f"There are {len(ours)} of the {kind} '{name}' ({ids}); remove all but one.")
    if named and not ours:
        other = owner(named[0]) or ""
        raise CloudError(
            f"The {kind} '{name}' belongs to the project '{projects.get(other, other)}' already; rename or remove it."
        )
    return ours[0] if ours else None


def refuse_taken(line: Mapping[str, Any], networks: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a flat network whose physical network is that of another one."""
    for item in networks:
        flat = item.get("provider:network_type") == "flat"
        if flat and item.get("provider:physical_network") == line["physical_network"] and item["name"] != line["name"]:
            raise CloudError(
                f"The physical network '{line['physical_network']}' is that of the network '{item['name']}'"
                f" ({item['id']}) already; rename that one to '{line['name']}', or remove it."
            )


def owner(item: Mapping[str, Any]) -> str | None:
    """Return the project that something belongs to; for an image Glance calls it the owner."""
    found = item.get("project_id") or item.get("tenant_id") or item.get("owner")
    return str(found) if found else None


def quotas_of(service: str, wanted: Mapping[str, int]) -> dict[str, int]:
    """Return the quotas that a service keeps, by its own names; a template may have made a text of a number."""
    return {QUOTAS[name][1]: int(value) for name, value in wanted.items() if QUOTAS[name][0] == service}


def other_quotas(service: str, wanted: Mapping[str, int]) -> list[str]:
    """Return the quotas of a service that are not wanted otherwise than by default, by its own names."""
    return [own for name, (keeper, own) in QUOTAS.items() if keeper == service and name not in wanted]


def is_marked(kind: str, item: Mapping[str, Any]) -> bool:
    """Return whether something was made here."""
    if kind == "image":
        return MARK in (item.get("tags") or [])
    return item.get("description") == MARK


def leftovers(
    kind: str, wanted: Iterable[Mapping[str, Any]], found: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return what was made here and is not described any more; a hidden image is an earlier content of one."""
    names = {line["name"] for line in wanted}
    return [item for item in found if is_marked(kind, item) and item.get("name") not in names]


def flavor_values(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flavor as Nova knows it."""
    sizes = {key: line[key] for key in ("vcpus", "ram", "disk")}
    return {"name": line["name"], **sizes, "os-flavor-access:is_public": True}


def network_values(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network as Neutron knows it."""
    values = {"name": line["name"], "shared": line["shared"], "router:external": line["external"]}
    if line["physical_network"]:
        values.update({"provider:network_type": "flat", "provider:physical_network": line["physical_network"]})
    if line["mtu"]:
        values["mtu"] = line["mtu"]
    return values


def subnet_values(line: Mapping[str, Any], network_id: str | None) -> dict[str, Any]:
    """Return a subnet as Neutron knows it; a gateway and pools that are not described are Neutron's choice."""
    values = {
        "name": line["subnet"],
        "network_id": network_id,
        "ip_version": 4,
        "cidr": line["cidr"],
        "enable_dhcp": line["dhcp"],
        "dns_nameservers": list(line["dns_servers"]),
    }
    if line["gateway"]:
        values["gateway_ip"] = line["gateway"]
    if line["pools"]:
        ends = [pool.partition("-") for pool in line["pools"]]
        values["allocation_pools"] = [{"start": start.strip(), "end": end.strip()} for start, _dash, end in ends]
    return values


def rule_values(line: Mapping[str, Any], group_id: str | None) -> dict[str, Any]:
    """Return a rule that lets something in from everywhere."""
    return {
        "security_group_id": group_id,
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": line["protocol"],
        "port_range_min": line["port"],
        "port_range_max": line["port"],
        "remote_ip_prefix": "0.0.0.0/0",
    }


def has_rule(wanted: Mapping[str, Any], rules: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether one of the rules lets the same in; no prefix and no group means everywhere."""
    return any(
        all(rule.get(key) == value for key, value in wanted.items() if key != "remote_ip_prefix")
        and (rule.get("remote_ip_prefix") or wanted["remote_ip_prefix"]) == wanted["remote_ip_prefix"]
        and not rule.get("remote_group_id")
        for rule in rules
    )


def image_values(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return an image as Glance knows it, but for its content."""
    noted = {SOURCE: line["source"]}
    if line["checksum"] and "://" not in line["checksum"]:
        noted[CHECKSUM] = line["checksum"]
    properties = {name: text(value) for name, value in line["properties"].items()}
    return {"name": line["name"], "visibility": line["visibility"], **properties, **noted}


def text(value: Any) -> str:
    """Return the value of a property the way Nova reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def lacks_content(line: Mapping[str, Any], found: Mapping[str, Any] | None) -> bool:
    """Return whether Glance lacks the content of an image, as far as can be told without the content itself."""
    if found is None or found.get("disk_format") != line["disk_format"]:
        return True
    algorithm, _colon, digest = line["checksum"].partition(":")
    if line["sha512"]:
        return bool(found.get("os_hash_value") != line["sha512"])
    if digest and "://" not in digest:
        known = {"sha512": found.get("os_hash_value"), "md5": found.get("checksum")}.get(algorithm)
        return digest not in (known, str(found.get(CHECKSUM)).partition(":")[2])
    # Without a checksum an image with this name is the right one, unless it is known to come from elsewhere.
    return bool(line["refresh"]) or found.get(SOURCE, line["source"]) != line["source"]


def replaced_name(image: Mapping[str, Any]) -> str:
    """Return the name for an earlier content of an image."""
    return f"{image['name']}-{image['created_at']}"


def too_large(flavors: Iterable[Mapping[str, Any]], hosts: Sequence[Mapping[str, int]]) -> list[str]:
    """Return the flavors of which no host can run a server; `hosts` have the most that one server may get."""
    units = {"vcpus": ("VCPU", "vCPUs"), "ram": ("MEMORY_MB", "MB of memory"), "disk": ("DISK_GB", "GB of disk")}
    most = {key: max((host.get(unit, 0) for host in hosts), default=0) for key, (unit, _word) in units.items()}
    found = []
    for flavor in flavors:
        over = [
            f"{flavor[key]} {word}, of which a host has {most[key]}"
            for key, (_unit, word) in units.items()
            if most[key] and flavor[key] > most[key]
        ]
        if over:
            found.append(f"{flavor['name']} ({', '.join(over)})")
    return found
