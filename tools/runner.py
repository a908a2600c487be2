# SPDX-License-Identifier: Apache-2.0
"""Run checks in lanes side by side: progress while they run, what failed at the end, and honest counts."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

HEARTBEAT = 60
TAIL_LINES = 40
SLOWEST = 20


@dataclass(frozen=True)
class Check:
    """One command. It counts as one, unless it writes a JUnit report; then its tests count."""

    name: str
    command: Sequence[str]
    limit: int
    env: Mapping[str, str] = field(default_factory=dict)
    junit: bool = False


@dataclass(frozen=True)
class Stage:
    """Checks that run one after the other. A failed stage lets those that need it fail without running."""

    name: str
    checks: Sequence[Check]
    lane: str = "checks"
    needs: Sequence[str] = ()
    after: Sequence[str] = ()
    always: bool = False


@dataclass(frozen=True)
class Result:
    """How a check ended."""

    check: str
    passed: int
    failed: int
    seconds: float
    reason: str = ""


def junit_counts(report: Path) -> tuple[int, int]:
    """Return how many tests of a JUnit report passed and failed; a skipped test counts as neither."""
    passed = failed = 0
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        failed += bad
        passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    return passed, failed


def count(check: Check, status: int | None, report: Path, seconds: float, limit: float = 0) -> Result:
    """Turn an exit status, or None for a time limit that was met, into a result."""
    reason = ""
    if status is None:
        reason = f"stopped after its limit of {limit:.0f} s"
    elif status != 0:
        reason = f"exit status {status}"
    passed, failed = 0, 0
    if check.junit and report.exists():
        try:
            passed, failed = junit_counts(report)
        except ElementTree.ParseError:
            reason = reason or "unreadable report"
    elif check.junit:
        reason = reason or "wrote no report"
    elif not reason:
        passed = 1
    # A run can fail beside its tests: too little coverage, a crash, a limit, or no test at all.
    if reason and not failed:
        failed = 1
    if not reason and not passed and not failed:
        reason, failed = "ran no test", 1
    return Result(check.name, passed, failed, seconds, reason)


def slowest(reports: Iterable[Path], number: int) -> list[tuple[float, str]]:
    """Return the seconds and names of the tests of JUnit reports that took longest, the slowest first."""
    found = []
    for report in reports:
        with suppress(OSError, ElementTree.ParseError):
            for case in ElementTree.parse(report).getroot().iter("testcase"):
                name = f"{case.get('classname', '')}::{case.get('name', '')}"
                found.append((float(case.get("time", 0)), f"{report.stem} {name}"))
    return sorted(found, reverse=True)[:number]


def duration(seconds: float) -> str:
    """Return minutes and seconds, such as 3:07."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def last_lines(log: Path, number: int) -> list[str]:
    """Return the end of a log; what is not text is replaced."""
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-number:] if log.exists() else []


