# SPDX-License-Identifier: Apache-2.0
"""A reboot, with no run of Ansible after it."""

from __future__ import annotations

import json

import foreign
from lab import Lab


def test_everything_is_back(deployed: Lab, services: list[str]) -> None:
    """Reboot and ask what a user would ask."""
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
    assert play.changed == 0, play.tail(200)
