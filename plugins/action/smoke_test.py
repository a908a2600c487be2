# SPDX-License-Identifier: Apache-2.0
"""The controller's half of `smoke_test`: it shows how the test gets on."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.hotstack.os.plugins.plugin_utils import progress

MODULE = "hotstack.os.smoke_test"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Start the test and follow it."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module, and show what it started."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._execute_module(MODULE, dict(self._task.args), task_vars=task_vars or {}))
        if "run" in result:
            result.update(progress.follow(self, result.pop("run"), "smoke test"))
        return result
