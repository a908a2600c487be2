# SPDX-License-Identifier: Apache-2.0
"""`clean` leaves the host as it was before the first deployment."""

from __future__ import annotations

import foreign
import pytest
import snapshot
from lab import Lab
from snapshot import Snapshot

# What somebody may have done by hand before.
HALF = """
systemctl stop hotstack-os-keystone hotstack-os-haproxy
rm -r /etc/containers/systemd/hotstack-os-n* /etc/systemd/system/hotstack-os.target /var/lib/hotstack-os/mysql
systemctl daemon-reload
podman rm --force hotstack-os-rabbitmq hotstack-os-nova-api
ovs-vsctl del-br hot-int
nft delete table inet hotstack_os
sed -i '/# BEGIN hotstack.os/,/# END hotstack.os/d' /etc/hosts
"""


@pytest.fixture(scope="module")
def name(deployed: Lab) -> str:
    """Return what clean_host must be."""
    return deployed.run("uname", "-n").strip()


@pytest.mark.parametrize("given", [(), ("--extra-vars", "clean_host=another")], ids=["no name", "another name"])
def test_another_host_is_left_alone(deployed: Lab, name: str, given: tuple[str, ...]) -> None:
    """Forget the name, or give another one."""
    play = deployed.deploy(*given, playbook="clean", check=False, timeout=600)
    assert play.status != 0
    assert f"-e clean_host={name}" in play.output
    assert play.changed == 0


def test_check_mode_lists_and_no_more(deployed: Lab, name: str, services: list[str]) -> None:
    """Ask what would go."""
    before, starts = snapshot.take(deployed), deployed.invocations(services)
    play = deployed.deploy("--check", "--extra-vars", f"clean_host={name}", playbook="clean", timeout=600)
    for thing in ("unit hotstack-os.target", "bridge hot-ex", "user hotstack", "data in /var/lib/hotstack-os"):
        assert thing in play.output
    # Services that run write files and ask for their health.
    different = snapshot.differences(before, snapshot.take(deployed))
    assert set(different) <= {"files", "processes", "sockets", "units"}
    assert deployed.invocations(services) == starts


def test_nothing_goes_while_open_vswitch_is_stopped(deployed: Lab, name: str) -> None:
    """Stop what alone knows our bridges and keys."""
    deployed.run("systemctl", "stop", "openvswitch-switch")
    try:
        play = deployed.deploy("--extra-vars", f"clean_host={name}", playbook="clean", check=False, timeout=600)
    finally:
        deployed.run("systemctl", "start", "openvswitch-switch")
    assert play.status != 0
    assert "run `systemctl start openvswitch-switch.service`, then this again" in play.output
    assert play.changed == 0
    assert deployed.containers()


def test_half_removed_cloud_is_cleaned(
    deployed: Lab, name: str, host_before: Snapshot, host_again: Snapshot, before_deployment: dict[str, dict[str, str]]
) -> None:
    """Break what is there, clean it, and compare the host with what it was before it was deployed again."""
    foreign.go_on(deployed)
    running = foreign.look(deployed)
    deployed.shell(HALF)
    play = deployed.deploy("--extra-vars", f"clean_host={name}", playbook="clean", timeout=600)
    print(f"clean: {play.seconds:.0f} s")
    after = snapshot.take(deployed)
    assert after["podman"] == host_before["podman"]
    # The images were still there when it was deployed again.
    assert {**snapshot.differences(host_again, after), "podman": []} == {"podman": []}
    assert foreign.look(deployed) == running
    assert running["lasts"] == before_deployment["lasts"]


def test_second_run_changes_nothing(deployed: Lab, name: str) -> None:
    """Clean a clean host."""
    play = deployed.deploy("--extra-vars", f"clean_host={name}", playbook="clean", timeout=600)
    assert play.changed == 0, play.tail(200)
