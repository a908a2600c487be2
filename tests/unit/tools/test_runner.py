# SPDX-License-Identifier: Apache-2.0
"""The test runner counts what happened, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runner import Check, Runner, Stage, count, duration, slowest

REPORT = (
    '<testsuites><testsuite tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}"/></testsuites>'
)


def python(code: str, **options: object) -> Check:
    """Return a check that runs Python code; its name is the code unless one is given."""
    return Check(str(options.get("name", "check")), [sys.executable, "-c", code], int(str(options.get("limit", 20))))


@pytest.mark.parametrize(
    ("status", "numbers", "passed", "failed"),
    [
        pytest.param(0, (5, 0, 0, 0), 5, 0, id="all pass"),
        pytest.param(0, (5, 0, 0, 2), 3, 0, id="skipped ones do not count"),
        pytest.param(1, (5, 1, 1, 0), 3, 2, id="failures and errors"),
        pytest.param(1, (5, 0, 0, 0), 5, 1, id="too little coverage"),
        pytest.param(5, (0, 0, 0, 0), 0, 1, id="no test"),
        pytest.param(0, (0, 0, 0, 0), 0, 1, id="no test and no complaint"),
        pytest.param(None, None, 0, 1, id="limit before the report"),
        pytest.param(0, None, 0, 1, id="report lost"),
    ],
)
def test_count_of_reports(
    tmp_path: Path, status: int | None, numbers: tuple[int, int, int, int] | None, passed: int, failed: int
) -> None:
    report = tmp_path / "report.xml"
    if numbers:
        names = ("tests", "failures", "errors", "skipped")
        report.write_text(REPORT.format(**dict(zip(names, numbers, strict=True))))
    result = count(Check("x", ["x"], 9, junit=True), status, report, 1.0)
    assert (result.passed, result.failed) == (passed, failed)


def test_unreadable_report(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text("<testsuites")
    result = count(Check("x", ["x"], 9, junit=True), 0, tmp_path / "report.xml", 1.0)
    assert (result.passed, result.failed, result.reason) == (0, 1, "unreadable report")


def test_slowest_tests(tmp_path: Path) -> None:
    case = '<testcase classname="{}" name="{}" time="{}"/>'
    (tmp_path / "one.xml").write_text(f"<testsuite>{case.format('a', 'b', 1)}{case.format('a', 'c', 2.5)}</testsuite>")
    (tmp_path / "two.xml").write_text(f"<testsuite>{case.format('x', 'y', 2)}</testsuite>")
    (tmp_path / "cut.xml").write_text("<testsuite>")
    reports = [tmp_path / f"{name}.xml" for name in ("one", "two", "cut", "absent")]
    assert slowest(reports, 2) == [(2.5, "one a::c"), (2.0, "two x::y")]


def test_goes_on_after_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [
        Stage("bad", [python("print('why'); raise SystemExit(3)", name="one")]),
        Stage("needs-it", [python("", name="two")], needs=["bad"]),
        Stage("other", [python("", name="three")], lane="lab", after=["bad"]),
    ]
    assert Runner(stages, tmp_path).run() == 1
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == "1 passed, 2 failed"
    assert "why" in printed
    assert "not run, because bad failed" in printed


def test_limit_ends_the_children_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import subprocess; subprocess.run(['sleep', '60'])"
    assert Runner([Stage("slow", [python(code, limit=1)])], tmp_path).run() == 1
    assert "stopped after its limit of 1 s" in capsys.readouterr().out


def test_all_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Runner([Stage("good", [python("")])], tmp_path).run() == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed"


def test_duration() -> None:
    assert duration(187.9) == "3:07"
