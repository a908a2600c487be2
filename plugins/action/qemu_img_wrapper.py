# SPDX-License-Identifier: Apache-2.0
"""The controller's half of the modules that install wrappers: it reads their sources in containerfiles/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

FOLDER = Path(__file__).resolve().parents[2] / "containerfiles" / "wrappers"
PROGRAMS = {"qemu_img_wrapper": "qemu-img", "mount_nfs_wrapper": "mount.nfs"}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Send the program and its self-test with the task's arguments."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module of the same name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        module = self._task.action.rpartition(".")[2]
        sources = {"program": PROGRAMS[module], "self_test": "self-test"}
        texts = {name: (FOLDER / source).read_text(encoding="utf-8") for name, source in sources.items()}
        arguments = {**self._task.args, **texts}
        result.update(self._execute_module(f"hotstack.os.{module}", arguments, task_vars=task_vars))
        return result
