# SPDX-License-Identifier: Apache-2.0
"""What the test of faults counts, and what it calls good enough."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import random
import sys
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from faultlib import catalogue, playbooks, results  # noqa: E402
from faultlib.ground import Fault, Ground, running_services  # noqa: E402
from faultlib.inside import watch  # noqa: E402
from faultlib.results import Answer, Pings, Requests, Result  # noqa: E402


def program() -> ModuleType:
    """Return the program as a module; it has no ending."""
    loader = importlib.machinery.SourceFileLoader("program_faults", str(ROOT / "tools/faults"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_answers_that_were_cut_short_are_left_out() -> None:
    text = '[1.0, 0.5, "nova", ""]\n[2.0, 0.5, "nova", "503"]\n[3.0, 0.'
    assert results.parse_answers(text) == [Answer(1.0, 0.5, "nova", ""), Answer(2.0, 0.5, "nova", "503")]


WELL = [Answer(moment, 0.1, api, "") for moment in (8.0, 9.0, 10.0, 20.0, 21.0) for api in ("nova", "heat")]
FAILED = [Answer(moment, 0.1, "nova", "503") for moment in (11.0, 12.0)]


@pytest.mark.parametrize(
    ("answers", "since", "until", "expected"),
    [
        pytest.param([], 0, 9, Requests(), id="nobody asked"),
        pytest.param(WELL, 10.5, 30, Requests(4, 0, 10.0, "nova"), id="a gap, and nothing failed"),
        pytest.param(WELL + FAILED, 10.5, 30, Requests(6, 2, 10.0, "nova", {"nova: 503": 2}), id="failed"),
        pytest.param(WELL + FAILED, 10.5, 12.5, Requests(2, 2, 0.0, "", {"nova: 503": 2}), id="still failing"),
        pytest.param(WELL, 0, 10.5, Requests(6, 0, 1.0, "nova"), id="the later ones do not count"),
        pytest.param(
            [Answer(1.0, 9.0, "nova", "timed out")], 5, 20, Requests(1, 1, 0, "", {"nova: timed out": 1}), id="long"
        ),
    ],
)
def test_requests(answers: list[Answer], since: float, until: float, expected: Requests) -> None:
    assert results.judge_requests(answers, since, until) == expected


def test_replies() -> None:
    text = (
        "PING 172.31.0.140 (172.31.0.140) 56(84) bytes of data.\n"
        "[1700000000.250000] 64 bytes from 172.31.0.140: icmp_seq=7 ttl=63 time=1.2 ms\n"
        "[1700000000.450000] From 172.31.0.129 icmp_seq=8 Destination Host Unreachable\n"
        "[1700000000.650000] 64 bytes from 172.31.0.140: icmp_se"
    )
    assert results.parse_pings(text) == [(1700000000.25, 7)]


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        pytest.param([(9.8, 1), (10.0, 2), (10.2, 3), (10.4, 4)], Pings(0, 0.6), id="none lost"),
        pytest.param([(9.8, 1), (10.4, 4), (10.6, 5), (10.8, 6)], Pings(2, 0.6), id="two lost"),
        pytest.param([(9.8, 1), (10.0, 2)], Pings(0, 1.0), id="none at the end"),
        pytest.param([(9.8, 70), (10.8, 1), (11.0, 2)], Pings(0, 1.0), id="begun anew"),
        pytest.param([], Pings(0, 1.5), id="never"),
    ],
)
def test_pings(replies: list[tuple[float, int]], expected: Pings) -> None:
    assert results.judge_pings(replies, 9.5 if not replies else 9.9, 11.0) == expected


COMMITTED = "mariadb 1000000\nrabbitmq 1000001\novn 1000002\nmariadb 3000000\nrabbitmq 3000001\novn 3000002\nmari"
THERE = {"mariadb": [1000000, 3000000, 4000000], "rabbitmq": [3000001], "ovn": [3000002]}


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        pytest.param(THERE, {"mariadb": 0, "rabbitmq": 0, "ovn": 0}, id="all there"),
        pytest.param({**THERE, "mariadb": [1000000]}, {"mariadb": 1, "rabbitmq": 0, "ovn": 0}, id="a row lost"),
        pytest.param({**THERE, "rabbitmq": []}, {"mariadb": 0, "rabbitmq": 1, "ovn": 0}, id="a message lost"),
        pytest.param({**THERE, "ovn": [1000002]}, {"mariadb": 0, "rabbitmq": 0, "ovn": 1}, id="a change lost"),
        pytest.param({}, {"mariadb": 2, "rabbitmq": 1, "ovn": 2}, id="all lost"),
    ],
)
def test_markers(found: dict[str, list[int]], lost: dict[str, int]) -> None:
    committed = {"mariadb": 1, "rabbitmq": 1, "ovn": 1}
    assert results.judge_markers(COMMITTED, found, {1000001}, 2.0) == (committed, lost)


def test_cures_are_commands_that_change_something() -> None:
    named = ["journalctl -u x -n 50", "systemctl start x", "ansible-playbook hotstack.os.site", "systemctl start x"]
    status = {"causes": [{"command": command} for command in named]}
    assert results.cures(status) == ["systemctl start x", "ansible-playbook hotstack.os.site"]


def test_complaints() -> None:
    line = {"name": "glance", "seen": "inactive", "cause": "it was stopped"}
    status = {"checks": [{**line, "good": False}, {**line, "good": True}]}
    assert results.complaints(status) == ["glance (inactive): it was stopped"]


@pytest.mark.parametrize(
    ("result", "problems"),
    [
        pytest.param(Result("x", healthy=1.0, pings={"a": Pings(1, 0.4)}, boots={"a": True}), [], id="good"),
        pytest.param(Result("x", boots={"a": False}), ["a booted again"], id="a guest died"),
        pytest.param(
            Result("x", boots={"a": False}, guests_may_end=True, pings={"a": Pings(9, 2)}), [], id="with the host"
        ),
        pytest.param(Result("x", pings={"a": Pings(2, 0.6)}), ["a lost 2 pings"], id="pings"),
        pytest.param(Result("x", pings={"a": Pings(2, 0.6)}, pings_may_get_lost=True), [], id="pings of a switch"),
        pytest.param(
            Result("x", lost={"ovn": 2, "mariadb": 0}, guests_may_end=True),
            ["ovn lost 2 of what was committed"],
            id="data",
        ),
        pytest.param(Result("x", trouble=["not healthy: glance"]), ["not healthy: glance"], id="not healthy"),
    ],
)
def test_problems(result: Result, problems: list[str]) -> None:
    assert result.problems == problems


FULL = Result(
    "kill mariadb",
    healthy=12.34,
    cures=["systemctl start x"],
    requests=Requests(40, 3, 4.5, "nova"),
    pings={"a": Pings(0, 0.2), "b": Pings(1, 0.4)},
    boots={"a": True, "b": False},
    committed={"mariadb": 9, "ovn": 1},
    lost={"mariadb": 0, "ovn": 1},
    restarted=["glance"],
)


def test_table() -> None:
    lines = results.table([FULL, Result("kill glance")]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == list(results.HEAD)
    assert set("".join(cells[1])) == {"-"}
    row = [
        "kill mariadb",
        "12.3 s",
        "systemctl start x",
        "3 of 40",
        "4.5 s",
        "yes/no",
        "0/1",
        "0.4 s",
        "1 of 10",
        "glance",
    ]
    assert cells[2] == row
    assert cells[3] == ["kill glance", "never", "nothing", *["-"] * 7]
    assert len({len(line) for line in lines}) == 1


def test_reports_for_programs() -> None:
    written = json.loads(json.dumps(results.as_data([FULL])))
    assert written[0]["problems"] == ["ovn lost 1 of what was committed", "b booted again"]
    suite = ElementTree.fromstring(results.as_junit([FULL, Result("x", healthy=1.0)], {"x": 2.0})).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite.findall("testcase") if case.find("failure") is None] == ["x"]


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        pytest.param([], None, id="no answer"),
        pytest.param([(9.0, True)], None, id="only before"),
        pytest.param([(11.0, True), (12.0, False)], None, id="the last one failed"),
        pytest.param([(9.0, True), (11.0, True)], 10.0, id="well all the time"),
        pytest.param([(11.0, False), (12.0, True), (13.0, True)], 12.0, id="well again"),
    ],
)
def test_an_api_is_well_since(ends: list[tuple[float, bool]], expected: float | None) -> None:
    assert watch.well_since(ends, 10.0) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param({"a": (7, True), "b": (8, True)}, [], id="another process, healthy"),
        pytest.param({"a": (5, True), "b": (8, True)}, ["a"], id="still the former process"),
        pytest.param({"a": (7, False), "b": (8, True)}, ["a"], id="not healthy"),
        pytest.param({"a": (7, True)}, ["b"], id="gone"),
    ],
)
def test_what_is_not_back(now: dict[str, tuple[int, bool]], expected: list[str]) -> None:
    assert watch.lacking(["a", "b"], {"a": 5}, now) == expected


def test_answers_of_the_watcher(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('cut"]\n[1.0, 0.5, "nova", ""]\n[2.0, 0.5, "nova", "503"]\nbroken\n')
    assert watch.answers(str(log)) == {"nova": [(1.5, True), (2.5, False)]}


def test_every_service_of_the_map_is_broken_in_three_ways() -> None:
    services = running_services()
    assert {"mariadb", "nova-compute"} <= set(services)
    assert not {"nova-db-sync", "mariadb-init"} & set(services)
    titles = [fault.title for fault in catalogue.every_fault(services)]
    assert {f"{group} {name}" for group in ("kill", "remove", "stop") for name in services} <= set(titles)
    assert len(titles) == len(set(titles))


def nothing(_ground: Ground) -> None:
    """Break nothing."""


@pytest.mark.parametrize(
    ("only", "skip", "expected"),
    [
        pytest.param(None, [], ["kill nova-api", "kill glance", "host reboot"], id="all"),
        pytest.param(["kill"], [], ["kill nova-api", "kill glance"], id="a group"),
        pytest.param(["kill n*", "host"], [], ["kill nova-api", "host reboot"], id="a pattern and a group"),
        pytest.param(None, ["kill"], ["host reboot"], id="all but a group"),
        pytest.param(["reboot"], [], [], id="no such group"),
    ],
)
def test_chosen_faults(only: list[str] | None, skip: list[str], expected: list[str]) -> None:
    faults = [Fault("kill", "nova-api", nothing), Fault("kill", "glance", nothing), Fault("host", "reboot", nothing)]
    assert [fault.title for fault in program().chosen(faults, only, skip)] == expected


def test_moments_are_spread() -> None:
    found = sorted(playbooks.moments(20, 103.0, random.Random(1)))
    assert [int((moment - playbooks.EARLIEST) / 5) for moment in found] == list(range(20))
    assert playbooks.moments(20, 103.0, random.Random(1)) == playbooks.moments(20, 103.0, random.Random(1))


def test_reconfigurations_are_killed_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[str, str]] = []

    def kill_after(_lab: object, seconds: float, _option: str, setting: str) -> bool:
        runs.append((f"{seconds:.0f}", setting.rpartition("=")[2]))
        return seconds < 50

    monkeypatch.setattr(playbooks, "kill_after", kill_after)
    monkeypatch.setattr(playbooks, "deploy", lambda _lab, *options: runs.append(("", options[-1].rpartition("=")[2])))
    faults = playbooks.reconfiguration(6, 63.0, random.Random(1))
    assert [fault.group for fault in faults] == ["site"] * 3
    ground = types.SimpleNamespace(lab=None)
    for fault in faults[:-1]:
        fault.do(ground)  # type: ignore[arg-type]
    kills = [(float(seconds), value) for seconds, value in runs if seconds]
    # One of them had ended, and was tried again in half the time.
    assert len(kills) == 7
    assert sum(seconds >= 50 for seconds, _value in kills) == 1
    # Each changes back what the one before did, and the last run of a row finishes what was begun.
    values = [value for seconds, value in runs if seconds]
    assert values == ["true", "false"] * 3 + ["true"]
    assert all(value == runs[index - 1][1] for index, (seconds, value) in enumerate(runs) if not seconds)


def test_no_lab_is_broken_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOTSTACK_LAB_NAME", raising=False)
    monkeypatch.setattr(sys, "argv", ["faults"])
    with pytest.raises(SystemExit, match="names no lab"):
        program().main()


def test_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["faults", "--list", "--only", "host"])
    assert program().main() == 0
    assert capsys.readouterr().out.splitlines() == ["host two reboots in a row", "host power cut during writes"]


def test_the_report_is_written_after_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, junit = tmp_path / "data.json", tmp_path / "junit.xml"
    report = program().Report(data, junit)
    report.add(Result("x", trouble=["it broke"]), 3.0)
    assert json.loads(data.read_text())[0]["problems"] == ["it broke"]
    assert b"it broke" in junit.read_bytes()
    assert capsys.readouterr().out == "FAILED x: healthy after -; it took 3 s\n       it broke\n"
