# SPDX-License-Identifier: Apache-2.0
"""The engine's toy containers, before anything else of ours is on the machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import Lab

SCENARIO = "molecule/engine"
REMOVE = """
set -e
podman network rm hotstack-os
podman rmi --ignore localhost/hotstack-os-toy:1
rm -r /root/toy /var/lib/hotstack-os
systemctl disable --quiet hotstack-os.target
rm /etc/systemd/system/hotstack-os.target
apparmor_parser --remove /etc/apparmor.d/hotstack-os
rm /etc/apparmor.d/hotstack-os
systemctl daemon-reload
"""


@pytest.fixture(scope="module")
def toys(lab: Lab) -> Iterator[Lab]:
    """Run the toys, and leave nothing of them."""
    lab.deploy("--limit=hotstack_os", playbook=f"{SCENARIO}/prepare.yml")
    assert lab.deploy(playbook=f"{SCENARIO}/converge.yml").changed > 0
    yield lab
    absent = '{"toy_state": "absent", "toy_absent": null}'
    lab.deploy("--extra-vars", absent, playbook=f"{SCENARIO}/converge.yml")
    lab.shell(REMOVE)


def test_toys_run_confined(toys: Lab) -> None:
    names = ["toy-store", "toy-web"]
    assert toys.unhealthy(names) == []
    for name in names:
        label = toys.shell(f"cat /proc/$(podman inspect --format '{{{{.State.Pid}}}}' hotstack-os-{name})/attr/current")
        # As in crun//&hotstack-os: the runtime's profile, which confines nothing, is a part of it.
        assert "hotstack-os" in label.partition(" ")[0].split("//&")


def test_processes_of_a_container_can_signal_each_other(toys: Lab) -> None:
    kill = "sleep 100 & kill -TERM $! && wait $!; test $? = 143"
    toys.run("podman", "exec", "hotstack-os-toy-store", "sh", "-c", kill)


def test_a_second_run_changes_nothing(toys: Lab) -> None:
    play = toys.deploy(playbook=f"{SCENARIO}/converge.yml")
    assert play.changed == 0, play.changes
