# SPDX-License-Identifier: Apache-2.0
"""Files on a temporary folder and units of an imitated service manager."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ansible_collections.hotstack.os.plugins.module_utils.service_units import State, UnitError
from ansible_collections.hotstack.os.plugins.modules import service_units

US = pwd.getpwuid(os.geteuid()).pw_name


class FakeManager:
    """A service manager with one service."""

    state = State()
    runs = True
    done: list[str]

    def __init__(self, user: Any) -> None:
        pass

    def wake(self) -> None:
        self.done.append("wake")

    def reachable(self) -> bool:
        return self.runs

    def states(self, names: list[str]) -> dict[str, State]:
        return dict.fromkeys(names, self.state)

    def call(self, *arguments: str) -> str:
        self.done.append(" ".join(arguments))
        return ""

    def bring(self, verb: str, name: str) -> None:
        self.done.append(f"{verb} {name}")


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> type[FakeManager]:
    FakeManager.state, FakeManager.runs, FakeManager.done = State(), True, []
    monkeypatch.setattr(service_units, "Manager", FakeManager)
    return FakeManager


def parameters(path: Path, user: str = US, **unit: Any) -> dict[str, Any]:
    defaults = {"name": "a.service", "enabled": True, "started": True}
    defaults |= {"program": None, "capabilities": [], "environment": {}}
    file = {"path": str(path / "a.service"), "content": "[Service]\n", "mode": "0644"}
    return {"user": user, "files": [file], "units": [{**defaults, **unit}]}


def test_written_reloaded_and_started_in_this_order(tmp_path: Path, manager: type[FakeManager]) -> None:
    result = service_units.run(parameters(tmp_path), check_mode=False)
    assert manager.done == ["wake", "daemon-reload", "enable a.service", "start a.service"]
    assert (tmp_path / "a.service").read_text() == "[Service]\n"
    assert result["changed"]
    assert result["paths"] == [f"{tmp_path}/a.service"]
    assert result["diff"][-1]["after"] == "enable a.service\nstart a.service\n"


def test_a_second_run_changes_nothing(tmp_path: Path, manager: type[FakeManager]) -> None:
    service_units.run(parameters(tmp_path), check_mode=False)
    manager.state, manager.done[:] = State(active="active", enabled=True), []
    assert not service_units.run(parameters(tmp_path), check_mode=False)["changed"]
    assert manager.done == ["wake"]


def test_a_forgotten_reload_is_made_up_for(tmp_path: Path, manager: type[FakeManager]) -> None:
    service_units.run(parameters(tmp_path), check_mode=False)
    manager.state, manager.done[:] = State(active="active", enabled=True, stale=True), []
    service_units.run(parameters(tmp_path), check_mode=False)
    assert manager.done == ["wake", "daemon-reload"]


def test_check_mode_touches_nothing(tmp_path: Path, manager: type[FakeManager]) -> None:
    result = service_units.run(parameters(tmp_path), check_mode=True)
    assert result["actions"] == ["enable a.service", "start a.service"]
    assert (manager.done, list(tmp_path.iterdir())) == ([], [])
    manager.runs = False
    assert service_units.run(parameters(tmp_path), check_mode=True)["actions"] == ["start a.service"]


def test_what_runs_is_compared(tmp_path: Path, manager: type[FakeManager]) -> None:
    manager.state = State(active="active", enabled=True, pid=os.getpid())
    params = parameters(tmp_path, program="/bin/sh")
    result = service_units.run(params, check_mode=False)
    assert result["actions"] == ["restart a.service: its program was replaced"]
    assert manager.done[-1] == "restart a.service"


def test_a_mode_is_mended(tmp_path: Path, manager: type[FakeManager]) -> None:
    service_units.run(parameters(tmp_path), check_mode=False)
    (tmp_path / "a.service").chmod(0o600)
    diff = service_units.run(parameters(tmp_path), check_mode=False)["diff"][0]
    assert (diff["before"], diff["after"]) == ("# mode 0600\n[Service]\n", "# mode 0644\n[Service]\n")


def test_a_missing_user(tmp_path: Path, manager: type[FakeManager]) -> None:
    assert service_units.run(parameters(tmp_path, user="no-such-user"), check_mode=True)["changed"]
    with pytest.raises(UnitError, match="User no-such-user does not exist on this host"):
        service_units.run(parameters(tmp_path, user="no-such-user"), check_mode=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user": "no-such-user"}, "does not exist"),
        ({"files": [{"path": "/proc/none/file", "content": "", "mode": "0644"}]}, "/proc/none can't be used"),
    ],
)
def test_main_explains(tmp_path: Path, manager: type[FakeManager], change: dict[str, Any], message: str) -> None:
    module = mock.Mock(params={**parameters(tmp_path), **change}, check_mode=False)
    module.fail_json.side_effect = SystemExit
    with mock.patch.object(service_units, "AnsibleModule", return_value=module), pytest.raises(SystemExit):
        service_units.main()
    assert message in module.fail_json.call_args.kwargs["msg"]


def test_main_reports(tmp_path: Path, manager: type[FakeManager]) -> None:
    module = mock.Mock(params=parameters(tmp_path), check_mode=False)
    with mock.patch.object(service_units, "AnsibleModule", return_value=module):
        service_units.main()
    assert module.exit_json.call_args.kwargs["changed"]
