# SPDX-License-Identifier: Apache-2.0
"""A changed setting restarts the services that use it, and no other."""

from __future__ import annotations

import pytest
from lab import Lab


@pytest.mark.parametrize(
    ("setting", "restarted"),
    [
        pytest.param("hotstack_os_debug=true", {"keystone"}, id="debug"),
        pytest.param(
            '{"hotstack_os_credentials_given": {"haproxy_stats_password": "aNotherStats123"}}', {"haproxy"}, id="stats"
        ),
    ],
)
def test_restarts(deployed: Lab, services: list[str], setting: str, restarted: set[str]) -> None:
    """Set it, see who restarted, and who would before that."""
    before = deployed.invocations(services)
    foreseen = deployed.deploy("--check", "--diff", "--extra-vars", setting)
    assert foreseen.changed > 0
    assert deployed.invocations(services) == before
    deployed.deploy("--extra-vars", setting)
    after = deployed.invocations(services)
    assert {name for name in services if after[name] != before[name]} == restarted
    deployed.assert_healthy(services, 60)


def test_back_to_the_defaults(deployed: Lab, services: list[str]) -> None:
    """Undo it: the same services restart, and a second run is quiet."""
    before = deployed.invocations(services)
    deployed.deploy()
    after = deployed.invocations(services)
    assert {name for name in services if after[name] != before[name]} <= {"keystone", "haproxy"}
    assert deployed.deploy().changed == 0
