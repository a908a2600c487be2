# SPDX-License-Identifier: Apache-2.0
"""Addresses and URLs follow from the map."""

from __future__ import annotations

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import addresses

MAP: addresses.Services = {
    "mariadb": {"address": 3, "port": 3306},
    "nova-api": {"address": 21, "port": 8774, "public": "nova"},
    "nova-compute": {"needs": ["nova-api"]},
    "nameless": {"public": "nameless"},
}

NTH = [
    ("172.31.0.0/25", 0, "172.31.0.0"),
    ("172.31.0.0/25", 1, "172.31.0.1"),
    ("172.31.0.0/25", 127, "172.31.0.127"),
    ("10.0.0.0/16", 256, "10.0.1.0"),
]


@pytest.mark.parametrize(("network", "number", "expected"), NTH)
def test_nth_address(network: str, number: int, expected: str) -> None:
    assert addresses.nth_address(network, number) == expected


@pytest.mark.parametrize("number", [-1, 128])
def test_nth_address_outside(number: int) -> None:
    with pytest.raises(
        ValueError, match=f"Address number {number} lies outside 172.31.0.0/25, which has 128 addresses."
    ):
        addresses.nth_address("172.31.0.0/25", number)


def test_upper_half() -> None:
    assert addresses.upper_half("172.31.0.0/25") == "172.31.0.64/26"
    assert addresses.upper_half("10.0.0.0/24") == "10.0.0.128/25"


def test_service_addresses() -> None:
    assert addresses.service_addresses(MAP, "10.1.0.0/24") == {"mariadb": "10.1.0.3", "nova-api": "10.1.0.21"}


def test_public_urls() -> None:
    assert addresses.public_urls(MAP, "lab.example") == {"nova-api": "http://nova.lab.example:8774"}
