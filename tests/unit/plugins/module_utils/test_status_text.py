# SPDX-License-Identifier: Apache-2.0
"""The state as a text and as data."""

from __future__ import annotations

import pytest
from small_deployment import SERVICES, SETTINGS, good, stop

from ansible_collections.hotstack.os.plugins.module_utils import status_checks, status_text


def test_text_of_a_good_state() -> None:
    lines = status_text.people(status_checks.report(SETTINGS, good()), SERVICES, 1065.0)
    assert lines[-1] == "All is well."
    keystone = next(line for line in lines if line.startswith("keystone"))
    words = " ".join(keystone.split())
    assert words == "keystone active healthy 1 min 5 s 0 image 2025.2 50 MiB 172.31.0.11:5000"
    assert not [line for line in lines if line.startswith("BAD")]


def test_text_of_a_bad_state() -> None:
    facts = good()
    stop(facts, "mariadb")
    facts.errors["cells"], facts.cells = "no answer", None
    text = "\n".join(status_text.people(status_checks.report(SETTINGS, facts), SERVICES, 1065.0))
    assert "1. mariadb (inactive): it was stopped.\n   It is why these are not well: cell mapping.\n" in text
    assert "   next: systemctl start hotstack-os-mariadb\n" in text
    assert "What follows from these:\n- cell mapping (not known)" in text
    assert "BAD  cell mapping" in text


def test_data() -> None:
    facts = good()
    stop(facts, "dnsmasq")
    found = status_text.data(status_checks.report(SETTINGS, facts), SERVICES, 1065.0)
    assert found["well"] is False
    assert found["services"][0]["unit"] == "inactive"
    assert {check["name"] for check in found["checks"] if not check["good"]} == {"dnsmasq"}
    assert found["causes"][0]["command"] == "systemctl start hotstack-os-dnsmasq"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (90061, "1 d 1 h"), (86400, "1 d"), (-5, "0 s")],
)
def test_age(seconds: float, text: str) -> None:
    assert status_text.age(seconds) == text
