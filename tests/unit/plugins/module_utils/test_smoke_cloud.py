# SPDX-License-Identifier: Apache-2.0
"""What the smoke test makes of a stack's states."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import smoke_cloud
from ansible_collections.hotstack.os.plugins.module_utils.smoke_checks import SmokeError


class FakeHeat:
    """Shows one state after the other; the last one stays, and none of them is no stack."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)

    def stacks(self, name: str) -> list[Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return [SimpleNamespace(id="1", name=name, status=state)] if state else []

    def delete_stack(self, _stack: str) -> None:
        pass

    def resources(self, _stack: Any) -> list[Any]:
        return []


def delete(heat: FakeHeat, monkeypatch: pytest.MonkeyPatch) -> bool:
    seconds = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    compute = SimpleNamespace(delete_keypair=lambda _name, ignore_missing: ignore_missing)
    cloud = SimpleNamespace(orchestration=heat, compute=compute)
    return smoke_cloud.SmokeCloud(cloud, "admin").delete("test", "test", 300)


@pytest.mark.parametrize(
    ("states", "found"),
    [
        pytest.param([""], False, id="none"),
        pytest.param(["CREATE_COMPLETE", "CREATE_COMPLETE", "DELETE_IN_PROGRESS", ""], True, id="one that is there"),
        pytest.param(["DELETE_FAILED", "DELETE_FAILED", "DELETE_IN_PROGRESS", ""], True, id="one that failed before"),
    ],
)
def test_delete(states: list[str], found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert delete(FakeHeat(*states), monkeypatch) is found


@pytest.mark.parametrize(
    "states",
    [
        pytest.param(["CREATE_COMPLETE", "DELETE_FAILED"], id="at once"),
        pytest.param(["DELETE_FAILED", "DELETE_IN_PROGRESS", "DELETE_FAILED"], id="again"),
        pytest.param(["DELETE_FAILED"], id="again before anyone looked"),
    ],
)
def test_delete_that_fails(states: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SmokeError, match=r"expected DELETE_COMPLETE of the stack test\.\nSeen: DELETE_FAILED"):
        delete(FakeHeat(*states), monkeypatch)
