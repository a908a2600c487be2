# SPDX-License-Identifier: Apache-2.0
"""What is wrong with what is wanted of a cloud: one sentence for each problem, before anything is done."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from .cloud_plan import QUOTAS, key_body

DISK_FORMATS = ("aki", "ami", "ari", "iso", "ploop", "qcow2", "raw", "vdi", "vhd", "vhdx", "vmdk")
DIGEST_LENGTHS = {"md5": 32, "sha256": 64, "sha512": 128}
# User and password of a URL, after its scheme or where that was forgotten.
WHO = r"(://|^[^/@:]+:(?!//)).*@"
NAME = r"[A-Za-z0-9][A-Za-z0-9._ -]{0,199}"
KEY_TYPES = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519@", "sk-ecdsa-sha2-")


def problems(wanted: Mapping[str, Any]) -> list[str]:
    """Return every problem of a module's parameters as a sentence."""
    return [
        *quota_problems(wanted["quotas"]),
        *name_problems("flavor", wanted["flavors"]),
        *(found for line in wanted["flavors"] for found in flavor_problems(line)),
        *name_problems("image", wanted["images"]),
        *(found for line in wanted["images"] for found in image_problems(line)),
        *name_problems("network", wanted["networks"]),
        *network_problems(wanted["networks"], wanted["reserved_networks"]),
    ]


