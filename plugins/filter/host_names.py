# SPDX-License-Identifier: Apache-2.0
"""The filter for the names of the public services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import host_names


class FilterModule:
    """Filters over the map of services."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"public_names": host_names.public_names}
