# SPDX-License-Identifier: Apache-2.0
"""The state of the deployment as the host tells it: all well, or what is not, and the command that mends it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from lab import DATA_DIR, Lab
from rows import rows

SECONDS = 5
RUN = """
import json, subprocess, sys, time
began = time.monotonic()
done = subprocess.run(["hotstack-os", "status", "--json"], capture_output=True, text=True)
seconds = time.monotonic() - began
print(json.dumps({"exit_status": done.returncode, "seconds": seconds, "found": json.loads(done.stdout)}))
"""

# Runs in the lab host, so that the secrets stay there; it prints the names of what it found.
ARCHIVE = """
import base64, glob, json, os, sys, tarfile
from urllib.parse import quote
(path,) = glob.glob("/root/diagnosis/*")
with open("/var/lib/hotstack-os/credentials.json") as file:
    secrets = {name: str(value) for name, value in json.load(file).items()}
for key in glob.glob("/var/lib/hotstack-os/keystone/*-keys/*"):
    with open(key) as file:
        secrets[key] = file.read().strip()
with tarfile.open(path) as tar:
    texts = {member.name.partition("/")[2]: tar.extractfile(member).read().decode() for member in tar}
def forms(secret):
    yield secret
    yield quote(secret, safe="")
    for before in ("", "x", "xy"):
        yield base64.b64encode((before + secret).encode()).decode()[4:-4]
found = [f"{name} in {text}" for name, secret in secrets.items() for form in forms(secret)
         for text, content in texts.items() if form in content]
