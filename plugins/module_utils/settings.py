# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the settings: one sentence for each, all at once, and no secret in any."""

from __future__ import annotations

import difflib
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Callable, Optional

from ansible_collections.hotstack.os.plugins.module_utils import time_factor
from ansible_collections.hotstack.os.plugins.module_utils.cloud_settings import WHO
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import BELOW, DATA_NAMES
from ansible_collections.hotstack.os.plugins.module_utils.services import service_problems

PREFIX = "hotstack_os_"

# A rule gets a value of the right type and says what is allowed instead; None if the value is.
Rule = Callable[[Any], Optional[str]]

# What turns a value into its type; it returns the value, and what is allowed instead if that can't be.
Kind = Callable[[Any], Any]

TRUE = frozenset({"y", "yes", "on", "1", "true", "t"})
FALSE = frozenset({"n", "no", "off", "0", "false", "f"})

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"

# Folders that belong to the system; those of TAKEN_BELOW with all that is in them.
TAKEN = ("/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/var", "/var/cache", "/var/lib", "/var/log")
TAKEN_BELOW = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr"),
    *("/var/lib/containers", "/var/run", "/var/tmp"),
)


@dataclass(frozen=True)
class Shipped:
    """What the collection itself brings, to which settings must fit."""

    # The options of the argument spec of the role `settings`.
    options: Mapping[str, Mapping[str, Any]]
    # The names that the role computes.
    derived: frozenset[str]
    # The map of services as it is shipped.
    services: Mapping[str, Any]
    # The releases that have a lock.
    releases: tuple[str, ...]
    credential_names: tuple[str, ...]
    # Those of them that never change.
    fixed_credentials: tuple[str, ...] = ()
    # Interfaces that are ours whatever the settings say.
    interfaces: tuple[str, ...] = ("hotstack-os",)
    # The home of the user that runs guests.
    home: str = ""
    # The options of the argument specs of the layers.
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def shown(value: Any) -> str:
    """Return the value the way a user may have written it: on one line, not too long, without a URL's password."""
    if isinstance(value, str):
        # The digest of an image comes after such a sign too.
        text = "'" + re.sub(WHO + "(?!sha256:)", r"\1***@", value) + "'"
    else:
        text = "empty" if value is None else json.dumps(value, default=str)
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= 100 else text[:96] + "..."


