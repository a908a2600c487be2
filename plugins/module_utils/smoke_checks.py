# SPDX-License-Identifier: Apache-2.0
"""What the smoke test tries in its guests and how it judges what it saw: decisions alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any
from urllib.parse import urlsplit

OK, FAILED, SKIPPED = "ok", "FAILED", "skipped"
# A script in a guest ends with this status where its image lacks what the check is about; it says why.
NOT_HERE = 77
MARKER_FILE = "/tmp/hotstack-smoke-test"
GUESTS = ("instance1", "instance2")
VLAN = 100
# The stack's extra volume of 3 GB, in sectors.
VOLUME_SECTORS = 3 * 1024**3 // 512

# A console that has one of these is that of a guest that will not come up.
DEAD_ENDS = (
    "Kernel panic",
    "No bootable device",
    "No bootable option or device was found",
    "Booting from Hard Disk...\r\nBoot failed",
    "You are in emergency mode",
    "dracut-initqueue timeout",
    "(initramfs)",
)

# Settings in seconds, which a slow host has multiplied.
TIMEOUTS = ("stack_timeout", "boot_timeout", "check_timeout", "delete_timeout")


class SmokeError(Exception):
    """What keeps the test from going on: what was expected, what was seen, and where to look."""


@dataclass(frozen=True)
class Check:
    """A script for the shell of a guest; what it prints must match a pattern, and its exit status must be 0."""

    name: str
    guest: str
    script: str
    pattern: str
    expected: str
    look: tuple[str, ...]
    # Why it is not tried at all.
    skip: str = ""


@dataclass(frozen=True)
class Step:
    """One line of the report."""

    name: str
    result: str
    seconds: float | None = None
    note: str = ""


# --- what is wrong with the settings


def problems(wanted: Mapping[str, Any]) -> list[str]:
    """Return each setting that can't be used as a sentence."""
    found = []
    for name in ("cloud", "stack", "keypair", "image", "flavor", "external_network", "ssh_user"):
        if not wanted[name].strip():
            found.append(f"smoke_test_{name} is empty, but must have a name.")
    if wanted["stack"] and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,254}", wanted["stack"]):
        found.append(
            f"smoke_test_stack is '{wanted['stack']}', but must be a letter and up to 254 letters, digits or _ . -"
        )
    if wanted["ssh_user"] and not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", wanted["ssh_user"]):
        found.append(f"smoke_test_ssh_user is '{wanted['ssh_user']}', but must be the name of a user, such as cirros.")
    for name in TIMEOUTS:
        if wanted[name] < 1:
            found.append(f"smoke_test_{name} is {wanted[name]}, but must be at least 1 second.")
    try:
        IPv4Address(wanted["dns"])
    except AddressValueError:
        found.append(f"smoke_test_dns is '{wanted['dns']}', but must be an IPv4 address.")
    url = wanted["outside_url"]
    if url and not re.fullmatch(r"https?://[A-Za-z0-9.:-]+(/[\w./?=&%~+:-]*)?", url):
        found.append(f"smoke_test_outside_url is '{url}', but must be a URL such as http://192.0.2.1/, or empty.")
    return found


def choose(kind: str, wanted: str, found: Sequence[Mapping[str, Any]], setting: str) -> str:
    """Return the id of the one that a name or an id means."""
    matching = [item for item in found if wanted in (item["id"], item["name"])]
    if len(matching) == 1:
        return str(matching[0]["id"])
    if matching:
        ids = ", ".join(str(item["id"]) for item in matching)
        raise SmokeError(f"There are {len(matching)} of the {kind} '{wanted}'; set {setting} to one of {ids}.")
    names = ", ".join(sorted(str(item["name"]) for item in found))
    there = f"there are: {names}" if names else "there is none at all; run hotstack.os.post_setup"
    raise SmokeError(f"The cloud has no {kind} '{wanted}', which {setting} names; {there}.")


# --- the checks


# Prints the interface that has a MAC address.
FIND = """
nic() {
    for file in /sys/class/net/*/address; do
        if [ "$(cat "$file")" = "$1" ]; then
            file=${file%/address}
            echo "${file##*/}"
            return
        fi
    done
}
"""

MARKER = f"""
cat {MARKER_FILE} 2>/dev/null && exit
if [ -e /etc/cirros/version ]; then
    echo "CirrOS runs scripts in user data, but does not know cloud-config"
    exit {NOT_HERE}
fi
echo "there is no {MARKER_FILE}"
exit 1
"""

ADDRESS = """
interface=$(nic {mac})
[ -n "$interface" ] || {{ echo "no interface has the MAC address {mac}"; exit 1; }}
sudo ip link set "$interface" up
ip -4 address show dev "$interface" | grep -q ' {address}/' || sudo ip address add {address}/24 dev "$interface"
ip -4 address show dev "$interface"
"""