class Runner:
    """Runs stages; the stages of one lane run one after the other."""

    def __init__(self, stages: Sequence[Stage], logs: Path, limit: float = math.inf) -> None:
        """Remember what to run, where to write what it prints, and how long all of it may take."""
        self.stages = list(stages)
        self.logs = logs
        self.limit = limit
        self.results: list[Result] = []
        self.start = time.monotonic()
        self._lock = threading.Lock()
        self._running: dict[str, tuple[subprocess.Popen[bytes], float, Path]] = {}
        self._ended = {stage.name: threading.Event() for stage in self.stages}
        self._failed: set[str] = set()
        self._stop = threading.Event()

    def say(self, text: str) -> None:
        """Print a line with the time since the start."""
        with self._lock:
            print(f"[{duration(time.monotonic() - self.start):>5}] {text}", flush=True)

    def run(self) -> int:
        """Run everything; return 0 if all passed."""
        self.logs.mkdir(parents=True, exist_ok=True)
        lanes = list(dict.fromkeys(stage.lane for stage in self.stages))
        threads = [threading.Thread(target=self._run_lane, args=(lane,), daemon=True) for lane in lanes]
        handlers = {number: signal.signal(number, self._interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
        for thread in threads:
            thread.start()
        beat = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(0.5)
            if time.monotonic() - beat >= HEARTBEAT:
                beat = time.monotonic()
                self._tell_running()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        return self._summary()

    def _run_lane(self, lane: str) -> None:
        for stage in (stage for stage in self.stages if stage.lane == lane):
            for name in (*stage.needs, *stage.after):
                if name in self._ended:
                    self._ended[name].wait()
            missing = [name for name in stage.needs if name in self._failed]
            for check in stage.checks:
                if self._stop.is_set() and not stage.always:
                    result = Result(check.name, 0, 1, 0, "interrupted")
                elif missing:
                    result = Result(check.name, 0, 1, 0, f"not run, because {missing[0]} failed")
                else:
                    result = self._run_check(check, self._patience(stage, check))
                self._record(stage, result)
            self._ended[stage.name].set()

    def _patience(self, stage: Stage, check: Check) -> float:
        """Return how long a check may take: its limit or what is left of all time, and always some time to tidy up."""
        left = self.limit - (time.monotonic() - self.start)
        return min(check.limit, max(left, 300 if stage.always else 1))

    def _run_check(self, check: Check, limit: float) -> Result:
        log, report = self.logs / f"{check.name}.log", self.logs / f"{check.name}.xml"
        report.unlink(missing_ok=True)
        command = [*check.command, f"--junit-xml={report}"] if check.junit else list(check.command)
        self.say(f"start  {check.name}")
        begin = time.monotonic()
        status: int | None
        with log.open("wb") as output:
            # A group of its own, so that a limit ends the children too.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **check.env},
                start_new_session=True,
            )
            with self._lock:
                self._running[check.name] = (process, begin, log)
            try:
                status = process.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                status = None
                end_group(process)
            with self._lock:
                del self._running[check.name]
        return count(check, status, report, time.monotonic() - begin, limit)

    def _record(self, stage: Stage, result: Result) -> None:
        with self._lock:
            self.results.append(result)
            if result.failed:
                self._failed.add(stage.name)
        tests = (
            f", {result.passed} of {result.passed + result.failed} passed" if result.passed + result.failed > 1 else ""
        )
        word = "FAILED" if result.failed else "ok    "
        self.say(f"{word} {result.check} ({result.seconds:.0f} s{tests}){': ' if result.reason else ''}{result.reason}")
        if result.failed and result.seconds:
            log = self.logs / f"{result.check}.log"
            self.say("\n".join([f"the last lines of {log}:", *last_lines(log, TAIL_LINES)]))

    def _tell_running(self) -> None:
        with self._lock:
            running = [(name, begin, log) for name, (_process, begin, log) in self._running.items()]
        for name, begin, log in running:
            last = next((line.strip() for line in reversed(last_lines(log, 5)) if line.strip()), "")
            self.say(f"  ...  {name} ({duration(time.monotonic() - begin)}) {last[:100]}")

    def _interrupted(self, _number: int, _frame: object) -> None:
        self._stop.set()
        for process, _begin, _log in list(self._running.values()):
            end_group(process)

    def _summary(self) -> int:
        passed = sum(result.passed for result in self.results)
        bad = [result for result in self.results if result.failed]
        print(f"\nAll took {duration(time.monotonic() - self.start)}; the logs are in {self.logs}")
        for result in sorted(self.results, key=lambda result: -result.seconds):
            print(f"  {duration(result.seconds):>6}  {result.check}")
        reports = [self.logs / f"{check.name}.xml" for stage in self.stages for check in stage.checks if check.junit]
        for seconds, name in slowest(reports, SLOWEST):
            print(f"  {duration(seconds):>6}    {name}")
        for result in bad:
            print(f"FAILED {result.check}: {result.failed} failed ({result.reason})")
        sys.stdout.flush()
        failed = sum(result.failed for result in bad)
        print(f"{passed} passed, {failed} failed", flush=True)
        return 1 if bad else 0


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: asking first, and then not asking."""
    for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
