# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils.ovs_external_ids import QUERY
from ansible_collections.hotstack.os.plugins.modules import ovs_external_ids as module

IDS = {"ovn-remote": "tcp:172.31.0.31:6642", "hostname": "lab"}
BEFORE = {"hostname": "former", "system-id": "8dd5"}


class Switch:
    """The keys of an Open vSwitch, which does what ovs-vsctl is told."""

    def __init__(self, ids: dict[str, str]) -> None:
        self.ids = dict(ids)

    def __call__(self, commands: list[list[str]]) -> str:
        if commands == [QUERY]:
            return json.dumps({"data": [[["map", list(self.ids.items())]]]})
        for verb, _table, _row, *rest in commands:
            if verb == "set":
                self.ids.update(
                    {key: json.loads(text) for key, text in (pair.split(":", 1)[1].split("=", 1) for pair in rest)}
                )
            else:
                for key in rest[1:]:
                    del self.ids[key]
        return ""


def run(
    switch: Switch, path: Path, state: str = "present", check_mode: bool = False, ids: dict[str, str] = IDS
) -> dict[str, Any]:
    params = {"ids": ids, "record_file": str(path), "state": state}
    return module.run(params, check_mode, switch)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "created.json"


def test_keys_are_set_once_and_given_back(path: Path) -> None:
    switch = Switch(BEFORE)
    first = run(switch, path)
    assert (first["changed"], first["keys"]) == (True, ["hostname", "ovn-remote"])
    assert first["diff"] == {"before": {"hostname": "former"}, "after": dict(sorted(IDS.items()))}
    assert switch.ids == {**BEFORE, **IDS}
    assert json.loads(path.read_text()) == {"ovs_external_ids": {"hostname": "former", "ovn-remote": None}}
    assert run(switch, path)["changed"] is False
    assert run(switch, path, state="absent")["changed"] is True
    assert switch.ids == BEFORE
    assert run(switch, path, state="absent")["changed"] is False


def test_later_values_are_not_recorded(path: Path) -> None:
    switch = Switch(BEFORE)
    run(switch, path)
    assert run(switch, path, ids={"hostname": "other", "ovn-remote": "tcp:10.0.0.31:6642"})["changed"] is True
    assert switch.ids["hostname"] == "other"
    assert json.loads(path.read_text())["ovs_external_ids"]["hostname"] == "former"


@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_changes_nothing(path: Path, state: str) -> None:
    switch = Switch(BEFORE)
    if state == "absent":
        run(switch, path)
    before, record = dict(switch.ids), path.read_text() if path.exists() else ""
    assert run(switch, path, state=state, check_mode=True)["changed"] is True
    assert switch.ids == before
    assert (path.read_text() if path.exists() else "") == record


class FakeModule:
    """What Ansible hands to a module."""

    check_mode = False
    program: str | None = "/usr/bin/ovs-vsctl"
    answer = (0, json.dumps({"data": [[["map", [["ovn-remote", "ssl:10.0.0.1:6642"]]]]]}), "")

    def __init__(self, **_spec: Any) -> None:
        self.params: dict[str, Any] = {"ids": IDS, "record_file": "/nowhere/created.json", "state": "present"}

    def get_bin_path(self, _name: str) -> str | None:
        return self.program

    def run_command(self, words: list[str]) -> tuple[int, str, str]:
        assert words[:3] == ["/usr/bin/ovs-vsctl", "--timeout=30", "--format=json"]
        return self.answer

    def fail_json(self, msg: str) -> None:
        raise SystemExit(msg)

    def exit_json(self, **result: Any) -> None:
        raise SystemExit(json.dumps(result))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, "belongs to another OVN", id="foreign"),
        pytest.param({"answer": (1, "", "no socket\n")}, r"\(no socket\): is its service running", id="stopped"),
        pytest.param({"program": None}, "not installed", id="missing"),
        pytest.param({"program": None, "check_mode": True}, '"changed": true', id="missing, in check mode"),
        pytest.param({"answer": (1, "", ""), "check_mode": True}, '"changed": true', id="stopped, in check mode"),
    ],
)
def test_main(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], expected: str) -> None:
    monkeypatch.setattr(module, "AnsibleModule", type("Module", (FakeModule,), changes))
    with pytest.raises(SystemExit, match=expected):
        module.main()
