# SPDX-License-Identifier: Apache-2.0
"""The report on a small deployment in which all is well, or something differs that is no fault."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_deployment import DONE, SERVICES, SETTINGS, Break, bad, field, good, unit_name

from ansible_collections.hotstack.os.plugins.module_utils import status_checks
from ansible_collections.hotstack.os.plugins.module_utils.status_facts import Clock, Facts
from ansible_collections.hotstack.os.plugins.module_utils.status_report import Row


def test_all_is_well() -> None:
    report = status_checks.report(SETTINGS, good())
    assert [line for line in report.lines if not line.good] == []
    assert report.well
    assert [row.name for row in report.rows] == list(SERVICES)
    assert report.rows[4] == Row(
        "keystone", "active", "healthy", 1000.0, 0, "image", "2025.2", 50 * 2**20, "172.31.0.11:5000"
    )
    assert report.rows[2].unit == "done"
    assert report.rows[0].address == "host:53"


def free_clock(facts: Facts) -> None:
    facts.units.pop("chronyd.service")
    facts.clock = Clock(False, 5000.0, 4000.0, 3000.0)


@pytest.mark.parametrize(
    "change",
    [
        free_clock,
        field("clock", Clock(False, 5000.0, 60.0, 3000.0)),
        field("zones", None),
        lambda facts: facts.mounts.pop("nova-compute"),
        lambda facts: facts.units.update({unit_name("mariadb-init"): replace(DONE, active="failed")}),
    ],
    ids=["no time service", "just booted", "no firewalld", "no nova-compute", "a one-shot that was done before"],
)
def test_this_is_no_fault(change: Break) -> None:
    facts = good()
    change(facts)
    assert bad(facts) == []