TAGGED = """
parent=$(nic {parent_mac})
[ -n "$parent" ] || {{ echo "no interface has the MAC address {parent_mac}"; exit 1; }}
sudo modprobe 8021q 2>/dev/null
[ -e /sys/class/net/vlan{vlan} ] || sudo ip link add link "$parent" name vlan{vlan} type vlan id {vlan} || exit
sudo ip link set vlan{vlan} address {mac}
sudo ip link set vlan{vlan} up
ip -4 address show dev vlan{vlan} | grep -q ' {address}/' || sudo ip address add {address}/24 dev vlan{vlan}
sudo ping -c 3 -W 2 -I vlan{vlan} {peer}
"""

VOLUME = f"""
for file in /sys/block/*/size; do
    [ "$(cat "$file")" != {VOLUME_SECTORS} ] || device=${{file%/size}}
done
[ -n "$device" ] || {{ echo "no disk of 3 GB among" $(cd /sys/block && echo *); exit 1; }}
device=/dev/${{device##*/}}
set -e
sudo mkdir -p /mnt/volume
sudo umount /mnt/volume 2>/dev/null || true
sudo mkfs.ext4 -q -F "$device"
sudo mount "$device" /mnt/volume
sudo dd if=/dev/urandom of=/mnt/volume/data bs=65536 count=64 2>/dev/null
written=$(sudo sha256sum /mnt/volume/data)
sudo umount /mnt/volume
echo 1 | sudo tee /proc/sys/vm/drop_caches >/dev/null
sudo mount "$device" /mnt/volume
read=$(sudo sha256sum /mnt/volume/data)
sudo umount /mnt/volume
[ "$written" = "$read" ] || {{ echo "written $written, read $read"; exit 1; }}
echo "the same: $read"
"""

FETCH = """
{{ curl -sfS -m 15 {url} 2>/dev/null || wget -q -T 15 -O - {url}; }}
"""


def checks(facts: Mapping[str, str], settings: Mapping[str, Any]) -> list[Check]:
    """Return what is tried in the guests, in order; `facts` are the outputs of the stack."""
    return [
        *(check for guest in GUESTS for check in _metadata(guest, facts, settings)),
        *_vlan(facts, settings),
        Check(
            "volume written and read",
            "instance2",
            VOLUME,
            r"^the same: [0-9a-f]{64}",
            "the volume of 3 GB as a disk that takes a file system and keeps a file",
            (
                _openstack(settings, f"volume show {facts['volume']}"),
                _journal("cinder-volume"),
                _journal("nova-compute"),
            ),
        ),
        *(check for guest in GUESTS for check in _reach(guest, settings)),
    ]


def _openstack(settings: Mapping[str, Any], rest: str) -> str:
    return f"openstack --os-cloud {settings['cloud']} {rest}"


def _journal(service: str) -> str:
    return f"journalctl -u hotstack-os-{service}"


def _metadata(guest: str, facts: Mapping[str, str], settings: Mapping[str, Any]) -> list[Check]:
    """Return the checks of what a guest is told about itself."""
    console = _openstack(settings, f"console log show {facts[guest + '_id']}")
    look = (console, _journal("neutron-ovn-agent"), _journal("nova-api-metadata"))
    name = facts[f"{guest}_name"]
    marker = facts["marker"]
    return [
        Check("hostname", guest, "hostname", rf"^{re.escape(name)}(\.|$)", f"the name {name}", look),
        Check(
            "user data",
            guest,
            MARKER,
            rf"^{re.escape(marker)}$",
            f"'{marker}' in {MARKER_FILE}, written by its user data",
            look,
        ),
    ]


def _vlan(facts: Mapping[str, str], settings: Mapping[str, Any]) -> list[Check]:
    """Return the checks of tagged packets: from the trunk's parent port of one guest to a plain port of the other."""
    look = (_openstack(settings, "network trunk list"), "ovs-vsctl show", _journal("ovn-controller"))
    peer = facts["instance2_vlan_ip"]
    address = ADDRESS.format(mac=facts["instance2_vlan_mac"], address=peer)
    tagged = TAGGED.format(
        vlan=VLAN,
        parent_mac=facts["instance1_mac"],
        mac=facts["instance1_vlan_mac"],
        address=facts["instance1_vlan_ip"],
        peer=peer,
    )
    return [
        Check(
            "port in the VLAN's network",
            "instance2",
            FIND + address,
            rf" {re.escape(peer)}/",
            f"an interface with the address {peer}",
            look,
        ),
        Check(
            f"VLAN {VLAN} to instance2",
            "instance1",
            FIND + tagged,
            r"[^0-9]0% packet loss",
            f"all answers to 3 pings of {peer}, tagged with VLAN {VLAN} through the trunk's subport",
            look,
        ),
    ]


