# SPDX-License-Identifier: Apache-2.0
"""A first deployment that is killed again and again, each time later, comes to a good end."""

from __future__ import annotations

from lab import PREFIX, Lab, Play
from test_fresh_host import TRACES


def test_clean_takes_all_but_the_images_away(deployed: Lab) -> None:
    """Go back to a host without a deployment; the images stay, as they may on a host that had one before."""
    variables = f"clean_host={deployed.run('uname', '-n').strip()} clean_images=false"
    deployed.run("ansible-playbook", "hotstack.os.clean", "--extra-vars", variables, timeout=600)
    assert not deployed.containers()
    assert deployed.shell(TRACES) == ""
    assert "localhost/hotstack-os-nova" in deployed.run("podman", "images", "--format", "{{.Repository}}").split()


def test_killed_before_the_services(deployed: Lab) -> None:
    """Kill it while the host is prepared, as soon as there are credentials."""
    with deployed.play_in_background():
        deployed.wait(
            lambda: deployed.attempt("test", "-e", "/var/lib/hotstack-os/credentials.json").returncode == 0,
            "the credentials are made",
            180,
            0.1,
        )


def test_killed_while_an_image_is_built(deployed: Lab) -> None:
    """Kill it while it builds an image that takes some time."""
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


def test_killed_while_the_database_starts(deployed: Lab) -> None:
    """Kill it while MariaDB makes its first files or starts."""
    command = ("systemctl", "is-active", f"{PREFIX}mariadb-init.service", f"{PREFIX}mariadb.service")
    with deployed.play_in_background():
        deployed.wait(
            lambda: "activ" in deployed.run(*command, check=False).replace("inactive", ""), "MariaDB starts", 600, 0.2
        )


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
    assert again.changed == 0, again.tail(200)
