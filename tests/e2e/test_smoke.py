# SPDX-License-Identifier: Apache-2.0
"""Guests of a stack, from the image that the lab builds to an address outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guests import GUEST_IMAGE
from lab import Lab

# Another machine, which knows no way back into our networks.
OUTSIDE = "198.51.100.6"
MAKE = f"""
set -eu
ip netns add s-outside
ip link add s-outside type veth peer name inner netns s-outside
ip address add 198.51.100.5/30 dev s-outside
ip link set s-outside up
ip -n s-outside address add {OUTSIDE}/30 dev inner
ip -n s-outside link set inner up
mkdir -p /run/s-outside
echo outside >/run/s-outside/index.html
systemd-run --quiet --unit=s-outside ip netns exec s-outside busybox httpd -f -p 80 -h /run/s-outside
"""
UNMAKE = """
systemctl stop s-outside
ip link delete s-outside
ip netns delete s-outside
rm -rf /run/s-outside
"""


@pytest.fixture(scope="module")
def outside(deployed: Lab) -> Iterator[str]:
    """Return the URL of a page outside."""
    deployed.shell(UNMAKE, check=False)
    deployed.shell(MAKE)
    yield f"http://{OUTSIDE}/"
    deployed.shell(UNMAKE, check=False)


def test_guests_do_what_their_users_want(deployed: Lab, outside: str) -> None:
    """Run what `make lab` runs, with an outside."""
    deployed.run(*GUEST_IMAGE, timeout=600)
    deployed.deploy(playbook="post_setup", timeout=600)
    play = deployed.deploy("--extra-vars", f"smoke_test_outside_url={outside}", playbook="smoke_test", timeout=2400)
    assert "0 failed, 0 skipped" in play.output, play.tail(80)


def test_nothing_of_the_stack_is_left(deployed: Lab) -> None:
    """Look for it as its user and on the host."""
    for kind in ("stack", "server", "volume", "keypair"):
        listed = deployed.run("openstack", "--os-cloud", "hotstack-os", kind, "list", "-f", "value")
        assert "hotstack-smoke-test" not in listed, kind
    # Without a shell, whose own command line would be found.
    assert deployed.run("pgrep", "--full", "guest=notapet-", check=False) == ""
    assert deployed.shell("ls /var/lib/hotstack-os/cinder-nfs") == ""
