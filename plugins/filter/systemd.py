# SPDX-License-Identifier: Apache-2.0
"""What templates of unit files need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import container_text


class FilterModule:
    """Filters that write values into unit files."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "systemd_value": container_text.systemd_value,
            "systemd_word": container_text.systemd_word,
        }
