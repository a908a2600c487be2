# SPDX-License-Identifier: Apache-2.0
"""Work that outlives its module."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import background


def test_start_leaves_a_process_that_works(tmp_path: Path) -> None:
    (tmp_path / "run-1.json").write_text("{}")

    def work(tell: background.Tell) -> dict[str, Any]:
        tell("half")
        return {"done": True}

    run = background.start(str(tmp_path), work, ValueError, "build")
    os.waitpid(run["process"], 0)
    assert json.loads(Path(run["result"]).read_text()) == {"done": True}
    assert Path(run["progress"]).read_text() == "half\n"
    assert not (tmp_path / "run-1.json").exists()


def test_detach(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    monkeypatch.setattr(os, "setsid", lambda: done.append("setsid"))
    monkeypatch.setattr(os, "dup2", lambda _from, to: done.append(to))
    handlers: list[Callable[..., None]] = []
    monkeypatch.setattr(signal, "signal", lambda _number, handler: handlers.append(handler))
    background.detach()
    assert done == ["setsid", 0, 1, 2]
    with pytest.raises(SystemExit):
        handlers[0](15, None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LookupError("no such package"), "no such package"),
        (ValueError("odd"), "The build ended unexpectedly: ValueError('odd')"),
        (OSError(2, "No such file", "/ca.pem"), "The build ended unexpectedly: [Errno 2] No such file: '/ca.pem'"),
        (SystemExit("signal"), "The build ended unexpectedly: SystemExit('signal')"),
    ],
)
def test_errors_are_reported(tmp_path: Path, error: BaseException, message: str) -> None:
    def fail(_tell: background.Tell) -> dict[str, Any]:
        raise error

    background.finish(str(tmp_path / "run-1"), fail, LookupError, "build")
    assert json.loads((tmp_path / "run-1.json").read_text()) == {"failed": True, "msg": message}
