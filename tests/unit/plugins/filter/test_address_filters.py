# SPDX-License-Identifier: Apache-2.0
"""The filters do what their documentation shows."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.filter.addresses import FilterModule

CALLS: list[tuple[str, Any, Any, Any]] = [
    ("nth_address", "172.31.0.0/25", 1, "172.31.0.1"),
    ("service_addresses", {"mariadb": {"address": 3}}, "172.31.0.0/25", {"mariadb": "172.31.0.3"}),
    (
        "public_urls",
        {"glance": {"port": 9292, "public": "image"}},
        "cloud.example",
        {"glance": "http://image.cloud.example:9292"},
    ),
]


@pytest.mark.parametrize(("name", "value", "argument", "expected"), CALLS)
def test_filter(name: str, value: Any, argument: Any, expected: Any) -> None:
    assert FilterModule().filters()[name](value, argument) == expected
