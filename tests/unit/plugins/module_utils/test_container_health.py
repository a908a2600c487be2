# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from ansible_collections.hotstack.os.plugins.module_utils.container_health import Watch, parse_show


def test_parse_show() -> None:
    output = "Id=a.service\nActiveState=active\nResult=x=y\n\nId=b.service\nJob=7\n\nnoise\n"
    assert parse_show(output) == {
        "a.service": {"Id": "a.service", "ActiveState": "active", "Result": "x=y"},
        "b.service": {"Id": "b.service", "Job": "7"},
    }
    assert parse_show("") == {}


def unit(state: str, **values: str) -> dict[str, str]:
    return {"LoadState": "loaded", "ActiveState": state, "NRestarts": "0", **values}


FAILED = unit("failed", Result="exit-code", ExecMainStatus="3")


@pytest.mark.parametrize(
    ("one_shot", "stamped", "seen", "verdict"),
    [
        pytest.param(False, False, [(0, unit("active"))], "ready", id="healthy"),
        pytest.param(False, False, [(0, unit("active", Job="9"))], None, id="about to be restarted"),
        pytest.param(False, False, [(0, unit("inactive", Job="9"))], None, id="waits for another"),
        pytest.param(False, False, [(0, unit("inactive", Job="9")), (900, unit("activating"))], None, id="began late"),
        pytest.param(False, False, [(0, unit("activating")), (9, unit("activating"))], None, id="starting"),
        pytest.param(
            False, False, [(0, unit("activating")), (10, unit("activating"))], "within 10 s (0 restarts)", id="too late"
        ),
        pytest.param(False, False, [(0, FAILED)], "after 0 s (result exit-code, exit status 3)", id="failed"),
        pytest.param(
            False,
            False,
            [(0, unit("activating")), (6, unit("activating", NRestarts="3"))],
            "after 6 s and 3 restarts",
            id="restarted again and again",
        ),
        pytest.param(
            False,
            False,
            [(0, unit("active", NRestarts="50", Job="9")), (1, unit("activating")), (2, unit("activating"))],
            None,
            id="restarts of former days do not count",
        ),
        pytest.param(
            False,
            False,
            [(0, unit("inactive", LoadState="not-found"))],
            "could not load its unit (not-found)",
            id="lost",
        ),
        pytest.param(True, True, [(0, unit("inactive"))], "ready", id="a one-shot that ended"),
        pytest.param(True, True, [(0, unit("inactive", Job="9"))], None, id="a one-shot with a job"),
        pytest.param(True, False, [(0, unit("activating"))], None, id="a one-shot at work"),
        pytest.param(True, False, [(0, unit("inactive"))], "after 0 s", id="a one-shot without stamp"),
    ],
)
def test_verdict(one_shot: bool, stamped: bool, seen: list[tuple[float, dict[str, str]]], verdict: str | None) -> None:
    watch = Watch("web", timeout=10, one_shot=one_shot)
    found: str | None = None
    for now, properties in seen:
        found = watch.verdict(properties, now, stamped)
    if verdict is None:
        assert found is None
    else:
        assert found is not None
        assert verdict in found