def wrong(name: str, value: Any, allowed: str) -> str:
    """Return the sentence that says so."""
    return f"{name} is {shown(value)}, but must be {allowed}."


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return "did you mean X?" or nothing."""
    # What all names begin with must not make them look alike.
    short = {other[len(PREFIX) :] if other.startswith(PREFIX) else other: other for other in sorted(known)}
    close = difflib.get_close_matches(name[len(PREFIX) :] if name.startswith(PREFIX) else name, list(short), 1, 0.6)
    return f"did you mean {short[close[0]]}?" if close else ""


# --- values by themselves


def number(value: Any, pattern: str, kind: type) -> Any:
    """Return what a text of this form means as a number, and anything else as it is."""
    return kind(value) if isinstance(value, str) and re.fullmatch(pattern, value.strip()) else value


def as_text(value: Any) -> tuple[Any, str | None]:
    """Return texts, and numbers as texts."""
    good = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return (str(value), None) if good else (value, "a text")


def as_int(value: Any) -> tuple[Any, str | None]:
    """Return whole numbers."""
    value = number(value, r"[+-]?\d{1,18}", int)
    return value, None if isinstance(value, int) and not isinstance(value, bool) else "a whole number"


def as_float(value: Any) -> tuple[Any, str | None]:
    """Return numbers."""
    value = number(value, r"[+-]?\d{1,9}(\.\d{1,9})?", float)
    return value, None if isinstance(value, (int, float)) and not isinstance(value, bool) else "a number"


def as_bool(value: Any) -> tuple[Any, str | None]:
    """Return truth values."""
    word = str(value).lower()
    if isinstance(value, (bool, int, str)) and word in TRUE | FALSE:
        return word in TRUE, None
    return value, "true or false"


def as_dict(value: Any) -> tuple[Any, str | None]:
    """Return dictionaries."""
    return value, None if isinstance(value, Mapping) else "a dictionary"


def as_list(value: Any) -> tuple[Any, str | None]:
    """Return lists."""
    return value, None if isinstance(value, (list, tuple)) else "a list"


KINDS: dict[str, Kind] = {
    "str": as_text,
    "path": as_text,
    "int": as_int,
    "float": as_float,
    "bool": as_bool,
    "dict": as_dict,
    "list": as_list,
}


def typed(option: Mapping[str, Any], value: Any) -> tuple[Any, str | None]:
    """Return the value in the type of the option, or what is allowed instead."""
    value, allowed = KINDS[option.get("type", "str")](value)
    if allowed is None and "choices" in option and value not in option["choices"]:
        allowed = "one of " + ", ".join(str(choice) for choice in option["choices"])
    return value, allowed


def between(low: int, high: int) -> Rule:
    """Allow these numbers."""
    return lambda value: None if low <= value <= high else f"a whole number from {low} to {high}"


def ratio(value: float) -> str | None:
    """Allow how many times over something may be promised."""
    return None if 0 < value <= 1000 else "a number above 0 and at most 1000"


def time_limits(value: str) -> str | None:
    """Allow what timeouts may be multiplied with."""
    return None if time_factor.is_setting(value) else "auto or a whole number from 1 to 100"


def matching(pattern: str, allowed: str) -> Rule:
    """Allow what fits the pattern from its beginning to its end."""
    return lambda value: None if re.fullmatch(pattern, value) else allowed


def network(largest: int, smallest: int) -> Rule:
    """Allow IPv4 networks of usable addresses with a prefix in this range."""

    def rule(value: str) -> str | None:
        allowed = f"an IPv4 network with a prefix from /{largest} to /{smallest}, such as 172.31.0.0/{smallest}"
        if not re.fullmatch(r"[0-9.]+/[0-9]{1,2}", value):
            return allowed
        try:
            net = IPv4Network(value, strict=False)
        except ValueError:
            return allowed
        if not largest <= net.prefixlen <= smallest:
            return allowed
        if str(net) != value:
            return f"the network's own address, which is {net}"
        return None if usable(net.network_address) else "a network of addresses that hosts may have"

    return rule


def usable(address: IPv4Address) -> bool:
    """Return whether a host may have such an address."""
    special = address.is_loopback or address.is_multicast or address.is_link_local or address.is_reserved
    return not special and int(address) >> 24 != 0


def address(value: str) -> str | None:
    """Allow IPv4 addresses."""
    try:
        IPv4Address(value)
    except ValueError:
        return "an IPv4 address"
    return None


def domain(value: str) -> str | None:
    """Allow names of DNS zones."""
    if len(value) <= 200 and re.fullmatch(rf"{LABEL}(\.{LABEL})+", value):
        return None
    return "a domain name in lower case with at least one dot, such as cloud.example"


def folder(value: str) -> str | None:
    """Allow folders that may be ours alone."""
    if not value.startswith("/") or posixpath.normpath(value) != value or value.startswith("//"):
        return "an absolute path without '.', '..', double or final slashes"
    if not re.fullmatch(r"[A-Za-z0-9/._+@-]+", value):
        return "a path of letters, digits and the characters / . _ + @ -"
    if value in TAKEN or any((value + "/").startswith(taken + "/") for taken in TAKEN_BELOW):
        return "a folder of its own, outside those of the system"
    return None


def file(value: str) -> str | None:
    """Allow files, or nothing."""
    if value == "" or (posixpath.normpath(value) == value and re.fullmatch(r"/[A-Za-z0-9/._+@-]+", value)):
        return None
    return "empty or the absolute path of a file, of letters, digits and the characters / . _ + @ -"


def url(value: str) -> str | None:
    """Allow web addresses, or nothing. None has a double quote, for apt's configuration has them in such."""
    host = r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])"
    found = re.fullmatch(rf"https?://([^\s/@\"]+@)?{host}(?::(\d{{1,5}}))?(/[!#-~]*)?", value)
    if value == "" or (found and 1 <= int(found[3] or 1) <= 65535):
        return None
    return "empty or a URL such as http://mirror.example:8080/path"


def consoles(value: str) -> str | None:
    """Allow ports where libvirt lets guests have consoles: one, or a range."""
    found = re.fullmatch(r"([1-9]\d{3,4})(?:-([1-9]\d{3,4}))?", value)
    if found and 5900 <= int(found[1]) <= int(found[2] or found[1]) <= 65535:
        return None
    return "a port or a range of ports from 5900 to 65535, such as 5900-6899"


INTERFACE = matching(
    r"[A-Za-z][A-Za-z0-9_.-]{0,14}", "an interface name: a letter, then at most 14 letters, digits or . _ -"
)

