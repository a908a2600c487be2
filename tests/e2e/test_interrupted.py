# SPDX-License-Identifier: Apache-2.0
"""A run that is killed half-way through a reconfiguration is mended by the next one."""

from __future__ import annotations

from lab import PREFIX, Lab

SETTING = ("--extra-vars", "keystone_token_lifetime=7200")
WANTED = "expiration = 7200"


def test_killed_reconfiguration(deployed: Lab, services: list[str]) -> None:
    """Kill the playbook once a service restarts, then deploy the same setting."""
    before = deployed.invocations(["keystone"])
    with deployed.play_in_background(*SETTING):
        deployed.wait(lambda: deployed.invocations(["keystone"]) != before, "keystone is being restarted", 120, 0.1)
    deployed.deploy(*SETTING)
    deployed.assert_healthy(services, 60)
    deployed.assert_token()
    running = deployed.run("podman", "exec", f"{PREFIX}keystone", "cat", "/etc/keystone/keystone.conf").lower()
    assert WANTED in running
    again = deployed.deploy(*SETTING)
    assert again.changed == 0, again.changes
