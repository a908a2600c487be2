# SPDX-License-Identifier: Apache-2.0
"""The controller's half of work that takes minutes: it shows how the work gets on, until there is a result."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

POLL_SECONDS = 2.0
MARK = "=== result"
# So often in a row a poll may fail, which a host that is short of memory makes it do for a moment.
FAILURES = 30


def read_poll(text: str, name: str) -> tuple[list[str], dict[str, Any] | None]:
    """Return the new lines of progress, and the result if there is one."""
    progress, mark, result = text.partition(MARK)
    lines = [line.rstrip() for line in progress.splitlines() if line.strip()]
    if not mark:
        return lines, None
    if not result.strip():
        return lines, {"failed": True, "msg": f"The {name} was killed; what was not complete will be done again."}
    return lines, json.loads(result)


def poll_command(run: dict[str, Any], seen: int) -> str:
    """Return a shell command that prints the lines after those seen, and the result once there is one."""
    progress, result = shlex.quote(run["progress"]), shlex.quote(run["result"])
    process = int(run["process"])
    return (
        f"alive=yes; kill -0 {process} 2>/dev/null || alive=no; tail -n +{seen + 1} {progress}; "
        f"if [ -e {result} ]; then echo '{MARK}'; cat {result}; elif [ $alive = no ]; then echo '{MARK}'; fi"
    )


def show(line: str) -> None:
    """Show a line at once: Ansible's standard output waits in a buffer where it is no terminal, errors do not."""
    Display().display(line, stderr=True)


def follow(action: ActionBase, run: dict[str, Any], name: str) -> dict[str, Any]:
    """Show the progress of work that is called `name` until it ends, and return its result."""
    seen = failures = 0
    while True:
        answer = action._low_level_execute_command(poll_command(run, seen))
        failures = failures + 1 if answer["rc"] else 0
        if failures == FAILURES:
            return {"failed": True, "msg": f"The {name} goes on, but can't be followed: {answer['stderr'].strip()}"}
        lines, result = read_poll(answer["stdout"], name)
        seen += len(lines)
        for line in lines:
            show(f"  {line}")
        if result is not None:
            return result
        time.sleep(POLL_SECONDS)
