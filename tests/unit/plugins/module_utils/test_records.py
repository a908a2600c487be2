# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import records


def test_what_was_said_first_stays() -> None:
    assert records.extended({"a": None}, {"a": "later", "b": "first"}) == {"a": None, "b": "first"}


def test_sections_do_not_touch_each_other(tmp_path: Path) -> None:
    path = tmp_path / "runtime" / "created.json"
    records.write_section(str(path), "one", {"a": None})
    records.write_section(str(path), "two", {"b": "x"})
    assert records.read(str(path)) == {"one": {"a": None}, "two": {"b": "x"}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    records.write_section(str(path), "one", {})
    assert records.read(str(path)) == {"two": {"b": "x"}}


def test_nothing_recorded_yet(tmp_path: Path) -> None:
    assert records.read(str(tmp_path / "created.json")) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{", "is not valid JSON", id="half a file"),
        pytest.param("[]", "must hold a dictionary of sections", id="a list"),
        pytest.param('{"a": 1}', "must hold a dictionary of sections", id="no section"),
    ],
)
def test_broken_record(text: str, expected: str) -> None:
    with pytest.raises(records.RecordError, match=f"/created.json {expected}"):
        records.parse("/created.json", text)
