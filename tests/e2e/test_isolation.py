# SPDX-License-Identifier: Apache-2.0
"""What is not ours was there before the first deployment, and is as it was."""

from __future__ import annotations

import foreign
from lab import PREFIX, Lab

Look = dict[str, dict[str, str]]


def test_foreign_things_run(before_deployment: Look) -> None:
    """See that there is something to disturb."""
    runs = before_deployment["runs"]
    assert runs["domain"].startswith("running")
    assert runs["container"].startswith("running")
    assert runs["answer"] == "200"
    assert "198.18.0.1/24" in runs["address"]
    assert all(before_deployment["lasts"].values())


def test_deployment_left_them_alone(deployed: Lab, before_deployment: Look) -> None:
    """Look again after the deployment and all that was done to it so far."""
    assert foreign.look(deployed) == before_deployment


def test_no_guest_of_the_system_is_ours(deployed: Lab) -> None:
    """Ask Nova and the session for the foreign domain."""
    command = "virsh --quiet list --all --name"
    assert "foreign" not in deployed.run("podman", "exec", "hotstack-os-nova-compute", *command.split()).split()
    uri = "qemu:///session?socket=/run/user/$(id -u hotstack)/libvirt/libvirt-sock"
    assert "foreign" not in deployed.shell(f'virsh --connect "{uri}" --quiet list --all --name').split()
    assert deployed.attempt("podman", "exec", "hotstack-os-nova-compute", "test", "-e", "/run/libvirt").returncode != 0


def test_stop_and_start_of_everything_leaves_them_alone(
    deployed: Lab, before_deployment: Look, services: list[str]
) -> None:
    """Stop everything, start everything, look again."""
    deployed.run("systemctl", "stop", "hotstack-os.target", timeout=300)
    deployed.wait(lambda: not deployed.containers(), "all containers are gone", 120)
    assert foreign.look(deployed) == before_deployment
    for service in services:
        assert not deployed.active(f"{PREFIX}{service}.service")
    deployed.run("systemctl", "start", "hotstack-os.target", timeout=600)
    deployed.assert_healthy(services, 60)
    deployed.assert_token()
    assert foreign.look(deployed) == before_deployment
