# SPDX-License-Identifier: Apache-2.0
"""`clean` leaves the host as it was before the first deployment; the images may stay."""

from __future__ import annotations

import foreign
import pytest
import snapshot
from guests import openstack
from lab import Lab
from snapshot import Snapshot


@pytest.mark.parametrize("given", [(), ("--extra-vars", "clean_host=another")], ids=["no name", "another name"])
def test_another_host_is_left_alone(deployed: Lab, host_name: str, given: tuple[str, ...]) -> None:
    """Forget the name, or give another one."""
    play = deployed.deploy(*given, playbook="clean", check=False, timeout=600)
    assert play.status != 0
    assert f"-e clean_host={host_name}" in play.output
    assert play.changed == 0


def test_check_mode_lists_and_no_more(deployed: Lab, host_name: str, services: list[str]) -> None:
    """Ask what would go."""
    before, starts = snapshot.take(deployed), deployed.invocations(services)
    play = deployed.deploy("--check", "--extra-vars", f"clean_host={host_name}", playbook="clean", timeout=600)
    for thing in ("unit hotstack-os.target", "bridge hot-ex", "user hotstack", "data in /var/lib/hotstack-os"):
        assert thing in play.output
    # Services that run write files and ask for their health.
    different = snapshot.differences(before, snapshot.take(deployed))
    assert set(different) <= {"files", "processes", "sockets", "units"}
    assert deployed.invocations(services) == starts


@pytest.mark.full
def test_nothing_goes_while_open_vswitch_is_stopped(deployed: Lab, host_name: str) -> None:
    """Stop what alone knows our bridges and keys."""
    deployed.run("systemctl", "stop", "openvswitch-switch")
    try:
        play = deployed.deploy("--extra-vars", f"clean_host={host_name}", playbook="clean", check=False, timeout=600)
    finally:
        deployed.run("systemctl", "start", "openvswitch-switch")
    assert play.status != 0
    assert "run `systemctl start openvswitch-switch.service`, then this again" in play.output
    assert play.changed == 0
    assert deployed.containers()


def test_all_but_the_images_goes(deployed: Lab, host_name: str, host_before: Snapshot) -> None:
    """Go back to a host without a deployment, from one with a guest; the images stay, as they may on a host."""
    server = ("server", "create", "--image", "cirros", "--flavor", "hotstack.small", "--network", "private", "--wait")
    openstack(deployed, *server, "doomed")
    foreign.go_on(deployed)
    running = foreign.look(deployed)
    foreign.start_same_number(deployed)
    variables = f"clean_host={host_name} clean_images=false"
    play = deployed.deploy("--extra-vars", variables, playbook="clean", timeout=600)
    print(f"clean with a guest: {play.seconds:.0f} s")
    assert "guest notapet-" in play.output
    assert foreign.end_same_number(deployed) == "running"
    different = snapshot.differences(host_before, snapshot.take(deployed))
    images = [line for line in different.pop("podman") if not line.startswith("+ image ")]
    assert (images, different) == ([], {})
    assert foreign.look(deployed) == running
