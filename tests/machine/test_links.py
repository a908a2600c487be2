# SPDX-License-Identifier: Apache-2.0
"""NetworkManager leaves our links alone, and those of others to whoever has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import Lab, Play

TAP = "tap0123abcd-ef"
FOREIGN = "tap0"
OURS = ("hot-int", "hot-ex", "hotstack-os", TAP)


def states(lab: Lab) -> dict[str, str]:
    """Return NetworkManager's state of each link."""
    lines = lab.shell("LC_ALL=C nmcli --terse --fields=DEVICE,STATE device").splitlines()
    return dict(line.replace("\\:", "-").split(":", 1) for line in lines)


def addresses(lab: Lab) -> str:
    """Return the addresses and routes that are ours."""
    return lab.shell(
        "ip -4 -oneline address show hot-ex; ip route show dev hot-ex; ip -4 -oneline address show hotstack-os"
    )


@pytest.fixture(scope="module", autouse=True)
def taps(infra: Play, lab: Lab) -> Iterator[None]:
    """Make a TAP such as a guest's, and one that is not ours. Without an address, NetworkManager manages neither."""
    for number, name in enumerate((TAP, FOREIGN)):
        lab.run("ip", "tuntap", "add", "dev", name, "mode", "tap")
        lab.run("ip", "address", "add", f"198.51.100.{number}/32", "dev", name)
        lab.run("ip", "link", "set", name, "up")
    yield
    for name in (TAP, FOREIGN):
        lab.run("ip", "link", "delete", name)


def assert_left_alone(lab: Lab, before: str) -> None:
    """Wait until the uplink is connected; then ours are unmanaged, and as they were."""
    lab.wait(lambda: "connected" in states(lab).values(), "the uplink is connected", 120)
    shown = states(lab)
    assert {name: shown[name] for name in OURS} == dict.fromkeys(OURS, "unmanaged")
    assert addresses(lab) == before


def test_ours_are_unmanaged(lab: Lab) -> None:
    lab.wait(lambda: states(lab)[FOREIGN] != "unmanaged", "NetworkManager manages what is not ours", 60)
    assert_left_alone(lab, addresses(lab))


@pytest.mark.parametrize(
    "command",
    ["nmcli networking off; sleep 2; nmcli networking on", "systemctl restart NetworkManager", "nmcli general reload"],
    ids=["off and on", "restart", "reload"],
)
def test_ours_stay_as_they_are(lab: Lab, command: str) -> None:
    """The uplink may go down and come back: that is why the command runs as a unit."""
    before = addresses(lab)
    lab.run("systemd-run", "--quiet", "--wait", "--collect", "sh", "-c", command, timeout=300)
    assert_left_alone(lab, before)
    lab.wait(lambda: not lab.unhealthy(["dnsmasq"]), "dnsmasq is healthy", 120)
