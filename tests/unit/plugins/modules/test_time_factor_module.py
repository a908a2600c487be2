# SPDX-License-Identifier: Apache-2.0
"""The module that remembers a host's time factor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import time_factor as decisions
from ansible_collections.hotstack.os.plugins.modules import time_factor


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new/time_factor.json"
    assert time_factor.run("8", True, str(path))["changed"]
    assert not path.exists()
    assert time_factor.run("8", False, str(path)) == {"changed": True, "factor": 8, "measured": False}
    assert json.loads(path.read_text()) == {"factor": 8, "measured": False}
    assert not time_factor.run("8", False, str(path))["changed"]
    measured = time_factor.run("auto", False, str(path))
    assert (measured["changed"], measured["measured"]) == (True, True)
    assert time_factor.run("auto", False, str(path)) == {**measured, "changed": False}
    assert decisions.current(str(path)) == measured["factor"]


def test_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(time_factor.TimeFactorError, match="factor is '0', but must be auto or a whole number"):
        time_factor.run("0", False, str(tmp_path / "file"))
    assert not (tmp_path / "file").exists()