def name_problems(kind: str, lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the names that are no names, or are there twice."""
    names = [line["name"] for line in lines]
    for name in dict.fromkeys(names):
        if not re.fullmatch(NAME, name):
            yield f"The {kind} '{name}' can't be called so; a name has 1 to 200 letters, digits, spaces or . _ -"
        if names.count(name) > 1:
            yield f"There are {names.count(name)} of the {kind} '{name}', but each name may be there once."


def quota_problems(quotas: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with quotas."""
    for name, value in quotas.items():
        if name not in QUOTAS:
            close = difflib.get_close_matches(str(name), list(QUOTAS), 1, 0.6)
            hint = f"did you mean {close[0]}?" if close else "there are " + ", ".join(QUOTAS) + "."
            yield f"There is no quota '{name}'; {hint}"
        elif isinstance(value, bool) or not re.fullmatch(r"-1|\d{1,9}", str(value)):
            yield f"The quota {name} is '{value}', but must be a whole number from 0 on, or -1 for no limit."


def flavor_problems(line: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a flavor."""
    for key, low, word in (("vcpus", 1, "vCPUs"), ("ram", 1, "MB of memory"), ("disk", 0, "GB of disk")):
        if line[key] < low:
            yield f"The flavor '{line['name']}' has {line[key]} {word}, but must have at least {low}."


def image_problems(line: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an image."""
    what = f"The image '{line['name']}'"
    if bool(line["url"]) == bool(line["file"]):
        has = "both a url and" if line["url"] else "neither a url nor"
        yield f"{what} has {has} a file, but must have one of them."
    if line["url"] and not is_url(line["url"]):
        yield f"{what} has the url '{shown(line['url'])}', but must have one of http or https that names a file."
    if line["file"] and not line["file"].startswith("/"):
        yield f"{what} has the file '{line['file']}', but must have an absolute path."
    if line["disk_format"] not in DISK_FORMATS:
        yield f"{what} has the disk_format '{line['disk_format']}', but must have one of {', '.join(DISK_FORMATS)}."
    if line["checksum"] and not is_checksum(line["checksum"]):
        yield (
            f"{what} has the checksum '{shown(line['checksum'])}', but must have one such as sha256:<64 hexadecimal"
            " digits> (sha512 and md5 as well), or sha256:<the URL of a file of checksums>."
        )
    elif line["file"] and "://" in line["checksum"]:
        yield f"{what} has a file and the URL of checksums, but the checksum of a file must be a digest itself."
    for name in line["properties"]:
        if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,255}", str(name)):
            yield f"{what} has a property called '{name}', but a name has letters, digits and the characters _ . : -"


def is_checksum(value: str) -> bool:
    """Return whether this is a digest with its algorithm, or a file of such."""
    algorithm, _colon, digest = value.partition(":")
    if "://" in digest:
        return is_url(digest) and algorithm in DIGEST_LENGTHS
    return bool(re.fullmatch(r"[0-9a-f]+", digest)) and len(digest) == DIGEST_LENGTHS.get(algorithm)


def is_url(value: str) -> bool:
    """Return whether this is the URL of a file that a server can be asked for as it is written, so in ASCII."""
    host = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?"
    return bool(re.fullmatch(rf"https?://([!-.0-?A-~]+@)?{host}/[!-~]+", value))


def shown(url: str) -> str:
    """Return a URL without the password that may be in it."""
    return re.sub(WHO, r"\1***@", url)


# --- networks


def network_problems(lines: Sequence[Mapping[str, Any]], reserved: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with networks and their subnets."""
    taken = [(f"the host's network {text}", IPv4Network(text)) for text in reserved]
    for line in lines:
        what = f"The network '{line['name']}'"
        net = network(line["cidr"])
        if net is None:
            yield f"{what} has the CIDR '{line['cidr']}', but must have an IPv4 network such as 192.168.100.0/24."
            continue
        for other, known in taken:
            if net.overlaps(known):
                yield f"{what} has the CIDR {net}, but must lie outside {other}."
        taken.append((f"that of the network '{line['name']}', {net}", net))
        gateway = address(line["gateway"]) if line["gateway"] else None
        if line["gateway"] and (gateway is None or int(gateway) not in hosts(net)):
            yield f"{what} has the gateway '{line['gateway']}', but must have one in {net}."
        for pool in line["pools"]:
            if not pool_fits(pool, net, gateway):
                yield (
                    f"{what} has the pool '{pool}', but must have one such as {net[2]}-{net[-2]}: two addresses of"
                    f" {net}, the smaller one first, without the gateway between them."
                )
        for server in line["dns_servers"]:
            if address(server) is None:
                yield f"{what} has the DNS server '{server}', but must have an IPv4 address."


def network(text: str) -> IPv4Network | None:
    """Return the network that a text describes by its own address."""
    try:
        found = IPv4Network(text)
    except ValueError:
        return None
    return found if str(found) == text and found.prefixlen <= 29 else None


def address(text: str) -> IPv4Address | None:
    """Return the address that a text is."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None


def hosts(net: IPv4Network) -> range:
    """Return the numbers of the addresses that hosts may have."""
    return range(int(net.network_address) + 1, int(net.broadcast_address))


def pool_fits(pool: str, net: IPv4Network, gateway: IPv4Address | None) -> bool:
    """Return whether a pool lies in a network and leaves its gateway out."""
    start, end = (address(part.strip()) for part in (pool.partition("-")[0], pool.partition("-")[2]))
    if start is None or end is None or int(start) not in hosts(net) or int(end) not in hosts(net) or end < start:
        return False
    return gateway is None or not start <= gateway <= end


def floating_pools(cidr: str, gateway: str) -> list[str]:
    """Return the pools for floating IPs and routers: nine sixteenths of the network, without its gateway.

    What is above stays free for addresses that are given by hand.
    """
    net = IPv4Network(cidr)
    first, last = net.network_address + 1, net.network_address + net.num_addresses * 9 // 16
    host = IPv4Address(gateway)
    parts = [(first, min(last, host - 1)), (max(first, host + 1), last)] if first <= host <= last else [(first, last)]
    return [f"{start}-{end}" for start, end in parts if start <= end]


# --- keys


def is_public_key(text: str) -> bool:
    """Return whether a text is an OpenSSH public key."""
    body = key_body(text)
    return len(body) == 2 and body[0].startswith(KEY_TYPES) and bool(re.fullmatch(r"[A-Za-z0-9+/]+=*", body[1]))
