# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.hotstack.os.plugins.module_utils import clouds

OURS: dict[str, Any] = {"hotstack-os-admin": {"auth": {"password": 'a"b\\c#d: é'}, "region_name": "RegionOne"}}

FOREIGN = """\
# My clouds
clouds:
    # the old one
    work:
        auth: {username: me}
other: 1
"""


@pytest.mark.parametrize(
    ("before", "others"),
    [
        pytest.param("", {}, id="no file"),
        pytest.param("---\n", {}, id="an empty document"),
        pytest.param("clouds: {}\n", {}, id="no clouds"),
        pytest.param("cache: {a: 1}\n", {}, id="other keys only"),
        pytest.param("clouds:\n# none yet\n", {}, id="an open mapping"),
        pytest.param("clouds :\n  work: {a: 1}\n", {"work": {"a": 1}}, id="a space before the colon"),
        pytest.param(FOREIGN, {"work": {"auth": {"username": "me"}}}, id="foreign clouds"),
        pytest.param(
            clouds.merge(FOREIGN, {"old": {"a": "b"}}), {"work": {"auth": {"username": "me"}}}, id="former ones"
        ),
    ],
)
def test_merge(before: str, others: dict[str, Any]) -> None:
    after = clouds.merge(before, OURS)
    assert yaml.safe_load(after)["clouds"] == {**others, **OURS}
    assert clouds.merge(after, OURS) == after
    foreign = {key: value for key, value in (yaml.safe_load(before) or {}).items() if key != "clouds"}
    assert {key: value for key, value in yaml.safe_load(after).items() if key != "clouds"} == foreign


@pytest.mark.parametrize("text", ["", FOREIGN])
def test_parts_stay_beside_each_other(text: str) -> None:
    other = {"hotstack-os": {"region_name": "RegionOne"}}
    both = clouds.merge(clouds.merge(text, OURS), other, "post_setup")
    assert yaml.safe_load(both)["clouds"].items() >= {**OURS, **other}.items()
    # Neither run undoes what the other did.
    assert clouds.merge(both, OURS) == both
    assert clouds.merge(both, other, "post_setup") == both
    assert "hotstack-os" not in yaml.safe_load(clouds.merge(both, {}, "post_setup"))["clouds"]


def test_comments_stay() -> None:
    after = clouds.merge(FOREIGN, OURS)
    assert [line for line in FOREIGN.splitlines() if line not in after.splitlines()] == []


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("clouds: {work: {auth: {}}}\n", "by hand"),
        ('{"clouds": {}}\n', "by hand"),
        ("\ufeffclouds:\n  work: {auth: {}}\n", "by hand"),
        ("? clouds\n: {work: {auth: {}}}\n", "by hand"),
        ("clouds:\n  hotstack-os-admin:\n    auth: {}\n", "a cloud 'hotstack-os-admin' of somebody else"),
        ('clouds:\n  "hotstack-os-admin": {}\n', "of somebody else"),
        (f"clouds:\n  {clouds.BEGIN}\n", "not one pair"),
        (f"clouds:\n  {clouds.END}\n  {clouds.BEGIN}\n", "not one pair"),
    ],
)
def test_what_cannot_be_edited_safely_is_left_alone(before: str, message: str) -> None:
    with pytest.raises(clouds.CloudsError, match=message):
        clouds.merge(before, OURS)
