# SPDX-License-Identifier: Apache-2.0
"""The module `status`: the command's answer as a result of a task."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import host_command
from ansible_collections.hotstack.os.plugins.module_utils.status_report import Line, Report
from ansible_collections.hotstack.os.plugins.modules import status


def test_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps({"hotstack_os_services": {}}))
    lines = [Line("host", "disk /", "0 GiB", "it is full", "du /"), Line("host", "clock", "synchronised")]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host_command, "find_out", lambda *_: Report([], lines))
    result = status.run({"settings": str(path), "patience": 3.0})
    assert not result["changed"]
    assert not result["well"]
    assert result["problems"] == ["disk /: it is full. Next: du /"]
    assert result["lines"][-1] == "   next: du /"
    assert [check["good"] for check in result["checks"]] == [False, True]
