# SPDX-License-Identifier: Apache-2.0
"""A first deployment that is killed again and again, each time later, comes to a good end."""

from __future__ import annotations

import foreign
import snapshot
from guests import openstack
from lab import PREFIX, Lab, Play


def test_clean_takes_all_but_the_images_away(deployed: Lab, host_before: snapshot.Snapshot) -> None:
    """Go back to a host without a deployment, from one with a guest; the images stay, as they may on a host."""
    server = ("server", "create", "--image", "cirros", "--flavor", "hotstack.small", "--network", "private", "--wait")
    openstack(deployed, *server, "doomed")
    foreign.go_on(deployed)
    running = foreign.look(deployed)
    foreign.start_same_number(deployed)
    variables = f"clean_host={deployed.run('uname', '-n').strip()} clean_images=false"
    play = deployed.deploy("--extra-vars", variables, playbook="clean", timeout=600)
    print(f"clean with a guest: {play.seconds:.0f} s")
    assert "guest notapet-" in play.output
    assert foreign.end_same_number(deployed) == "running"
    different = snapshot.differences(host_before, snapshot.take(deployed))
    images = [line for line in different.pop("podman") if not line.startswith("+ image ")]
    assert (images, different) == ([], {})
    assert foreign.look(deployed) == running


def test_killed_while_an_image_is_built(deployed: Lab, host_again: snapshot.Snapshot) -> None:
    """Kill it while it builds an image that takes some time."""
    assert host_again
    images = "podman images --format '{{.Repository}}:{{.Tag}}' | grep localhost/hotstack-os-infra"
    deployed.shell(f"{images} | xargs -r podman rmi --force")
    with deployed.play_in_background():
        deployed.wait(
            lambda: deployed.shell("ps -eo args | grep -c '[p]odman .*build.*infra'", check=False).strip() != "0",
            "the image is being built",
            300,
            0.2,
        )
    assert deployed.shell(images, check=False) == ""


def test_killed_while_keystone_is_bootstrapped(deployed: Lab) -> None:
    """Kill it while the tables of Keystone are made."""
    with deployed.play_in_background():
        deployed.wait(
            lambda: (
                "activating"
                in deployed.run("systemctl", "is-active", f"{PREFIX}keystone-bootstrap.service", check=False)
            ),
            "Keystone is bootstrapped",
            600,
            0.2,
        )


def test_next_run_converges(deployed: Lab, services: list[str]) -> None:
    """Deploy to the end."""
    play: Play = deployed.deploy()
    assert play.status == 0
    deployed.assert_healthy(services, 60)
    deployed.assert_token()
    again = deployed.deploy()
    assert again.changed == 0, again.changes
