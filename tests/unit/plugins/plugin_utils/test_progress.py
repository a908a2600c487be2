# SPDX-License-Identifier: Apache-2.0
"""How the controller follows work on a host."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.plugin_utils import progress


@pytest.mark.parametrize(
    ("text", "lines", "result"),
    [
        ("", [], None),
        ("a: step\nb: step\n", ["a: step", "b: step"], None),
        ('a: built\n=== result\n{"built": ["a"]}', ["a: built"], {"built": ["a"]}),
    ],
)
def test_read_poll(text: str, lines: list[str], result: dict[str, Any] | None) -> None:
    assert progress.read_poll(text, "build") == (lines, result)


def test_killed_build() -> None:
    _lines, result = progress.read_poll("a: step\n=== result\n", "build")
    assert result is not None
    assert "The build was killed" in result["msg"]


def test_poll_command(tmp_path: Path) -> None:
    """A shell says what is new, and whether it has ended or died."""
    lines_file, result = tmp_path / "the progress", tmp_path / "result"
    lines_file.write_text("one\ntwo\n")
    living = subprocess.Popen(["sleep", "30"])
    run = {"progress": str(lines_file), "result": str(result), "process": living.pid}

    def poll() -> tuple[list[str], dict[str, Any] | None]:
        command = progress.poll_command(run, 1)
        answer = subprocess.run(["sh", "-c", command], stdout=-1, text=True, check=True).stdout
        return progress.read_poll(answer, "build")

    assert poll() == (["two"], None)
    living.kill()
    living.wait()
    lines, ended = poll()
    assert lines == ["two"]
    assert ended is not None
    assert ended["failed"] is True
    result.write_text(json.dumps({"built": []}))
    assert poll() == (["two"], {"built": []})


def test_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line is shown once, on standard error, and the result ends it."""
    shown: list[tuple[str, bool]] = []
    display = SimpleNamespace(display=lambda line, stderr: shown.append((line, stderr)))
    monkeypatch.setattr(progress, "Display", lambda: display)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    commands: list[str] = []
    outputs = ["one\n", "", 'two\n=== result\n{"files": {}}']

    def execute(command: str) -> dict[str, Any]:
        commands.append(command)
        return {"rc": 0, "stdout": outputs.pop(0)}

    action = SimpleNamespace(_low_level_execute_command=execute)
    run = {"progress": "/p", "result": "/r", "process": 1}
    assert progress.follow(action, run, "download") == {"files": {}}
    assert shown == [("  one", True), ("  two", True)]
    assert ["tail -n +1 " in commands[0], "tail -n +2 " in commands[1]] == [True, True]


@pytest.mark.parametrize(("fails", "end"), [(29, {"files": {}}), (100, {"failed": True})])
def test_what_cannot_be_followed_ends_too(fails: int, end: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    failed = {"rc": 1, "stdout": "", "stderr": "sudo: a password is required\n"}
    answers = [*[failed] * fails, {"rc": 0, "stdout": '=== result\n{"files": {}}'}]
    action = SimpleNamespace(_low_level_execute_command=lambda _command: answers.pop(0))
    result = progress.follow(action, {"progress": "/p", "result": "/r", "process": 1}, "download")
    assert result.items() >= end.items()
    assert ("can't be followed: sudo: a password is required" in result.get("msg", "")) == ("failed" in end)
