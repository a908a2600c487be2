# SPDX-License-Identifier: Apache-2.0
"""A first deployment that is killed again and again, each time later, comes to a good end."""

from __future__ import annotations

import pytest
import snapshot
from lab import PREFIX, Lab, Play

pytestmark = pytest.mark.full


@pytest.fixture(scope="module", autouse=True)
def nothing_is_deployed(deployed: Lab, host_name: str) -> None:
    """Start from a host without a deployment, but with its images."""
    if deployed.attempt("test", "-e", "/etc/systemd/system/hotstack-os.target").returncode == 0:
        deployed.deploy("--extra-vars", f"clean_host={host_name} clean_images=false", playbook="clean", timeout=600)


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
