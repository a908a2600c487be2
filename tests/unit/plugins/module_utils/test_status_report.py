# SPDX-License-Identifier: Apache-2.0
"""Which of the things that are not well are the causes of others."""

from __future__ import annotations

from dataclasses import replace

from small_deployment import ACTIVE, GIB, HEALTHY, SERVICES, SETTINGS, bad, good, stop

from ansible_collections.hotstack.os.plugins.module_utils import status_checks, status_report, status_services
from ansible_collections.hotstack.os.plugins.module_utils.status_facts import Disk


def test_what_waits_names_the_lowest_cause() -> None:
    facts = good()
    stop(facts, "mariadb")
    stop(facts, "keystone", active="activating")
    facts.containers["nova-api"] = replace(HEALTHY, health="unhealthy")
    facts.errors["cells"], facts.cells = "no answer", None
    facts.errors["agents of nova"] = "status 503"
    facts.agents.pop("nova")
    lines = {line.name: line for line in bad(facts)}
    assert lines["keystone"].cause == "it needs mariadb, which is not ready"
    assert lines["nova-api"].cause == "its health check fails; it needs mariadb"
    for name in ("keystone", "nova-api", "cell mapping", "workers of nova"):
        assert (lines[name].follows, lines[name].command) == ("mariadb", "systemctl start hotstack-os-mariadb")
    ((first, behind),) = status_report.causes(status_checks.report(SETTINGS, facts), SERVICES)
    assert (first.name, first.command) == ("mariadb", "systemctl start hotstack-os-mariadb")
    assert behind == ["cell mapping", "keystone", "nova-api", "workers of nova"]
    assert status_services.not_ready(SETTINGS, facts) == ["mariadb"]


def test_everything_was_stopped() -> None:
    facts = good()
    for name in SERVICES:
        stop(facts, name)
    facts.units["hotstack-os.target"] = replace(ACTIVE, active="inactive")
    (first, *_others) = status_report.causes(status_checks.report(SETTINGS, facts), SERVICES)
    assert first[0].command == "systemctl start hotstack-os.target"
    assert {"keystone", "mariadb", "nova-compute"} <= set(first[1])


def test_disk_comes_before_what_it_breaks() -> None:
    facts = good()
    stop(facts, "mariadb", active="failed", result="exit-code", exit_status="1")
    stop(facts, "dnsmasq")
    facts.disks = [Disk("/data", 1, 0, 100 * GIB, 500, 1000)]
    names = [line.name for line, _behind in status_report.causes(status_checks.report(SETTINGS, facts), SERVICES)]
    assert names == ["disk /data", "dnsmasq", "mariadb"]
