# SPDX-License-Identifier: Apache-2.0
"""Addresses and URLs that follow from the map of services."""

from __future__ import annotations

import ipaddress
from typing import Any

Services = dict[str, dict[str, Any]]


def nth_address(network: str, number: int) -> str:
    """Return the address with this number inside the network, such as 172.31.0.3 for 3 in 172.31.0.0/25."""
    net = ipaddress.ip_network(network)
    if not 0 <= number < net.num_addresses:
        raise ValueError(f"Address number {number} lies outside {network}, which has {net.num_addresses} addresses.")
    return str(net[number])


def upper_half(network: str) -> str:
    """Return the second half of a network, such as 172.31.0.64/26 of 172.31.0.0/25."""
    return str(list(ipaddress.ip_network(network).subnets())[-1])


def service_addresses(services: Services, network: str) -> dict[str, str]:
    """Return the container address of every service that has one."""
    return {name: nth_address(network, line["address"]) for name, line in services.items() if "address" in line}


def public_urls(services: Services, domain: str) -> dict[str, str]:
    """Return the URL, without a path, under which clients reach each public service."""
    return {
        name: f"http://{line['public']}.{domain}:{line['port']}"
        for name, line in services.items()
        if "public" in line and "port" in line
    }
