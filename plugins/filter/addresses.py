# SPDX-License-Identifier: Apache-2.0
"""The computations that settings and templates need of addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import addresses, cloud_settings


class FilterModule:
    """Filters over the map of services and its networks."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "floating_pools": cloud_settings.floating_pools,
            "nth_address": addresses.nth_address,
            "public_urls": addresses.public_urls,
            "service_addresses": addresses.service_addresses,
            "upper_half": addresses.upper_half,
        }
