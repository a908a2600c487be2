# SPDX-License-Identifier: Apache-2.0
"""The public names of a map."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.filter.host_names import FilterModule

public_names = FilterModule().filters()["public_names"]


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param({}, [], id="none"),
        pytest.param({"mariadb": {"port": 3306}, "broken": {"aliases": ["x"]}}, [], id="none public"),
        pytest.param({"keystone": {"public": "keystone"}}, ["keystone.lab"], id="one"),
        pytest.param(
            {"nova-api": {"public": "nova", "aliases": ["nova-api"]}, "nova-novncproxy": {"public": "nova"}},
            ["nova.lab", "nova-api.lab"],
            id="a name of two services",
        ),
    ],
)
def test_public_names(services: dict[str, Any], expected: list[str]) -> None:
    assert public_names(services, "lab") == expected
