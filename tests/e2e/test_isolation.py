# SPDX-License-Identifier: Apache-2.0
"""What is not ours was there before the first deployment, and is as it was."""

from __future__ import annotations

import foreign
from lab import VIRSH, Lab

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
    assert "foreign" not in deployed.shell(f"{VIRSH} list --all --name").split()
    assert deployed.attempt("podman", "exec", "hotstack-os-nova-compute", "test", "-e", "/run/libvirt").returncode != 0
