# SPDX-License-Identifier: Apache-2.0
"""The parameters by which modules know whose traces they look for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import Subject

ARGUMENTS: dict[str, Any] = {
    "traces": {
        "type": "dict",
        "required": True,
        "options": {
            "record_file": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "home": {"type": "path", "required": True},
            "network": {"type": "str", "required": True},
            "subnet": {"type": "str", "required": True},
            "bridges": {"type": "list", "elements": "str", "required": True},
            "addresses": {"type": "list", "elements": "str", "required": True},
            "data_dirs": {"type": "list", "elements": "path", "required": True},
            "mounts_dir": {"type": "path", "required": True},
            "build_cache": {"type": "path", "required": True},
            "base_image": {"type": "str", "required": True},
        },
    },
}


def subject_of(traces: Mapping[str, Any], **choices: Any) -> Subject:
    """Return whose traces these parameters name."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in traces.items()}
    return Subject(**values, **choices)