def _reach(guest: str, settings: Mapping[str, Any]) -> list[Check]:
    """Return the checks of what a guest reaches."""
    url, address, outside = settings["api_url"], settings["api_address"], settings["outside_url"]
    name = urlsplit(url).hostname or ""
    by_getent = rf"^{re.escape(address)}\s+{re.escape(name)}"
    by_nslookup = rf"Name:\s*{re.escape(name)}\s+Address[^:]*:\s*{re.escape(address)}"
    return [
        Check(
            f"resolves {name}",
            guest,
            f"getent hosts {name} 2>/dev/null || nslookup {name} 2>&1",
            f"{by_getent}|{by_nslookup}",
            f"the address {address} from the DNS server {settings['dns']}",
            (_journal("dnsmasq"), f"dig @{settings['dns']} {name}"),
        ),
        Check(
            "asks the API",
            guest,
            FETCH.format(url=url),
            '"version"',
            f"an answer of Keystone from {url}",
            (f"curl {url}", _journal("haproxy"), "nft list table inet hotstack_os"),
        ),
        Check(
            "reaches the outside",
            guest,
            FETCH.format(url=f"'{outside}'"),
            "",
            f"an answer from {outside}",
            (f"curl {outside}", "nft list table inet hotstack_os", _journal("ovn-controller")),
            "" if outside else "smoke_test_outside_url is not set",
        ),
    ]


# --- judging


def verdict(check: Check, status: int, output: str) -> tuple[str, str]:
    """Return the result of a check, and what was seen if that matters."""
    if status == NOT_HERE:
        return SKIPPED, last_lines(output, 1)
    if status == 0 and re.search(check.pattern, output, re.MULTILINE):
        return OK, ""
    seen = last_lines(output, 8) or "nothing"
    return FAILED, seen if status == 0 else f"{seen} (exit status {status})"


def failure(name: str, expected: str, seen: str, look: Iterable[str]) -> str:
    """Return the text of a failure."""
    lines = [f"{name}: expected {expected}.", *_block("Seen:", seen), "Look at:", *(f"    {line}" for line in look)]
    return "\n".join(lines)


def _block(title: str, text: str) -> list[str]:
    lines = text.splitlines() or [""]
    return [f"{title} {lines[0]}"] if len(lines) == 1 else [title, *(f"    {line}" for line in lines)]


def one_line(text: str) -> str:
    """Return a text without markup and line breaks."""
    return " ".join(re.sub(r"<[^<>]*>", " ", text).split())


def last_lines(text: str, number: int) -> str:
    """Return the last lines that have something in them, without what moves a cursor."""
    plain = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>c])", "", text).replace("\r", "")
    return "\n".join([line.rstrip() for line in plain.splitlines() if line.strip()][-number:])


def dead_end(status: str, console: str) -> str:
    """Return why waiting for a guest makes no sense any more; empty if it may still come."""
    if status not in ("ACTIVE", ""):
        return f"the server is {status}"
    found = next((text for text in DEAD_ENDS if text in console), "")
    return f"its console says '{found.splitlines()[-1]}'" if found else ""


def not_booted(guest: str, why: str, console: str, facts: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """Return the text for a guest that did not come up."""
    tail = last_lines(console, 15)
    told = "The last lines of its console:" if tail else "Its console is empty: nothing has started from its disk."
    server = facts[f"{guest}_id"]
    look = (
        _openstack(settings, f"console log show {server}"),
        _openstack(settings, f"server show {server}"),
        _journal("neutron-ovn-agent"),
        _journal("nova-compute"),
    )
    expected = (
        f"that the image {settings['image']} boots and lets {settings['ssh_user']} in by SSH at "
        f"{facts[guest + '_floating_ip']} within {settings['boot_timeout']} s"
    )
    return failure(guest, expected, "\n".join([f"{why}.", told, *tail.splitlines()]), look)


# --- the report


def report(steps: Sequence[Step], seconds: float) -> list[str]:
    """Return the lines of the report."""
    return [*map(line, steps), summary(steps, seconds)]


def line(step: Step) -> str:
    """Return the line of a step."""
    time = f"{step.seconds:.1f} s" if step.seconds is not None else "-"
    note = f": {step.note}" if step.note else ""
    return f"{step.result:<7} {time:>8}  {step.name}{note}"


def summary(steps: Sequence[Step], seconds: float) -> str:
    """Return the last line of the report."""
    count = {result: sum(step.result == result for step in steps) for result in (OK, FAILED, SKIPPED)}
    word = "FAILED" if count[FAILED] else "Passed"
    return f"{word} in {seconds:.1f} s: {count[OK]} ok, {count[FAILED]} failed, {count[SKIPPED]} skipped."


def skipped(check: Check, why: str) -> Step:
    """Return the line for a check that was not tried."""
    return Step(f"{check.guest} {check.name}", SKIPPED, None, why)
