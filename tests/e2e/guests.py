# SPDX-License-Identifier: Apache-2.0
"""Two guests of a user, booted by hand: one from an image, one from a volume. They last until the host is rebooted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab import Lab

KEY = "/root/hotstack-test-guest"
KEYPAIR = "hotstack-test-guests"
FLAVOR = "hotstack.small"
IMAGE = "cirros"
NAMES = ("from-image", "from-volume")
OFF = "off"
SSH = (
    *("ssh", "-i", KEY, "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR"),
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
)
# What makes the guest image, in a folder that outlives lab hosts.
IMAGES = "/var/cache/hotstack-os/guest-image"
GUEST_IMAGE = ("/opt/hotstack-os/source/tools/guest-image", "--cache", IMAGES, "--output", f"{IMAGES}/guest.qcow2")
PINGS_A_SECOND = 5
SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) received")


def openstack(lab: Lab, *command: str, check: bool = True, timeout: float = 300) -> str:
    """Run the client as the user that post_setup made."""
    return lab.run("openstack", "--os-cloud", "hotstack-os", *command, check=check, timeout=timeout).strip()


@dataclass(frozen=True)
class Guest:
    """One guest, and the floating IP that it is reached at."""

    lab: Lab
    name: str
    address: str

    def run(self, script: str, timeout: float = 60) -> str:
        """Run a script as root in the guest and return what it printed."""
        return self.lab.run(*SSH, f"cirros@{self.address}", "sudo", "sh", data=script, timeout=timeout).strip()

    def boot_id(self) -> str:
        """Return what differs after each boot of the guest."""
        return self.run("cat /proc/sys/kernel/random/boot_id")

    def wait(self, seconds: float = 180) -> None:
        """Wait until the guest lets in by SSH."""
        command = (*SSH, f"cirros@{self.address}", "true")
        self.lab.wait(lambda: self.lab.attempt(*command).returncode == 0, f"{self.name} lets in by SSH", seconds)

    def attach(self, volume: str) -> None:
        """Attach a volume and wait until Cinder and the guest know it."""
        openstack(self.lab, "server", "add", "volume", self.name, volume)
        self._wait_for(volume, "in-use")
        self.lab.wait(lambda: self.run("test -b /dev/vdb && echo yes || true"), f"{self.name} has a second disk", 60)

    def detach(self, volume: str) -> None:
        """Detach a volume and wait until Cinder has it back."""
        openstack(self.lab, "server", "remove", "volume", self.name, volume)
        self._wait_for(volume, "available")

    def _wait_for(self, volume: str, status: str) -> None:
        shown = ("volume", "show", volume, "-f", "value", "-c", "status")
        self.lab.wait(lambda: openstack(self.lab, *shown) == status, f"the volume {volume} is {status}", 60)


def provide_key(lab: Lab, keypair: str = KEYPAIR) -> None:
    """Make the key that the guests let in."""
    lab.shell(f"test -e {KEY} || ssh-keygen -q -t ed25519 -N '' -f {KEY}")
    openstack(lab, "keypair", "create", "--public-key", f"{KEY}.pub", keypair)


def boot(lab: Lab) -> dict[str, Guest]:
    """Boot both guests and return them once they let in."""
    provide_key(lab)
    common = ("--flavor", FLAVOR, "--network", "private", "--key-name", KEYPAIR)
    openstack(lab, "server", "create", "--image", IMAGE, *common, NAMES[0])
    openstack(lab, "server", "create", "--image", IMAGE, "--boot-from-volume", "1", *common, "--wait", NAMES[1])
    guests = {}
    for name in NAMES:
        address = openstack(lab, "floating", "ip", "create", "public", "-f", "value", "-c", "floating_ip_address")
        openstack(lab, "server", "add", "floating", "ip", name, address)
        guests[name] = Guest(lab, name, address)
    for guest in guests.values():
        guest.wait()
    return guests


def boot_and_stop(lab: Lab) -> None:
    """Boot one more guest, and stop it."""
    common = ("--image", IMAGE, "--flavor", FLAVOR, "--network", "private", "--wait")
    openstack(lab, "server", "create", *common, OFF)
    openstack(lab, "server", "stop", OFF)
    status = ("server", "show", OFF, "-f", "value", "-c", "status")
    lab.wait(lambda: openstack(lab, *status) == "SHUTOFF", f"{OFF} is off", 120)


def delete(lab: Lab, guests: dict[str, Guest]) -> None:
    """Delete the guests and what was made for them."""
    openstack(lab, "server", "delete", "--wait", *guests)
    openstack(lab, "floating", "ip", "delete", *(guest.address for guest in guests.values()))
    openstack(lab, "keypair", "delete", KEYPAIR)
    volumes = openstack(lab, "volume", "list", "-f", "value", "-c", "ID").split()
    if volumes:
        openstack(lab, "volume", "delete", *volumes)


@contextmanager
def pings(guest: Guest) -> Iterator[list[int]]:
    """Ping the guest all the time; afterwards the list has how many were sent and how many answered."""
    unit = f"hotstack-test-ping-{guest.name}"
    log = f"/run/{unit}.log"
    command = ("ping", "-n", "-q", "-i", str(1 / PINGS_A_SECOND), guest.address)
    output = f"--property=StandardOutput=truncate:{log}"
    guest.lab.run("systemd-run", "--quiet", "--collect", f"--unit={unit}", output, *command)
    counted: list[int] = []
    try:
        yield counted
    finally:
        # At SIGINT it prints what it counted.
        guest.lab.run("systemctl", "kill", "--signal=INT", f"{unit}.service")
        guest.lab.wait(lambda: not guest.lab.active(f"{unit}.service"), "ping ended", 30, 0.2)
        found = SUMMARY.search(guest.lab.run("cat", log))
        assert found, "ping counted nothing"
        counted += map(int, found.groups())
