# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.hotstack.os.plugins.module_utils.container_plan import (
    Directory,
    File,
    OnDisk,
    Plan,
    Running,
    Wanted,
    in_order,
    plan,
    service_unit,
    unit_file,
)

UNIT = File("/etc/containers/systemd/hotstack-os-web.container", "unit", 0o644)
CONFIG = File("/config/web/web.conf", "text", 0o640, 0, 7)
DATA = Directory("/data/web", 0o750, 7, 7)
WEB = Wanted("web", UNIT, "d1", "image", (CONFIG,), (DATA,))
STEP = Wanted("step", UNIT, "d1", "image", stamp="/stamps/step-d1")

THERE = OnDisk({UNIT.path: UNIT, CONFIG.path: CONFIG}, {DATA.path: DATA})
DONE = replace(THERE, stamps=frozenset({"/stamps/step-d1"}))


def on_disk_with(*files: File) -> OnDisk:
    return replace(THERE, files={**THERE.files, **{file.path: file for file in files}})


@pytest.mark.parametrize(
    ("wanted", "on_disk", "running", "expected"),
    [
        pytest.param(WEB, THERE, Running("active", "d1"), Plan(unchanged=("web",)), id="all is right"),
        pytest.param(
            WEB,
            OnDisk(),
            Running(),
            Plan(directories=(DATA,), files=(CONFIG,), units=(UNIT,), start=("web",)),
            id="a fresh host",
        ),
        pytest.param(WEB, THERE, Running(), Plan(start=("web",)), id="stopped"),
        pytest.param(WEB, THERE, Running("failed"), Plan(start=("web",)), id="failed"),
        pytest.param(WEB, THERE, Running("activating", "d1"), Plan(start=("web",)), id="still starting: wait for it"),
        pytest.param(
            WEB, THERE, Running("active", "d0"), Plan(restart=("web",)), id="killed between writing and restarting"
        ),
        pytest.param(
            WEB, THERE, Running("activating", "d0"), Plan(restart=("web",)), id="starting from something else"
        ),
        pytest.param(WEB, THERE, Running("activating", None), Plan(restart=("web",)), id="between two attempts"),
        pytest.param(WEB, THERE, Running("active", None), Plan(restart=("web",)), id="the container has no digest"),
        pytest.param(
            WEB,
            on_disk_with(replace(UNIT, content="edited")),
            Running("active", "d1"),
            Plan(units=(UNIT,), restart=("web",)),
            id="somebody edited the unit",
        ),
        pytest.param(
            WEB,
            on_disk_with(replace(CONFIG, content="edited")),
            Running("active", "d1"),
            Plan(files=(CONFIG,), restart=("web",)),
            id="somebody edited the configuration",
        ),
        pytest.param(
            WEB,
            on_disk_with(replace(CONFIG, mode=0o644)),
            Running("active", "d1"),
            Plan(files=(CONFIG,), restart=("web",)),
            id="another mode",
        ),
        pytest.param(
            WEB,
            replace(THERE, directories={DATA.path: replace(DATA, uid=0)}),
            Running("active", "d1"),
            Plan(directories=(DATA,), unchanged=("web",)),
            id="a directory with another owner needs no restart",
        ),
        pytest.param(
            WEB,
            replace(THERE, leftovers=("/config/web/old.conf",)),
            Running("active", "d1"),
            Plan(delete=("/config/web/old.conf",), unchanged=("web",)),
            id="a file that is no longer wanted",
        ),
        pytest.param(STEP, DONE, Running(), Plan(unchanged=("step",)), id="a one-shot that is done"),
        pytest.param(STEP, THERE, Running(), Plan(start=("step",)), id="a one-shot that is not done"),
        pytest.param(STEP, THERE, Running("activating", "d1"), Plan(start=("step",)), id="a one-shot at work"),
        pytest.param(STEP, THERE, Running("activating", "d0"), Plan(restart=("step",)), id="a one-shot at other work"),
    ],
)
def test_plan(wanted: Wanted, on_disk: OnDisk, running: Running, expected: Plan) -> None:
    found = plan([wanted], on_disk, {wanted.name: running})
    assert found == expected
    assert found.changed == (found != Plan(unchanged=(wanted.name,)))


def test_an_unknown_container_is_started() -> None:
    assert plan([WEB], THERE, {}).start == ("web",)


def test_a_directory_of_two_containers_is_made_once() -> None:
    assert plan([WEB, replace(WEB, name="other")], OnDisk(), {}).directories == (DATA,)


def test_in_order_puts_needs_first_and_survives_a_cycle() -> None:
    def wanted(name: str, *needs: str) -> Wanted:
        return replace(WEB, name=name, needs=needs)

    names = [each.name for each in in_order([wanted("c", "b", "elsewhere"), wanted("b", "a"), wanted("a")])]
    assert names == ["a", "b", "c"]
    assert {each.name for each in in_order([wanted("a", "b"), wanted("b", "a")])} == {"a", "b"}


def test_names() -> None:
    assert unit_file("web") == UNIT.path
    assert service_unit("web") == "hotstack-os-web.service"
