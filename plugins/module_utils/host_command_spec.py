# SPDX-License-Identifier: Apache-2.0
"""The parameters of modules that do the work of the command `hotstack-os`."""

from __future__ import annotations

from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import host_command

ARGUMENTS: dict[str, Any] = {
    "settings": {"type": "path", "default": host_command.SETTINGS},
    "patience": {"type": "float", "default": host_command.PATIENCE},
}
