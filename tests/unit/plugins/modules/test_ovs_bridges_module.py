# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils.ovs_bridges import QUERY
from ansible_collections.hotstack.os.plugins.modules import ovs_bridges as module

NAMES = ["hot-int", "hot-ex"]


class Switch:
    """A database that does what ovs-vsctl is told, on a host where only some datapaths work."""

    def __init__(self, works: str) -> None:
        self.works = works.split()
        self.bridges: dict[str, dict[str, Any]] = {}
        self.ids: dict[str, str] = {}
        self.calls = 0

    def __call__(self, commands: list[list[str]]) -> str:
        if commands == list(QUERY):
            return self.tables()
        self.calls += 1
        for command in commands:
            self.obey(command)
        return ""

    def obey(self, command: list[str]) -> None:
        if command[0] == "add-br":
            self.bridges[command[1]] = {"datapath_type": "", "mtu_request": ["set", []]}
        elif command[:2] == ["set", "Open_vSwitch"]:
            key, text = command[3].split(":", 1)[1].split("=")
            self.ids[key] = text
        elif command[0] == "set":
            for pair in command[3:]:
                key, text = pair.split("=")
                self.bridges[command[2]][key] = int(text) if text.isdigit() else text

    def tables(self) -> str:
        empty = ["set", []]
        ports = {True: (65534, empty), False: (empty, "no such datapath")}
        rows = [
            [[name, bridge["datapath_type"], ["map", []]] for name, bridge in self.bridges.items()],
            [
                [name, bridge["mtu_request"], *ports[(bridge["datapath_type"] or "system") in self.works]]
                for name, bridge in self.bridges.items()
            ],
            [[["map", list(self.ids.items())]]],
        ]
        return "\n".join(json.dumps({"data": table}) for table in rows)


ALIVE = module.alive


@pytest.fixture(autouse=True)
def _interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "alive", bool)


def run(switch: Switch, datapath: str = "auto", check_mode: bool = False) -> dict[str, Any]:
    return module.run({"names": NAMES, "mtu": 9216, "datapath": datapath}, check_mode, switch)


@pytest.mark.parametrize(
    ("works", "setting", "expected", "calls"),
    [
        pytest.param("system netdev", "auto", "system", 1, id="the kernel's is preferred"),
        pytest.param("netdev", "auto", "netdev", 2, id="the second try"),
        pytest.param("netdev", "netdev", "netdev", 1, id="told"),
    ],
)
def test_datapath(works: str, setting: str, expected: str, calls: int) -> None:
    switch = Switch(works)
    first = run(switch, setting)
    assert (first["changed"], first["datapath"], switch.calls) == (True, expected, calls)
    assert {bridge["datapath_type"] for bridge in switch.bridges.values()} == {expected}
    second = run(switch, setting)
    assert (second["changed"], second["datapath"], switch.calls) == (False, expected, calls)
    assert second["diff"]["before"] == second["diff"]["after"]


@pytest.mark.parametrize(("name", "expected"), [("lo", True), ("no-such-bridge", False)])
def test_alive(name: str, expected: bool) -> None:
    assert ALIVE(name) is expected


def test_check_mode_touches_nothing() -> None:
    switch = Switch("system")
    result = run(switch, check_mode=True)
    assert (result["changed"], result["datapath"], switch.bridges) == (True, "system", {})
    assert result["diff"]["after"]["hot-ex"] == {"datapath": "system", "mtu": 9216}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "system",
            "hot-int does not work on the datapath system: no such datapath. Set hotstack_os_datapath to netdev",
        ),
        ("auto", "hot-int does not work on the datapath netdev: no such datapath.$"),
    ],
)
def test_nothing_works(setting: str, message: str) -> None:
    with pytest.raises(module.BridgeError, match=message):
        run(Switch(""), setting)


class StoppedError(Exception):
    """What ends a module."""


class Ansible:
    """The AnsibleModule of a host with, or without, ovs-vsctl."""

    program: str | None = "/usr/bin/ovs-vsctl"
    check_mode = False
    status = 0

    def __init__(self, argument_spec: dict[str, Any], supports_check_mode: bool) -> None:
        self.params = {"names": NAMES, "mtu": 9216, "datapath": "system"}
        assert set(self.params) == set(argument_spec)
        self.switch = Switch("system")

    def get_bin_path(self, _name: str) -> str | None:
        return self.program

    def run_command(self, words: list[str]) -> tuple[int, str, str]:
        assert words[:3] == ["/usr/bin/ovs-vsctl", "--timeout=30", "--format=json"]
        commands: list[list[str]] = []
        for word in words[3:]:
            if word == "--":
                commands.append([])
            else:
                commands[-1].append(word)
        return self.status, self.switch(commands), "database connection failed\n"

    def fail_json(self, msg: str) -> None:
        raise StoppedError(msg)

    def exit_json(self, **result: Any) -> None:
        self.result = result
        raise StoppedError(f"changed={result['changed']}")


@pytest.mark.parametrize(
    ("host", "message"),
    [
        pytest.param({}, "changed=True", id="a fresh host"),
        pytest.param({"program": None}, "Open vSwitch is not installed", id="no program"),
        pytest.param({"program": None, "check_mode": True}, "changed=True", id="no program yet, check mode"),
        pytest.param({"status": 1}, r"refused \(database connection failed\): is its service running", id="no service"),
        pytest.param({"status": 1, "check_mode": True}, "changed=True", id="no service yet, check mode"),
    ],
)
def test_main(monkeypatch: pytest.MonkeyPatch, host: dict[str, Any], message: str) -> None:
    monkeypatch.setattr(module, "AnsibleModule", type("Host", (Ansible,), host))
    with pytest.raises(StoppedError, match=message):
        module.main()
