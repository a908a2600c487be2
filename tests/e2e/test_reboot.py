# SPDX-License-Identifier: Apache-2.0
"""A reboot, with no run of Ansible after it."""

from __future__ import annotations

import json

import foreign
import guests as by_hand
import pytest
from lab import Lab

USER = "hotstack-tester"
# The releases of the services' own libraries will do.
AS_USER = """
set -e
. /etc/environment
export PIP_CERT
sed --quiet "s/^\\([a-z0-9._-]*==[^ ;]*\\).*/\\1/p" /opt/hotstack-os/source/containerfiles/locks/2025.2.txt >constraints
python3 -m venv venv
venv/bin/pip install --quiet --constraint constraints openstacksdk
python=$HOME/venv/bin/python
exec /opt/ansible/bin/ansible-playbook hotstack.os.smoke_test --extra-vars ansible_python_interpreter=$python
"""


def test_everything_is_back(deployed: Lab, guests: dict[str, by_hand.Guest], services: list[str]) -> None:
    """Reboot while guests run, and ask what a user would ask."""
    by_hand.boot_and_stop(deployed)
    boot = deployed.run("cat", "/proc/1/stat").split()[21]
    deployed.reboot()
    assert deployed.run("cat", "/proc/1/stat").split()[21] != boot
    deployed.assert_healthy(services, 420)
    deployed.assert_token()
    shown = json.loads(deployed.run("ip", "-json", "address", "show", "hot-ex"))
    addresses = {f"{line['local']}/{line['prefixlen']}" for line in shown[0]["addr_info"]}
    assert {"172.31.0.129/25", "172.31.0.10/32"} <= addresses


def test_foreign_things_last(deployed: Lab, before_deployment: dict[str, dict[str, str]]) -> None:
    """See that what somebody else has is still defined as it was."""
    assert foreign.look(deployed)["lasts"] == before_deployment["lasts"]


def test_one_shots_are_not_repeated(deployed: Lab) -> None:
    """See that the stamp kept a migration from running again."""
    shown = deployed.run("systemctl", "show", "--property=ConditionResult", "hotstack-os-keystone-bootstrap.service")
    assert shown.strip() == "ConditionResult=no"


def test_run_after_reboot_changes_nothing(deployed: Lab) -> None:
    """Deploy after the reboot."""
    play = deployed.deploy()
    assert play.changed == 0, play.changes


def test_guests_are_back(deployed: Lab, guests: dict[str, by_hand.Guest]) -> None:
    """Wait for what ran before the reboot, see that the other is off, then stop one and start it again."""
    for guest in guests.values():
        guest.wait()
    status = ("server", "show", by_hand.OFF, "-f", "value", "-c", "status")
    assert by_hand.openstack(deployed, *status) == "SHUTOFF"
    guest = guests["from-image"]
    boot = guest.boot_id()
    by_hand.openstack(deployed, "server", "stop", guest.name)
    status = ("server", "show", guest.name, "-f", "value", "-c", "status")
    deployed.wait(lambda: by_hand.openstack(deployed, *status) == "SHUTOFF", "the guest is off", 120)
    by_hand.openstack(deployed, "server", "start", guest.name)
    guest.wait()
    assert guest.boot_id() != boot
    by_hand.openstack(deployed, "server", "delete", "--wait", by_hand.OFF)
    by_hand.delete(deployed, guests)


@pytest.mark.full
def test_smoke_test_passes_for_a_normal_user(deployed: Lab) -> None:
    """Boot new guests after the reboot, as somebody who only got the cloud and has openstacksdk."""
    deployed.shell(f"id {USER} 2>/dev/null || useradd --create-home {USER}")
    deployed.deploy("--extra-vars", json.dumps({"post_setup_clouds_users": [USER]}), playbook="post_setup")
    try:
        said = deployed.run("runuser", "--login", USER, "--command", AS_USER, timeout=1200)
    finally:
        deployed.run("userdel", "--force", "--remove", USER)
    assert " 0 failed" in said, said[-8000:]
