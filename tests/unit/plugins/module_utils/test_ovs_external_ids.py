# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import ovs_external_ids as ids

OURS = {"ovn-remote": "tcp:172.31.0.31:6642"}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        pytest.param('{"data": [[["map", [["a", "1"], ["b", "2"]]]]]}', {"a": "1", "b": "2"}, id="keys"),
        pytest.param('{"data": [[["map", []]]]}', {}, id="none"),
        pytest.param("", {}, id="no Open vSwitch in check mode"),
    ],
)
def test_parse(output: str, expected: dict[str, str]) -> None:
    assert ids.parse(output) == expected


@pytest.mark.parametrize(
    ("current", "record"),
    [
        pytest.param({}, {}, id="free"),
        pytest.param(OURS, {}, id="ours, without a record"),
        pytest.param({"ovn-remote": "tcp:10.0.0.1:6642"}, {"ovn-remote": None}, id="ours, of another network"),
    ],
)
def test_owner(current: dict[str, str], record: dict[str, str | None]) -> None:
    ids.check_owner(current, OURS, record)


def test_other_owner_is_refused() -> None:
    with pytest.raises(ids.ForeignError, match=r"ovn-remote is ssl:10\.0\.0\.1:6642, and this deployment needs tcp:"):
        ids.check_owner({"ovn-remote": "ssl:10.0.0.1:6642"}, OURS, {"hostname": None})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"a": "x:y"}, [["set", "Open_vSwitch", ".", 'external_ids:a="x:y"']], id="set"),
        pytest.param({"a": None, "b": None}, [["remove", "Open_vSwitch", ".", "external_ids", "a", "b"]], id="remove"),
    ],
)
def test_commands(changes: dict[str, str | None], expected: list[list[str]]) -> None:
    assert ids.commands(changes) == expected


def test_only_what_differs() -> None:
    assert ids.differing({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": None, "d": "4"}) == {"b": "3", "d": "4"}
