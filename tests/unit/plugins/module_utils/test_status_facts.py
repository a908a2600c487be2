# SPDX-License-Identifier: Apache-2.0
"""What is read out of what the host's programs print."""

from __future__ import annotations

import json
import struct

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import container_text, status_facts
from ansible_collections.hotstack.os.plugins.module_utils.status_facts import Agent, Cells, Guests, Mount, Unit

UNITS = """\
Id=hotstack-os-glance.service
LoadState=loaded
ActiveState=active
SubState=running
Result=success
ExecMainStatus=0
NRestarts=2
ControlGroup=/system.slice/hotstack-os-glance.service
ActiveEnterTimestamp=@1700000100
StateChangeTimestamp=@1700000200
MemoryCurrent=1048576
UnitFileState=generated

Id=hotstack-os-heat.service
LoadState=loaded
ActiveState=failed
SubState=failed
Result=oom-kill
ExecMainStatus=9
NRestarts=0
ControlGroup=
ActiveEnterTimestamp=
StateChangeTimestamp=@1700000200
MemoryCurrent=[not set]
UnitFileState=generated

Description=of no unit
"""


def test_units() -> None:
    assert status_facts.parse_units(UNITS) == {
        "hotstack-os-glance.service": Unit(
            *("loaded", "active", "running", "success", "0", 2, 1700000100.0, 1048576),
            *("/system.slice/hotstack-os-glance.service", "generated"),
        ),
        "hotstack-os-heat.service": Unit(
            *("loaded", "failed", "failed", "oom-kill", "9", 0, 1700000200.0, None, "", "generated")
        ),
    }


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("Up 3 minutes (healthy)", "healthy"),
        ("Up 3 minutes (unhealthy)", "unhealthy"),
        ("Up 2 seconds (starting)", "starting"),
        ("Exited (1) 3 seconds ago", ""),
        (None, ""),
    ],
)
def test_containers(status: str | None, health: str) -> None:
    labels = {"hotstack-os.digest": "abc", "io.hotstack-os.release": "2025.2", "io.hotstack-os.image": "glance"}
    record = {"Names": ["hotstack-os-glance"], "Status": status, "State": "running", "Pid": 7, "Labels": labels}
    other = {"Names": ["other"], "Labels": None}
    found = status_facts.parse_containers(json.dumps([record, other]))
    assert found == {"glance": status_facts.Container("running", health, 7, "glance", "2025.2", "abc")}


def test_no_containers() -> None:
    assert status_facts.parse_containers("null") == {}


def unit_text(extra: str = "") -> str:
    return container_text.seal(
        "[Container]\nLabel=hotstack-os.digest=@DIGEST@\nLabel=hotstack-os.config.glance.conf=0123\n"
        f'Label="hotstack-os.config.odd name=4567"\n{extra}'
    )[0]


def test_unit_file() -> None:
    found = status_facts.parse_unit_file(unit_text())
    assert found.intact
    assert len(found.digest) == container_text.DIGEST_LENGTH
    assert found.config == {"glance.conf": "0123", "odd name": "4567"}


@pytest.mark.parametrize("text", [unit_text() + "Memory=1g\n", "[Container]\n", ""])
def test_unit_file_that_was_edited(text: str) -> None:
    assert not status_facts.parse_unit_file(text).intact


def test_interfaces() -> None:
    inet = {"family": "inet", "local": "192.0.2.1", "prefixlen": 25}
    inet6 = {"family": "inet6", "local": "fe80::1", "prefixlen": 64}
    items = [{"ifname": "hot-ex", "flags": ["UP"], "mtu": 9216, "addr_info": [inet, inet6]}, {}]
    found = status_facts.parse_interfaces(json.dumps(items))
    assert found == {"hot-ex": status_facts.Interface("hot-ex", True, 9216, ("192.0.2.1/25",))}


def test_external_ids() -> None:
    text = '{"data": [[["map", [["hostname", "node"], ["system-id", "abc"]]]]], "headings": ["external_ids"]}'
    assert status_facts.parse_ids(text) == {"hostname": "node", "system-id": "abc"}


def test_chassis() -> None:
    answer = {"id": 0, "result": [{"rows": [{"name": "abc", "hostname": "node"}]}], "error": None}
    assert status_facts.parse_chassis(answer) == {"abc": "node"}