print(json.dumps({
    "mode": oct(os.stat(path).st_mode & 0o777), "secrets": len(secrets), "found": found,
    "page": texts["0-README.txt"], "sizes": {name: len(text) for name, text in texts.items()},
}))
"""


@dataclass(frozen=True)
class Status:
    """What the command printed, how it ended and how long it took."""

    exit_status: int
    seconds: float
    found: dict[str, Any]

    @property
    def causes(self) -> dict[str, dict[str, Any]]:
        """Return the causes by name."""
        return {cause["name"]: cause for cause in self.found["causes"]}


def status(lab: Lab) -> Status:
    """Ask for the state."""
    return Status(**lab.python(RUN))


def all_well(lab: Lab, seconds: float = 120) -> Status:
    """Wait until all is well."""
    last: list[Status] = []

    def well() -> bool:
        last[:] = [status(lab)]
        return last[0].exit_status == 0

    try:
        lab.wait(well, "all is well", seconds)
    except AssertionError as error:
        raise AssertionError(last[0].found["causes"]) from error
    return last[0]


def test_all_is_well(deployed: Lab, services: list[str]) -> None:
    """Look at everything within the time."""
    now = all_well(deployed)
    assert now.seconds < SECONDS
    rows = {row["name"]: row for row in now.found["services"]}
    for name in services:
        assert (rows[name]["unit"], rows[name]["health"]) == ("active", "healthy")
        assert rows[name]["since"]
        assert rows[name]["memory"]
        assert rows[name]["release"]
        assert rows[name]["address"]
    assert {row["unit"] for name, row in rows.items() if name not in services} == {"done"}
    checks = {check["name"]: check["seen"] for check in now.found["checks"]}
    host = deployed.run("uname", "-n").strip()
    assert checks["host name"] == f"{host} in Open vSwitch, OVN, Nova"
    assert checks["cell mapping"] == f"{host} in cell1, cells cell0, cell1"
    assert "nova-compute" in checks["workers of nova"]
    table = deployed.run("hotstack-os", "status")
    assert table.rstrip().endswith("All is well.")
    assert "All is well." in deployed.deploy(playbook="status").output


def test_only_root_is_told(deployed: Lab) -> None:
    """Ask as somebody else."""
    done = deployed.attempt("runuser", "-u", "nobody", "--", "/usr/local/sbin/hotstack-os", "status")
    assert done.returncode == 2
    assert "Only root" in done.stderr


CREDENTIALS = f"{DATA_DIR}/credentials.json"
CONFIG = f"{DATA_DIR}/runtime/config/placement/placement.conf"
KEY = f"{DATA_DIR}/keystone/fernet-keys/0"
SYSTEM_ID = "/etc/openvswitch/system-id.conf"
HOST = "$(uname -n)"
# A command that breaks something, and the cause that is named; the command that is named with it mends it.
BREAKS = {
    "worker": ("systemctl stop hotstack-os-heat-engine", "heat-engine"),
    "paused": ("podman pause hotstack-os-placement", "placement"),
    "secret": (f"chmod 644 {CREDENTIALS}", CREDENTIALS),
    "configuration": (f"chmod 660 {CONFIG}", CONFIG),
    "key": (f"chmod 640 {KEY}", KEY),
    "address": ("ip address del 172.31.0.10/32 dev hot-ex", "hot-ex"),
    "rules": ("nft delete table inet hotstack_os", "nftables"),
    "chassis": (f"echo other >{SYSTEM_ID}", "chassis id"),
    "boot": ("systemctl disable hotstack-os.target", "hotstack-os.target"),
    "keeper": ("systemctl stop hotstack-os-libvirtd-capability.path", "capability"),
    "disabled": (
        f"openstack --os-cloud hotstack-os-admin compute service set --disable {HOST} nova-compute",
        "nova-compute",
    ),
}


# One of each kind: a service, a file, the network, a unit beside the services.
@pytest.mark.parametrize(("command", "name"), rows(BREAKS, every_day=("worker", "secret", "rules", "keeper")))
def test_what_is_named_mends_it(deployed: Lab, command: str, name: str) -> None:
    """Break one thing; the state has one cause, and its command is enough."""
    all_well(deployed)
    deployed.shell(command)
    now = status(deployed)
    assert now.exit_status == 1
    assert now.seconds < SECONDS
    assert list(now.causes) == [name]
    deployed.shell(now.causes[name]["command"])
    all_well(deployed)


def test_cause_of_several(deployed: Lab) -> None:
    """Stop what others need: it comes first, with what follows from it; the playbook fails and says so."""
    deployed.shell("systemctl stop hotstack-os-keystone")
    try:
        now = status(deployed)
        play = deployed.deploy(playbook="status", check=False)
    finally:
        deployed.shell("systemctl start hotstack-os-keystone")
    assert now.exit_status == 1
    assert now.seconds < SECONDS
    first = now.found["causes"][0]
    assert (first["name"], first["command"]) == ("keystone", "systemctl start hotstack-os-keystone")
    assert "token" in first["behind"]
    assert play.status != 0
    assert "keystone: it was stopped. Next: systemctl start hotstack-os-keystone" in play.output
    all_well(deployed)


def test_archive_of_a_cloud_that_is_half_down(deployed: Lab) -> None:
    """Collect while no API can be reached: no secret is in it, and its first page begins with the cause."""
    # Not the database: workers that missed it are restarted minutes later, in the middle of the next tests.
    stopped = "hotstack-os-haproxy hotstack-os-glance hotstack-os-heat-engine"
    deployed.shell("rm -rf /root/diagnosis; mkdir /root/diagnosis")
    deployed.shell(f"systemctl stop {stopped}")
    try:
        printed = deployed.run("hotstack-os", "diagnose", "--folder=/root/diagnosis", timeout=180)
        archive = deployed.python(ARCHIVE)
    finally:
        deployed.shell(f"systemctl start {stopped}; rm -rf /root/diagnosis", timeout=300)
    assert "haproxy: it was stopped" in printed
    assert archive["mode"] == "0o600"
    assert archive["secrets"] > 20
    assert archive["found"] == []
    page = archive["page"]
    # HAProxy may have to be killed, which its unit calls a failure.
    assert re.search(r"^1\. haproxy \((inactive|failed)\): it was stopped", page, re.MULTILINE)
    assert "glance (inactive): it was stopped." in page
    assert "the APIs give nothing" in page.partition("WHAT IS MISSING OR CUT")[2].partition("WHAT IS HERE")[0]
    for name in (
        "journal/mariadb.log",
        "config/nova-api/nova.conf",
        "systemd/units.txt",
        "ovs/show.txt",
        "ovn/south.txt",
    ):
        assert archive["sizes"][name] > 100, name
    for name in ("libvirt/guests.txt", "podman/inspect.json", "network/addresses.txt", "firewall/nftables.txt"):
        assert archive["sizes"][name] > 10, name
    for name in ("firewalld", "libvirt", "netavark", "nftables", "openvswitch", "podman", "qemu", "systemd"):
        assert archive["sizes"][f"versions/{name}.txt"] > 3, name
    all_well(deployed, 300)


@pytest.mark.full
def test_archive_without_the_file_of_secrets(deployed: Lab) -> None:
    """Collect what surely has none: the file is back when the archive is searched for them."""
    deployed.shell(f"rm -rf /root/diagnosis; mkdir /root/diagnosis; mv {CREDENTIALS} {CREDENTIALS}.away")
    try:
        deployed.run("hotstack-os", "diagnose", "--folder=/root/diagnosis", timeout=180)
    finally:
        deployed.shell(f"mv {CREDENTIALS}.away {CREDENTIALS}")
    archive = deployed.python(ARCHIVE)
    deployed.shell("rm -rf /root/diagnosis")
    assert archive["secrets"] > 20
    assert archive["found"] == []
    assert archive["page"].startswith(f"{CREDENTIALS} can't be read: No such file or directory.\n")
    assert archive["sizes"]["ovs/show.txt"] > 100
    assert not [name for name in archive["sizes"] if name.startswith(("config/", "journal/", "libvirt/", "units/"))]
    all_well(deployed)
