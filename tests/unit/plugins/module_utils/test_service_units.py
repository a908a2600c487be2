# SPDX-License-Identifier: Apache-2.0
"""What is done to units, and how the service managers are spoken to."""

from __future__ import annotations

import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import service_units
from ansible_collections.hotstack.os.plugins.module_utils.service_units import Manager, State, UnitError

UNIT = {"enabled": True, "started": True}
RUNS = State(loaded=True, active="active", enabled=True, pid=7)
NOBODY = pwd.getpwnam("nobody")


@pytest.mark.parametrize(
    ("unit", "state", "reason", "verbs"),
    [
        pytest.param(UNIT, State(), None, ["enable", "start"], id="new"),
        pytest.param(UNIT, RUNS, None, [], id="as wanted"),
        pytest.param(UNIT, RUNS, "its program was replaced", ["restart"], id="outdated"),
        pytest.param(UNIT, State(active="failed", enabled=True), None, ["start"], id="failed"),
        pytest.param(UNIT, State(active="activating", enabled=True), None, [], id="starting already"),
        pytest.param({"enabled": True, "started": False}, State(), None, ["enable"], id="only enabled"),
        pytest.param({"enabled": False, "started": True}, State(), None, ["start"], id="only started"),
        pytest.param({"enabled": False, "started": False}, State(), "x", [], id="left alone"),
    ],
)
def test_plan(unit: dict[str, Any], state: State, reason: str | None, verbs: list[str]) -> None:
    assert service_units.plan(unit, state, reason) == verbs


def test_parse_states() -> None:
    text = (
        "Id=a.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nMainPID=7\nNeedDaemonReload=yes\n\n"
        "Id=b.path\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\nNeedDaemonReload=no\n"
    )
    assert service_units.parse_states(text) == {
        "a.service": State(loaded=True, active="active", enabled=True, pid=7, stale=True),
        "b.path": State(),
    }
    assert service_units.parse_states("") == {}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, Any]]]:
    """Return what was called; the first word after systemctl's options decides how it ends."""
    made: list[tuple[list[str], dict[str, Any]]] = []

    def call(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        made.append((command, options))
        code = 1 if "broken.service" in command else 0
        return subprocess.CompletedProcess(command, code, stdout="some lines\n", stderr="it broke\n" if code else "")

    monkeypatch.setattr(subprocess, "run", call)
    return made


def test_a_user_is_spoken_to_as_this_user(calls: list[tuple[list[str], dict[str, Any]]]) -> None:
    Manager(NOBODY).call("daemon-reload")
    command, options = calls[0]
    assert command == ["systemctl", "--user", "daemon-reload"]
    assert (options["user"], options["group"]) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert options["env"]["XDG_RUNTIME_DIR"] == f"/run/user/{NOBODY.pw_uid}"


def test_the_system_is_spoken_to_directly(calls: list[tuple[list[str], dict[str, Any]]]) -> None:
    assert Manager(None).states(["a.service"]) == {"a.service": State()}
    assert calls[0][0][:2] == ["systemctl", "show"]


def test_a_failure_names_the_unit_and_quotes_its_log(calls: list[tuple[list[str], dict[str, Any]]]) -> None:
    with pytest.raises(UnitError, match=r"(?s)broken.service of user nobody could not be .*it broke.*some lines"):
        Manager(NOBODY).bring("start", "broken.service")
    with pytest.raises(UnitError, match=r"systemctl stop broken\.service failed: it broke"):
        Manager(None).call("stop", "broken.service")
    Manager(None).bring("enable", "fine.service")
    assert [command[1] for command, _options in calls[-1:]] == ["enable"]


@pytest.mark.parametrize(("status", "reachable"), [(0, True), (3, False)], ids=["started", "starting, ending or dead"])
def test_a_manager_is_reachable_when_it_has_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, reachable: bool
) -> None:
    """Whatever socket there is: systemd says so."""
    asked: list[list[str]] = []

    def call(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, status, stdout="", stderr="")

    monkeypatch.setattr(subprocess, "run", call)
    manager = Manager(NOBODY)
    manager.runtime_dir = str(tmp_path)
    (tmp_path / "systemd").mkdir()
    (tmp_path / "systemd" / "private").touch()
    assert manager.reachable() is reachable
    assert asked == [["systemctl", "is-active", "--quiet", f"user@{NOBODY.pw_uid}.service"]]
    assert Manager(None).reachable()


def test_a_manager_is_waited_for(
    calls: list[tuple[list[str], dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that starts already, as after enable-linger, too; one that can't start is an error."""
    Manager(None).wake()
    assert calls == []
    Manager(NOBODY).wake()
    assert calls[-1][0] == ["systemctl", "start", f"user@{NOBODY.pw_uid}.service"]
    manager = Manager(NOBODY)
    manager.unit = "broken.service"
    with pytest.raises(UnitError, match=r"(?s)^broken\.service could not be brought to start: it broke.*some lines"):
        manager.wake()
