# SPDX-License-Identifier: Apache-2.0
"""A changed setting restarts the services that use it, and no other."""

from __future__ import annotations

import pytest
from lab import Lab

DEBUG = ("--extra-vars", "hotstack_os_debug=true")
STATS = ("--extra-vars", '{"hotstack_os_credentials_given": {"haproxy_stats_password": "aNotherStats123"}}')
TOKENS = ("--extra-vars", "keystone_token_lifetime=7200")
# What has no verbose log, or none that follows the setting.
QUIET = {"haproxy", "mariadb", "memcached", "ovn-northd", "ovn-controller"}

CASES = {
    "stats": (STATS, {"haproxy"}),
    "tokens": ((*STATS, *TOKENS), {"keystone"}),
    "debug": ((*STATS, *TOKENS, *DEBUG), None),
}


@pytest.mark.parametrize(("settings", "restarted"), CASES.values(), ids=CASES)
def test_restarts(deployed: Lab, services: list[str], settings: tuple[str, ...], restarted: set[str] | None) -> None:
    """Ask who would restart, then see who does."""
    before = deployed.invocations(services)
    foreseen = deployed.deploy("--check", "--diff", *settings)
    assert foreseen.changed > 0
    assert deployed.invocations(services) == before
    deployed.deploy(*settings)
    after = deployed.invocations(services)
    expected = set(services) - QUIET if restarted is None else restarted
    assert {name for name in services if after[name] != before[name]} == expected
    deployed.assert_healthy(services, 60)


def test_back_to_the_defaults(deployed: Lab, services: list[str]) -> None:
    """Undo it: the same services restart, and a second run is quiet."""
    before = deployed.invocations(services)
    deployed.deploy()
    after = deployed.invocations(services)
    assert {name for name in services if after[name] != before[name]} <= set(services) - QUIET | {"haproxy"}
    again = deployed.deploy()
    assert again.changed == 0, again.changes
