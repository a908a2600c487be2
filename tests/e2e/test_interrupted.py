# SPDX-License-Identifier: Apache-2.0
"""A run that is killed half-way through a reconfiguration is mended by the next one."""

from __future__ import annotations

import pytest
from lab import PREFIX, Lab


@pytest.mark.parametrize("moment", ["files are written", "a service restarts"])
def test_killed_reconfiguration(deployed: Lab, services: list[str], moment: str) -> None:
    """Kill the playbook at a moment, then deploy the same setting."""
    lifetime = 7200 if moment == "files are written" else 3600
    wanted = f"expiration = {lifetime}"
    setting = f"keystone_token_lifetime={lifetime}"
    before = deployed.invocations(["keystone"])
    config = "/var/lib/hotstack-os/runtime/config/keystone/keystone.conf"
    with deployed.play_in_background("--extra-vars", setting):
        if moment == "files are written":
            deployed.wait(
                lambda: wanted in deployed.run("cat", config, check=False).lower(), "the file is written", 120, 0.1
            )
        else:
            deployed.wait(lambda: deployed.invocations(["keystone"]) != before, "keystone is being restarted", 120, 0.1)
    deployed.deploy("--extra-vars", setting)
    deployed.assert_healthy(services, 60)
    deployed.assert_token()
    running = deployed.run("podman", "exec", f"{PREFIX}keystone", "cat", "/etc/keystone/keystone.conf").lower()
    assert wanted in running
    again = deployed.deploy("--extra-vars", setting)
    assert again.changed == 0, again.changes
