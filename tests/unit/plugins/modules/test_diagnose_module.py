# SPDX-License-Identifier: Apache-2.0
"""The module `diagnose`: where the archive is, and none in check mode."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import diagnosis_archive, host_command
from ansible_collections.hotstack.os.plugins.module_utils.status_report import Line, Report
from ansible_collections.hotstack.os.plugins.modules import diagnose


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps({"hotstack_os_services": {}}))
    lines = [Line("host", "disk /", "0 GiB", "it is full", "du /")]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host_command, "find_out", lambda *_: Report([], lines))
    return {"settings": str(path), "patience": 3.0, "folder": str(tmp_path), "before": []}


class Works:
    """A diagnosis that takes no time."""

    def __init__(self, *_arguments: Any) -> None:
        pass

    def write(self, folder: str) -> str:
        return f"{folder}/archive"


class Fails(Works):
    """One without room."""

    def write(self, folder: str) -> str:
        raise diagnosis_archive.DiagnosisError("no room")


def test_result(params: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(diagnosis_archive, "Diagnosis", Works)
    problems = ["disk /: it is full. Next: du /"]
    path = f"{params['folder']}/archive"
    assert diagnose.run(params, False) == {"changed": True, "path": path, "problems": problems}
    assert host_command.main(["diagnose", "--settings", params["settings"], "--folder", params["folder"]]) == 0
    assert capsys.readouterr().out == f"{problems[0]}\n{path}\n"


def test_check_mode(params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis_archive, "Diagnosis", Fails)
    assert diagnose.run(params, True) == {"changed": True, "problems": ["disk /: it is full. Next: du /"]}


def test_no_room(params: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(diagnosis_archive, "Diagnosis", Fails)
    with pytest.raises(host_command.HostCommandError, match="no room"):
        diagnose.run(params, False)
    assert host_command.main(["diagnose", "--settings", params["settings"]]) == 2
    assert capsys.readouterr().err == "no room\n"