RULES: dict[str, Rule] = {
    "hotstack_os_base_image": matching(
        r"[a-z0-9]([a-z0-9._/:-]*[a-z0-9])?(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@sha256:[0-9a-f]{64})?",
        "an image reference such as debian:trixie-slim",
    ),
    "hotstack_os_base_suite": matching(r"[a-z][a-z0-9.-]*", "the name of a distribution's suite such as trixie"),
    "hotstack_os_build_parallel": between(1, 64),
    "hotstack_os_build_proxy": url,
    "hotstack_os_build_cache_dir": folder,
    "hotstack_os_ca_bundle": file,
    "hotstack_os_container_network": network(16, 25),
    "hotstack_os_data_dir": folder,
    "hotstack_os_dns_address": address,
    "hotstack_os_domain": domain,
    "hotstack_os_host_name": matching(
        rf"(?=.{{1,253}}$){LABEL}(\.{LABEL})*", "a host name in lower case, such as node1 or node1.example"
    ),
    "hotstack_os_image_revision": matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "1 to 64 letters, digits or . _ -"),
    "hotstack_os_instances_dir": folder,
    "hotstack_os_integration_bridge": INTERFACE,
    "hotstack_os_internal_domain": domain,
    "hotstack_os_mtu": between(1280, 65521),
    "hotstack_os_package_mirror": url,
    "hotstack_os_physical_network": matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "1 to 64 letters, digits or . _ -"),
    "hotstack_os_provider_address": address,
    "hotstack_os_provider_bridge": INTERFACE,
    "hotstack_os_provider_network": network(16, 29),
    "hotstack_os_python_index": url,
    "hotstack_os_region": matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "1 to 64 letters, digits or . _ -"),
    "hotstack_os_time_factor": time_limits,
    "hotstack_os_user": matching(
        r"(?!root$)[a-z_][a-z0-9_-]{0,30}", "a user name other than root: at most 31 lower-case letters, digits or _ -"
    ),
    "hotstack_os_volume_mounts_dir": folder,
    "hotstack_os_volumes_dir": folder,
    "keystone_token_lifetime": between(60, 31536000),
    "nova_cpu_allocation_ratio": ratio,
    "nova_disk_allocation_ratio": ratio,
    "nova_ram_allocation_ratio": ratio,
    "nova_reserved_memory_mib": between(0, 1048576),
    "ovs_network_console_ports": consoles,
}

DATA = "hotstack_os_data_dir"
# What services and we ourselves have in it.
INSIDE = tuple(name for name in DATA_NAMES if name not in BELOW)
FOLDERS = ("hotstack_os_instances_dir", "hotstack_os_volume_mounts_dir", "hotstack_os_volumes_dir")


# --- values together: each relation is looked at only if all its values are fine by themselves


def network_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the networks and the addresses in them."""
    containers = values.get("hotstack_os_container_network")
    provider = values.get("hotstack_os_provider_network")
    if containers and provider and IPv4Network(containers).overlaps(IPv4Network(provider)):
        yield wrong(
            "hotstack_os_provider_network", provider, f"outside hotstack_os_container_network, which is {containers}"
        )
    entry = values.get("hotstack_os_provider_address")
    if entry and provider and not is_host(entry, provider):
        yield wrong(
            "hotstack_os_provider_address", entry, f"a host's address in hotstack_os_provider_network, {provider}"
        )
    dns = values.get("hotstack_os_dns_address")
    if dns and containers:
        net = IPv4Network(containers)
        number = int(IPv4Address(dns)) - int(net.network_address)
        # The upper half is podman's, for containers without an address of their own; number 1 is the host's.
        half = net.num_addresses // 2
        if not 2 <= number < half:
            yield wrong(
                "hotstack_os_dns_address",
                dns,
                f"in the lower half of hotstack_os_container_network, from {net[2]} to {net[half - 1]}",
            )
        for name, line in (values.get("hotstack_os_services") or {}).items():
            if isinstance(line, Mapping) and line.get("address") == number:
                yield wrong("hotstack_os_dns_address", dns, f"an address that no service has, and {name} has it")


def is_host(address_text: str, network_text: str) -> bool:
    """Return whether a host of the network may have this address."""
    number, net = IPv4Address(address_text), IPv4Network(network_text)
    return number in net and number not in (net.network_address, net.broadcast_address)


def name_problems(values: Mapping[str, Any], interfaces: Iterable[str]) -> Iterator[str]:
    """Yield which names collide."""
    pairs = [
        ("hotstack_os_integration_bridge", "hotstack_os_provider_bridge"),
        ("hotstack_os_domain", "hotstack_os_internal_domain"),
    ]
    for one, other in pairs:
        if one in values and values[one] == values.get(other):
            yield wrong(other, values[other], f"different from {one}")
            return
    for name in pairs[0]:
        if values.get(name) in {*interfaces, "lo", "ovs-system", "ovs-netdev"}:
            yield wrong(name, values[name], "a name that no other interface has")


def folder_problems(values: Mapping[str, Any], home: str) -> Iterator[str]:
    """Yield which folders lie in each other, though one must be mounted without the other."""
    data = values.get(DATA)
    for name in (DATA, *FOLDERS):
        if home and values.get(name) == home:
            yield wrong(name, home, "another folder than the home of hotstack_os_user")
            return
    apart: list[tuple[str, str]] = []
    for name in FOLDERS:
        path = values.get(name)
        if path is None:
            continue
        if data and within(data, path):
            yield wrong(name, path, f"a folder that does not hold {DATA}, which is {data}")
            continue
        inside = next((entry for entry in INSIDE if data and within(path, f"{data}/{entry}")), None)
        if inside:
            yield wrong(name, path, f"outside {data}/{inside}, which is a folder of our own")
            continue
        clash = next((known for known in apart if within(path, known[1]) or within(known[1], path)), None)
        if clash:
            yield wrong(name, path, f"apart from {clash[0]}, which is {clash[1]}")
        else:
            apart.append((name, path))


def within(path: str, other: str) -> bool:
    """Return whether a path is another or lies in it."""
    return (path + "/").startswith(other + "/")


def credential_problems(given: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with given secrets, without showing any."""
    for name, value in given.items():
        where = f"hotstack_os_credentials_given['{name}']"
        if name not in names:
            hint = suggestion(str(name), names) or "see hotstack_os_credential_names."
            yield f"{where} is no credential of this collection; {hint}"
        elif not isinstance(value, str):
            yield f"{where} is not a text, but must be one; write it in quotes."
        elif name == "heat_encryption_key" and not re.fullmatch(r"[A-Za-z0-9]{32}", value):
            yield f"{where} is given with {len(value)} characters, but must have 32 letters and digits."
        elif not 8 <= len(value) <= 72:  # Keystone's hash reads no more
            yield f"{where} is given with {len(value)} characters, but must have 8 to 72."
        elif str(name).endswith("_database_password") and not re.fullmatch(r"[A-Za-z0-9._~-]+", value):
            # It is part of a URL, and migrations of Keystone and others stumble over an encoded character.
            yield f"{where} has other characters, but must be made of letters, digits and '.', '_', '~' or '-'."
        elif not re.fullmatch(r"[!-~]+", value) or set("'\"`\\") & set(value):
            yield (
                f"{where} has characters that are not allowed, but must be made of printable ASCII characters "
                "without spaces, quotes and backslashes."
            )