@pytest.mark.parametrize("answer", [{"error": "no"}, {"result": [{"error": "no"}]}, {"result": None, "error": "no"}])
def test_no_chassis(answer: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no"):
        status_facts.parse_chassis(answer)


def test_cells() -> None:
    rows = "cell\tcell0\t0\ncell\tcell1\t1\nhost\tnode\tcell1\n"
    assert status_facts.parse_cells(rows) == Cells({"cell0": True, "cell1": False}, {"node": "cell1"})


def test_agents() -> None:
    neutron = {"agents": [{"binary": "b", "host": "node", "alive": True, "admin_state_up": False, "id": "1"}]}
    assert status_facts.parse_agents("neutron", neutron) == [Agent("b", "node", True, False, "1")]
    nova = {
        "services": [
            {"binary": "b", "host": "node", "state": "up", "status": "disabled", "id": 4, "disabled_reason": "AUTO"}
        ]
    }
    assert status_facts.parse_agents("nova", nova) == [Agent("b", "node", True, False, "4", "AUTO")]
    cinder = {"services": [{"binary": "b", "host": "node@nfs", "state": "down", "status": "enabled"}]}
    assert status_facts.parse_agents("cinder", cinder) == [Agent("b", "node", False, True, "node@nfs")]


def test_domains() -> None:
    states = {"runs": (1, 1), "off": (5, 1), "paused": (3, 1), "full": (3, 5)}
    shown = [
        f"Domain: 'notapet-{name}'\n  state.state={state}\n  state.reason={reason}\n\n"
        for name, (state, reason) in states.items()
    ]
    assert status_facts.parse_domains("".join(shown)) == Guests(4, 1, ("notapet-full",))
    assert status_facts.parse_domains("\n") == Guests(0, 0)


MOUNTINFO = """\
1 0 0:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
2 1 0:2 / /var/lib rw,relatime - xfs /dev/vdb rw
3 1 0:3 / /var/lib/hot\\040stack rw shared:7 master:1 - overlay overlay rw
4 1 0:4 / /var/lib/hotstack-os/nova-mnt/abc rw shared:8 - nfs share rw
"""


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/etc", Mount("/", "shared:1")),
        ("/var/lib/hotstack-os/nova-mnt", Mount("/var/lib", None)),
        ("/var/lib/hot stack/x", Mount("/var/lib/hot stack", "shared:7")),
        ("/var/library", Mount("/", "shared:1")),
    ],
)
def test_mount(path: str, mount: Mount) -> None:
    assert status_facts.mount_of(MOUNTINFO, path) == mount


def test_the_upper_of_two_mounts_counts() -> None:
    over = MOUNTINFO + "5 1 0:5 / /var/lib rw shared:9 - ext4 /dev/vdc rw\n"
    assert status_facts.mount_of(over, "/var/lib/x") == Mount("/var/lib", "shared:9")
    assert status_facts.mount_of("", "/") is None


def test_zones() -> None:
    text = '{"type": "a{sa{sas}}", "data": [{"ours": {"interfaces": ["hot-ex"]}, "public": {"sources": []}}]}'
    assert status_facts.parse_zones(text) == {"hot-ex": "ours"}


QUESTION = status_facts.dns_question("keystone.cloud.example", 4711)


def dns(flags: int, *records: bytes) -> bytes:
    return struct.pack("!6H", 4711, flags, 1, len(records), 0, 0) + QUESTION[12:] + b"".join(records)


def record(kind: int, value: bytes, name: bytes = b"\xc0\x0c") -> bytes:
    return name + struct.pack("!2HIH", kind, 1, 60, len(value)) + value


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (dns(0x8180, record(1, bytes([192, 0, 2, 9]))), "192.0.2.9"),
        (dns(0x8180, record(5, b"\x01a\x00"), record(1, bytes([192, 0, 2, 9]))), "192.0.2.9"),
        (dns(0x8180, record(1, bytes([192, 0, 2, 9]), b"\x01a\x02bc\x00")), "192.0.2.9"),
        (dns(0x8183), "the answer code 3"),
        (dns(0x8180), "no address"),
        (dns(0x8180, b"\xc0"), "no address"),
        (b"\x00" * 20, "no proper answer"),
        (b"", "no proper answer"),
    ],
)
def test_dns(answer: bytes, said: str) -> None:
    assert status_facts.dns_answer(QUESTION, answer) == said
