# SPDX-License-Identifier: Apache-2.0
"""What the configuration of database, messages, DNS and load balancer needs computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import infra_names, password_hashes


class FilterModule:
    """Filters over passwords and over the map of services."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "internal_names": infra_names.internal_names,
            "published_ports": infra_names.published_ports,
            "rabbitmq_password_hash": password_hashes.rabbitmq_password_hash,
        }
