# SPDX-License-Identifier: Apache-2.0
"""What the smoke test tries, and how it judges what it saw."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import smoke_checks
from ansible_collections.hotstack.os.plugins.module_utils.smoke_checks import (
    FAILED,
    OK,
    SKIPPED,
    Check,
    SmokeError,
    Step,
)

SETTINGS: dict[str, Any] = {
    "cloud": "lab",
    "stack": "test",
    "keypair": "test",
    "image": "cirros",
    "flavor": "small",
    "external_network": "public",
    "ssh_user": "cirros",
    "dns": "172.31.0.129",
    "api_url": "http://keystone.hotstack-os.local:5000/v3",
    "api_address": "172.31.0.129",
    "outside_url": "http://192.0.2.1/",
    "stack_timeout": 600,
    "boot_timeout": 60,
    "check_timeout": 60,
    "delete_timeout": 60,
}
FACTS = {
    "marker": "abc123",
    "instance1_id": "id-1",
    "instance1_name": "instance1",
    "instance1_floating_ip": "172.31.0.150",
    "instance1_mac": "fa:16:3e:00:00:01",
    "instance1_vlan_ip": "192.168.201.10",
    "instance1_vlan_mac": "fa:16:3e:00:00:10",
    "instance2_id": "id-2",
    "instance2_name": "instance2",
    "instance2_floating_ip": "172.31.0.151",
    "instance2_vlan_ip": "192.168.201.20",
    "instance2_vlan_mac": "fa:16:3e:00:00:20",
    "volume": "volume-id",
}
CHECKS = {f"{check.guest} {check.name}": check for check in smoke_checks.checks(FACTS, SETTINGS)}


# --- settings


def test_settings_that_can_be_used() -> None:
    assert smoke_checks.problems(SETTINGS) == []
    assert smoke_checks.problems({**SETTINGS, "outside_url": ""}) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("image", " ", "smoke_test_image is empty"),
        ("stack", "1st", "'1st', but must be a letter"),
        ("ssh_user", "root;reboot", "'root;reboot', but must be the name of a user"),
        ("stack_timeout", -600, "smoke_test_stack_timeout is -600, but must be at least 1 second"),
        ("check_timeout", 0, "smoke_test_check_timeout is 0, but must be at least 1 second"),
        ("delete_timeout", -1, "smoke_test_delete_timeout is -1, but must be at least 1 second"),
        ("boot_timeout", 0, "smoke_test_boot_timeout is 0, but must be at least 1 second"),
        ("dns", "dns.example", "'dns.example', but must be an IPv4 address"),
        ("outside_url", "192.0.2.1", "'192.0.2.1', but must be a URL"),
        ("outside_url", "http://192.0.2.1/'; reboot '", "but must be a URL"),
    ],
)
def test_settings_that_can_not(name: str, value: Any, said: str) -> None:
    [found] = smoke_checks.problems({**SETTINGS, name: value})
    assert said in found


THERE = [{"id": "1", "name": "cirros"}, {"id": "2", "name": "twice"}, {"id": "3", "name": "twice"}]


@pytest.mark.parametrize(("wanted", "chosen"), [("cirros", "1"), ("1", "1"), ("3", "3")])
def test_choose(wanted: str, chosen: str) -> None:
    assert smoke_checks.choose("image", wanted, THERE, "smoke_test_image") == chosen


@pytest.mark.parametrize(
    ("wanted", "there", "said"),
    [
        (
            "fedora",
            THERE,
            "The cloud has no image 'fedora', which smoke_test_image names; there are: cirros, twice, twice",
        ),
        ("twice", THERE, "There are 2 of the image 'twice'; set smoke_test_image to one of 2, 3."),
        ("cirros", [], "there is none at all; run hotstack.os.post_setup"),
    ],
)
def test_choose_says_what_there_is(wanted: str, there: list[dict[str, str]], said: str) -> None:
    with pytest.raises(SmokeError, match=r".*") as caught:
        smoke_checks.choose("image", wanted, there, "smoke_test_image")
    assert said in str(caught.value)


# --- verdicts

PINGED = "3 packets transmitted, {} received, {}% packet loss"
NSLOOKUP = "Server:\t\t172.31.0.129\nAddress:\t172.31.0.129:53\n\n"
ANSWERS = [
    ("instance1 hostname", 0, "instance1\n", OK),
    ("instance1 hostname", 0, "instance1.novalocal\n", OK),
    ("instance1 hostname", 0, "instance12\n", FAILED),
    ("instance1 hostname", 255, "instance1\n", FAILED),
    ("instance2 user data", 0, "abc123\n", OK),
    ("instance2 user data", 0, "of another run\n", FAILED),
    ("instance2 user data", 1, "there is no /tmp/hotstack-smoke-test\n", FAILED),
    ("instance1 user data", 77, "CirrOS runs scripts\n", SKIPPED),
    ("instance2 port in the VLAN's network", 0, "3: eth1\n    inet 192.168.201.20/24 scope global eth1\n", OK),
    ("instance2 port in the VLAN's network", 0, "3: eth1\n", FAILED),
    ("instance1 VLAN 100 to instance2", 0, PINGED.format(3, 0), OK),
    ("instance1 VLAN 100 to instance2", 0, PINGED.format(2, 33), FAILED),
    ("instance1 VLAN 100 to instance2", 1, PINGED.format(0, 100), FAILED),
    ("instance2 volume written and read", 0, f"the same: {'0' * 64}  /mnt/volume/data\n", OK),
    ("instance2 volume written and read", 1, "no disk of 3 GB among vda\n", FAILED),
    ("instance1 resolves keystone.hotstack-os.local", 0, "172.31.0.129    keystone.hotstack-os.local\n", OK),
    (
        "instance1 resolves keystone.hotstack-os.local",
        0,
        NSLOOKUP + "Name:\tkeystone.hotstack-os.local\nAddress: 172.31.0.129\n",
        OK,
    ),
    (
        "instance1 resolves keystone.hotstack-os.local",
        0,
        NSLOOKUP + "Name:      keystone.hotstack-os.local\nAddress 1: 172.31.0.129 keystone\n",
        OK,
    ),
    # The server's own address is no answer.
    ("instance1 resolves keystone.hotstack-os.local", 0, NSLOOKUP + "** server can't find it: NXDOMAIN\n", FAILED),
    ("instance1 resolves keystone.hotstack-os.local", 0, "172.31.0.12 keystone.hotstack-os.local\n", FAILED),
    ("instance2 asks the API", 0, '{"version": {"id": "v3.14"}}', OK),
    ("instance2 asks the API", 0, "<html>503 Service Unavailable</html>", FAILED),
    ("instance2 reaches the outside", 0, "", OK),
    ("instance2 reaches the outside", 1, "wget: download timed out", FAILED),
]


@pytest.mark.parametrize(("name", "status", "output", "result"), ANSWERS)
def test_verdict(name: str, status: int, output: str, result: str) -> None:
    assert smoke_checks.verdict(CHECKS[name], status, output)[0] == result


def test_every_check_has_an_answer_that_passes_and_one_that_fails() -> None:
    kinds = {name.partition(" ")[2] for name in CHECKS}
    for result in (OK, FAILED):
        assert {name.partition(" ")[2] for name, _status, _output, found in ANSWERS if found == result} == kinds


@pytest.mark.parametrize(
    ("status", "output", "seen"),
    [(0, "other\n", "other"), (0, "", "nothing"), (3, "no\n", "no (exit status 3)"), (77, "why\n", "why")],
)
def test_what_was_seen(status: int, output: str, seen: str) -> None:
    assert smoke_checks.verdict(CHECKS["instance1 hostname"], status, output)[1] == seen


def test_without_an_outside_it_is_not_tried() -> None:
    found = [check for check in smoke_checks.checks(FACTS, {**SETTINGS, "outside_url": ""}) if check.skip]
    assert [check.skip for check in found] == ["smoke_test_outside_url is not set"] * 2
    assert smoke_checks.skipped(found[0], found[0].skip).name == "instance1 reaches the outside"


@pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
def test_each_script_is_one_for_the_shell(check: Check) -> None:
    shell = shutil.which("dash") or "sh"
    done = subprocess.run([shell, "-n"], check=False, input=check.script, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert check.look


# --- failures


def test_failure() -> None:
    assert smoke_checks.failure("a", "b", "c", ["d", "e"]) == "a: expected b.\nSeen: c\nLook at:\n    d\n    e"
    assert "\nSeen:\n    c\n    d\n" in smoke_checks.failure("a", "b", "c\nd", ["e"])


def test_last_lines() -> None:
    assert smoke_checks.last_lines("one\r\n\x1b[2J\n\x1b[1;31mtwo  \r\n\n three\n\n", 2) == "two\n three"


def test_one_line() -> None:
    assert smoke_checks.one_line("<html><h1>502 Bad\nGateway</h1>\n</html> ") == "502 Bad Gateway"


@pytest.mark.parametrize(
    ("status", "console", "why"),
    [
        ("ACTIVE", "Linux version 6", ""),
        ("", "", ""),
        ("ERROR", "", "the server is ERROR"),
        ("ACTIVE", "[  1.0] Kernel panic - not syncing", "its console says 'Kernel panic'"),
        ("ACTIVE", "Booting from Hard Disk...\r\nBoot failed: not a bootable disk", "its console says 'Boot failed'"),
    ],
)
def test_dead_end(status: str, console: str, why: str) -> None:
    assert smoke_checks.dead_end(status, console) == why


def test_a_guest_that_does_not_boot_shows_its_last_lines() -> None:
    console = "".join(f"line {number}\n" for number in range(30))
    text = smoke_checks.not_booted("instance1", "no answer", console, FACTS, SETTINGS)
    assert "expected that the image cirros boots and lets cirros in by SSH at 172.31.0.150 within 60 s" in text
    assert "line 29" in text
    assert "line 15\n" in text
    assert "line 14\n" not in text
    assert "openstack --os-cloud lab console log show id-1" in text
    text = smoke_checks.not_booted("instance1", "no answer", "", FACTS, SETTINGS)
    assert "Its console is empty" in text


# --- the report


def test_report() -> None:
    steps = [Step("stack", OK, 31.26), Step("outside", SKIPPED, None, "not set"), Step("vlan", FAILED, 4)]
    assert smoke_checks.report(steps, 40.04) == [
        "ok        31.3 s  stack",
        "skipped        -  outside: not set",
        "FAILED     4.0 s  vlan",
        "FAILED in 40.0 s: 1 ok, 1 failed, 1 skipped.",
    ]
    assert smoke_checks.summary([replace(steps[0], seconds=1)], 1).startswith("Passed in 1.0 s: 1 ok")
