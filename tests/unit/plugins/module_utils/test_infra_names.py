# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.filter.infra import FilterModule

FILTERS = FilterModule().filters()

NOVA = {"address": 21, "port": 8774, "public": "nova", "aliases": ["nova-api"]}


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param({"mariadb": {"address": 3}}, {"mariadb": ["mariadb"]}, id="its own name"),
        pytest.param({"dnsmasq": {"port": 53}}, {}, id="the host's network"),
        pytest.param({"nova-api": NOVA}, {"nova-api": ["nova-api", "nova"]}, id="a public name"),
        pytest.param(
            {"nova-api": NOVA, "nova-novncproxy": {"address": 26, "port": 6080, "public": "nova"}},
            {"nova-api": ["nova-api", "nova"], "nova-novncproxy": ["nova-novncproxy"]},
            id="a public name of two is the first one's",
        ),
        pytest.param(
            {"api": {"address": 1, "port": 2, "public": "db"}, "db": {"address": 3}},
            {"api": ["api"], "db": ["db"]},
            id="a service's own name comes first",
        ),
    ],
)
def test_internal_names(services: dict[str, Any], expected: dict[str, list[str]]) -> None:
    assert FILTERS["internal_names"](services) == expected


def test_published_ports() -> None:
    services = {"nova-api": NOVA, "mariadb": {"address": 3, "port": 3306}}
    assert FILTERS["published_ports"](services, "172.31.0.129", 8404) == [
        "172.31.0.129:8404:8404",
        "172.31.0.129:8774:8774",
    ]
