# SPDX-License-Identifier: Apache-2.0
"""The filters do what their documentation shows, and each has one."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hotstack.os.plugins.filter.addresses import FilterModule

FOLDER = Path(__file__).resolve().parents[4] / "plugins" / "filter"
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


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_every_filter_is_documented(path: Path) -> None:
    module = importlib.import_module(f"ansible_collections.hotstack.os.plugins.filter.{path.stem}")
    for name in module.FilterModule().filters():
        page = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
        assert page["DOCUMENTATION"]["name"] == name
