# SPDX-License-Identifier: Apache-2.0
"""What RabbitMQ's definitions need of passwords."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import password_hashes


class FilterModule:
    """Filters over passwords."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"rabbitmq_password_hash": password_hashes.rabbitmq_password_hash}