def renewal_problems(renew: Iterable[Any], given: Mapping[str, Any], shipped: Shipped) -> Iterator[str]:
    """Yield what is wrong with the names of the credentials to renew."""
    where = "hotstack_os_credentials_renew"
    for name in renew:
        if name not in shipped.credential_names:
            hint = suggestion(str(name), shipped.credential_names) or "see hotstack_os_credential_names."
            yield f"{where} has {shown(name)}, which is no credential of this collection; {hint}"
        elif name in shipped.fixed_credentials:
            yield f"{where} has {name}, but stored data is encrypted with that, so it can't change."
        elif name in given:
            yield f"{where} has {name}, but hotstack_os_credentials_given sets it; change it there."


def unknown_problems(names: Iterable[str], shipped: Shipped) -> Iterator[str]:
    """Yield the variables that look like settings, but are none. Their values may be secret."""
    known = {*shipped.options, *shipped.derived}
    for name in sorted(set(names) - known):
        if name.startswith(PREFIX):
            hint = suggestion(name, known) or "docs/settings.md lists all."
            yield f"{name} is no setting of this collection; {hint}"


def problems(values: Mapping[str, Any], names: Iterable[str], shipped: Shipped) -> list[str]:
    """Return every problem of these settings as a sentence; `names` are all variables that there are."""
    found = list(unknown_problems(names, shipped))
    good: dict[str, Any] = {}
    bad: dict[str, str] = {}
    for name, option in {**shipped.options, **shipped.layers}.items():
        if name in values:
            value, allowed = typed(option, values[name])
            if allowed is None and name in RULES:
                allowed = RULES[name](value)
            if allowed is None:
                good[name] = value
            else:
                bad[name] = allowed
    for name, allowed in bad.items():
        if name in FOLDERS and DATA in bad and str(values[name]).startswith(str(values[DATA])):
            continue  # It follows from the other, which is reported.
        if name == "hotstack_os_credentials_given":
            found.append(f"{name} is no dictionary, but must be one of names and secrets.")
        else:
            found.append(wrong(name, values[name], allowed))

    release = good.get("hotstack_os_release")
    if release is not None and release not in shipped.releases:
        found.append(wrong("hotstack_os_release", release, "a release that has a lock: " + ", ".join(shipped.releases)))
    found += network_problems(good)
    found += name_problems(good, shipped.interfaces)
    found += folder_problems(good, shipped.home)
    given = good.get("hotstack_os_credentials_given", {})
    found += credential_problems(given, shipped.credential_names)
    found += renewal_problems(good.get("hotstack_os_credentials_renew", []), given, shipped)
    containers = good.get("hotstack_os_container_network")
    found += service_problems(good.get("hotstack_os_services", shipped.services), shipped.services, containers)
    return found
