# SPDX-License-Identifier: Apache-2.0
"""Two of the faults that `tools/faults` brings about: the loss of a store of data, and of the guests' switch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faultlib.catalogue import every_fault
from faultlib.ground import Ground
from faultlib.results import table
from guests import Guest
from lab import Lab

CHOSEN = ("remove mariadb", "switch restart ovs-vswitchd")


@pytest.fixture(scope="module")
def ground(deployed: Lab, guests: dict[str, Guest]) -> Iterator[Ground]:
    """Ask, ping and commit all the time."""
    ground = Ground(deployed, guests)
    ground.begin()
    yield ground
    ground.end()


@pytest.mark.parametrize("title", CHOSEN)
def test_fault(ground: Ground, title: str) -> None:
    """See that all is well again, that guests did not notice, and that nothing that was committed is lost."""
    found = {fault.title: fault for fault in every_fault(ground.services)}
    result = ground.measure(found[title])
    print(table([result]))
    assert result.problems == []
