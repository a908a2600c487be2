# SPDX-License-Identifier: Apache-2.0
"""Work that takes minutes: a process that outlives its module, and files to follow it by.

The controller shows the file of progress while the work goes on; see plugin_utils/progress.py.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

Tell = Callable[[str], object]


def start(folder: str, work: Callable[[Tell], dict[str, Any]], expected: type[Exception], name: str) -> dict[str, Any]:
    """Start work that is called `name` and whose expected errors are of this type; return where to follow it."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for entry in os.listdir(folder):
        if entry.startswith("run-"):
            os.unlink(os.path.join(folder, entry))
    path = os.path.join(folder, f"run-{time.time_ns()}")
    with open(path + ".progress", "w", encoding="utf-8"):
        pass
    process = os.fork()
    if process == 0:
        detach()
        finish(path, work, expected, name)
        os._exit(0)
    return {"process": process, "progress": path + ".progress", "result": path + ".json"}


def interrupted(*_signal: object) -> None:
    """End the process in the ordinary way, so that the result is written."""
    raise SystemExit("It was ended by a signal.")


def detach() -> None:
    """Let go of the terminal and the pipes of who started this process."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    signal.signal(signal.SIGTERM, interrupted)


def finish(path: str, work: Callable[[Tell], dict[str, Any]], expected: type[Exception], name: str) -> None:
    """Work, and leave the result in a file that appears once it is complete."""
    try:
        with open(path + ".progress", "a", encoding="utf-8", buffering=1) as progress:
            result = work(lambda line: progress.write(f"{line}\n"))
    except expected as error:
        result = {"failed": True, "msg": str(error)}
    except OSError as error:
        # Its representation would not say of which file.
        result = {"failed": True, "msg": f"The {name} ended unexpectedly: {error}"}
    except (Exception, SystemExit) as error:
        result = {"failed": True, "msg": f"The {name} ended unexpectedly: {error!r}"}
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.rename(path + ".new", path + ".json")
