# SPDX-License-Identifier: Apache-2.0
"""A run that is killed half-way through a reconfiguration is mended by the next one."""

from __future__ import annotations

from lab import PREFIX, Lab

SETTING = ("--extra-vars", "keystone_token_lifetime=7200")
CHANGED = "expiration = 7200"


def configuration(lab: Lab) -> str:
    """Return what the running Keystone was told."""
    return lab.run("podman", "exec", f"{PREFIX}keystone", "cat", "/etc/keystone/keystone.conf").lower()


def test_killed_reconfiguration(deployed: Lab, services: list[str]) -> None:
    """Kill the playbook once it restarts a service to go back to the defaults, then run it to its end."""
    if CHANGED not in configuration(deployed):
        deployed.deploy(*SETTING)
    before = deployed.invocations(["keystone"])
    with deployed.play_in_background():
        deployed.wait(lambda: deployed.invocations(["keystone"]) != before, "keystone is being restarted", 120, 0.1)
    deployed.deploy()
    deployed.assert_healthy(services, 60)
    deployed.assert_token()
    assert CHANGED not in configuration(deployed)
    again = deployed.deploy()
    assert again.changed == 0, again.changes
