# SPDX-License-Identifier: Apache-2.0
"""The program that runs OVN's databases: what it does to their files, and what its end means."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "containerfiles/ovn/ovn_central.py"


@pytest.fixture(name="program")
def _program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("ovn_central", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ovn_central", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "DATA", tmp_path)
    return module


@pytest.mark.parametrize(
    ("present", "current", "wanted", "differs", "expected"),
    [
        pytest.param(False, "", "7.0.0", False, "create", id="missing"),
        pytest.param(True, "7.0.0", "7.0.0", False, "", id="as it should be"),
        pytest.param(True, "7.0.0", "7.10.0", True, "convert", id="older"),
        pytest.param(True, "7.0.0", "7.0.0", True, "convert", id="same version, other schema"),
    ],
)
def test_step(program: ModuleType, present: bool, current: str, wanted: str, differs: bool, expected: str) -> None:
    assert program.step(present, current, wanted, differs) == expected


def test_newer_database_is_refused(program: ModuleType) -> None:
    with pytest.raises(program.StartError, match=r"its schema 7\.10\.0 is newer than 7\.9\.0"):
        program.step(True, "7.10.0", "7.9.0", True)


class Tool:
    """Stands for ovsdb-tool: files hold their schema's version."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted

    def __call__(self, verb: str, *arguments: str) -> str:
        if verb == "schema-version":
            return self.wanted
        if verb == "db-version":
            return Path(arguments[0]).read_text()
        if verb == "needs-conversion":
            return "no" if Path(arguments[0]).read_text() == self.wanted else "yes"
        Path(arguments[0 if verb == "create" else 2]).write_text(self.wanted)
        return ""


def test_database_is_created_then_converted_and_kept(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = program.Database("nb", 6641)
    monkeypatch.setattr(program, "tool", Tool("1.0.0"))
    program.prepare(database)
    program.prepare(database)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"ovnnb_db.db": "1.0.0"}
    monkeypatch.setattr(program, "tool", Tool("2.0.0"))
    program.prepare(database)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "ovnnb_db.db": "2.0.0",
        "ovnnb_db.1.0.0": "1.0.0",
    }


def test_databases_are_served_on_one_address(program: ModuleType) -> None:
    settings = program.Database("sb", 6642).settings("172.31.0.31")
    assert list(settings["remotes"]) == ["punix:/run/ovn/ovnsb_db.sock", "ptcp:6642:172.31.0.31"]


def test_an_end_between_two_signals_is_none_of_its_own(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = os.wait
    handlers: dict[int, Any] = {}

    def waiting() -> tuple[int, int]:
        found = wait()
        # podman stops the container in this very moment.
        handlers[signal.SIGTERM](signal.SIGTERM, None)
        return found

    monkeypatch.setattr(program.signal, "signal", lambda number, handler: handlers.update({number: handler}))
    monkeypatch.setattr(program.os, "wait", waiting)
    assert program.supervise({"lasting": ["sleep", "60"], "ending": ["true"]}) == ""


def test_first_end_ends_all(program: ModuleType) -> None:
    wanted = {"lasting": ["sleep", "60"], "ending": ["sh", "-c", "exit 3"]}
    assert program.supervise(wanted) == "ending ended with status 3"
