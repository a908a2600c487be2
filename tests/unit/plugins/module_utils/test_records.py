# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
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


def test_folders_of_the_record_can_be_entered_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        records.write_section(str(tmp_path / "data" / "runtime" / "created.json"), "one", {"a": None})
    finally:
        os.umask(before)
    # Guests of another user are in the data.
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o755


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
