# SPDX-License-Identifier: Apache-2.0
"""What timeouts are multiplied with: measured once, remembered, or set."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import time_factor
from ansible_collections.hotstack.os.plugins.module_utils.time_factor import ATTEMPTS, ORDINARY, TimeFactor


@pytest.mark.parametrize(
    ("times_slower", "factor"),
    [(0.1, 1), (1, 1), (1.01, 2), (2, 2), (3, 4), (6, 8), (10, 16), (20, 32), (500, 32)],
)
def test_factor_of_a_speed(times_slower: float, factor: int) -> None:
    assert time_factor.factor_of(times_slower * ORDINARY) == factor


def test_the_best_attempt_counts() -> None:
    disturbed = iter([9 * ORDINARY] * (ATTEMPTS - 1) + [ORDINARY / 2])
    assert time_factor.measure(lambda: next(disturbed)) == 1


def test_work_takes_time() -> None:
    assert 0 < time_factor.work() < 60


MEASURED, SET = TimeFactor(8), TimeFactor(5, measured=False)


@pytest.mark.parametrize(
    ("setting", "known", "expected"),
    [
        pytest.param("auto", None, TimeFactor(4), id="measured for the first time"),
        pytest.param("auto", MEASURED, MEASURED, id="measured before"),
        pytest.param("auto", SET, TimeFactor(4), id="set before"),
        pytest.param("5", None, SET, id="set"),
        pytest.param("5", SET, SET, id="still set"),
        pytest.param("5", MEASURED, SET, id="set after a measurement"),
    ],
)
def test_decision(setting: str, known: TimeFactor | None, expected: TimeFactor) -> None:
    assert time_factor.decide(setting, known, lambda: 4) == expected


@pytest.mark.parametrize("value", ["auto", "1", "100"])
def test_good_settings(value: str) -> None:
    assert time_factor.is_setting(value)


@pytest.mark.parametrize("value", ["", "0", "101", "-1", "1.5", "Auto", "eight", "٣"])
def test_bad_settings(value: str) -> None:
    assert not time_factor.is_setting(value)


@pytest.mark.parametrize(
    "text", ["", "8", "[]", '{"factor": 0}', '{"factor": "8"}', '{"factor": true}', '{"factor": 101}']
)
def test_damaged_files_say_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    assert time_factor.remembered(str(tmp_path / "file")) is None
    assert time_factor.current(str(tmp_path / "file")) == 1


@pytest.mark.parametrize("known", [MEASURED, SET])
def test_what_was_written_is_read(known: TimeFactor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(known.text())
    assert time_factor.remembered(str(tmp_path / "file")) == known
    assert time_factor.current(str(tmp_path / "file")) == known.factor
