# SPDX-License-Identifier: Apache-2.0
"""What was measured of a fault, whether that is good enough, and how it is shown. Pure functions."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

REPLY = re.compile(r"^\[(\d+\.\d+)\] \d+ bytes from .* icmp_seq=(\d+) ")
# A packet that is on its way while another is counted, or late on a busy machine.
PINGS_FORGIVEN = 1
# Commands that change nothing, so no cure.
LOOKS = ("journalctl", "systemctl status", "systemctl list", "podman ps", "podman logs", "du ", "df ", "timedatectl")


@dataclass(frozen=True)
class Answer:
    """One answer of an API."""

    start: float
    seconds: float
    api: str
    error: str


@dataclass(frozen=True)
class Requests:
    """What clients of the APIs noticed: `gap` is the longest time in which an API gave no good answer."""

    sent: int = 0
    failed: int = 0
    gap: float = 0.0
    gap_of: str = ""
    errors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Pings:
    """What those who ping a guest noticed: `gap` is the longest time without a reply."""

    lost: int = 0
    gap: float = 0.0


@dataclass(frozen=True)
class Result:
    """What one fault did."""

    fault: str
    guests_may_end: bool = False
    pings_may_get_lost: bool = False
    healthy: float | None = None
    cures: Sequence[str] = ()
    requests: Requests = field(default_factory=Requests)
    pings: Mapping[str, Pings] = field(default_factory=dict)
    boots: Mapping[str, bool] = field(default_factory=dict)
    committed: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    restarted: Sequence[str] = ()
    said: Sequence[str] = ()
    trouble: Sequence[str] = ()

    @property
    def problems(self) -> list[str]:
        """Return why this is not good enough."""
        found = list(self.trouble)
        found += [f"{store} lost {number} of what was committed" for store, number in self.lost.items() if number]
        if not self.guests_may_end:
            found += [f"{guest} booted again" for guest, same in self.boots.items() if not same]
            if not self.pings_may_get_lost:
                many = {guest: pings.lost for guest, pings in self.pings.items() if pings.lost > PINGS_FORGIVEN}
                found += [f"{guest} lost {number} pings" for guest, number in many.items()]
        return found


def parse_answers(text: str) -> list[Answer]:
    """Return the answers in a log; a line that was cut short by a power cut is left out."""
    found = []
    for line in text.splitlines():
        try:
            found.append(Answer(*json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def judge_requests(answers: Iterable[Answer], since: float, until: float) -> Requests:
    """Count the requests that were under way between two moments."""
    failed = sent = 0
    gap, gap_of = 0.0, ""
    errors: dict[str, int] = {}
    last: dict[str, float] = {}
    for answer in sorted(answers, key=lambda answer: answer.start + answer.seconds):
        end = answer.start + answer.seconds
        if end >= since and answer.start <= until:
            sent += 1
            if answer.error:
                failed += 1
                # Addresses and ids differ from one to the next.
                error = f"{answer.api}: {answer.error[:60]}"
                errors[error] = errors.get(error, 0) + 1
        if answer.error or answer.start > until:
            continue
        before = last.get(answer.api)
        if before is not None and end >= since and end - before > gap:
            gap, gap_of = end - before, answer.api
        last[answer.api] = end
    return Requests(sent, failed, round(gap, 1), gap_of, errors)


def parse_pings(text: str) -> list[tuple[float, int]]:
    """Return when each reply came, and its number."""
    found = (REPLY.match(line) for line in text.splitlines())
    return [(float(match[1]), int(match[2])) for match in found if match]


def judge_pings(replies: Sequence[tuple[float, int]], since: float, until: float) -> Pings:
    """Count what is missing between the last reply before a moment and the last one up to another.

    Where the numbers begin again ping was started anew: what is lost in between is not known, and only the gap tells.
    """
    before = [reply for reply in replies if reply[0] <= since][-1:]
    window = before + [reply for reply in replies if since < reply[0] <= until]
    lost, gap = 0, 0.0
    for (earlier, first), (later, second) in zip(window, window[1:]):
        lost += max(0, second - first - 1)
        gap = max(gap, later - earlier)
    end = until - (window[-1][0] if window else since)
    return Pings(lost, round(max(gap, end), 1))


def judge_markers(
    committed: str, found: Mapping[str, Sequence[int]], taken: set[int], since: float
) -> tuple[dict[str, int], dict[str, int]]:
    """Return for each store how many numbers were committed since a moment, and how many of all are not there.

    `taken` are those that were read from the queue before. OVN's row keeps the last number alone.
    """
    numbers: dict[str, list[int]] = {"mariadb": [], "rabbitmq": [], "ovn": []}
    for line in committed.splitlines():
        store, _, number = line.partition(" ")
        if store in numbers and number.isdigit():
            numbers[store].append(int(number))
    there = {store: set(found.get(store, ())) for store in numbers}
    there["rabbitmq"] |= taken
    lost = {store: len(set(numbers[store]) - there[store]) for store in ("mariadb", "rabbitmq")}
    newest = max(there["ovn"], default=0)
    lost["ovn"] = sum(number > newest for number in numbers["ovn"])
    return {store: sum(number >= since * 1e6 for number in listed) for store, listed in numbers.items()}, lost


def cures(status: Mapping[str, Any]) -> list[str]:
    """Return the commands that `status` names for what is the cause, without those that only look."""
    commands = [str(cause["command"]) for cause in status.get("causes", ())]
    return list(dict.fromkeys(command for command in commands if not command.startswith(LOOKS)))


def complaints(status: Mapping[str, Any]) -> list[str]:
    """Return what `status` says is not well."""
    return [
        f"{line['name']} ({line['seen']}): {line['cause']}" for line in status.get("checks", ()) if not line["good"]
    ]


HEAD = ("fault", "healthy", "mended by", "failed", "gap", "same boot", "pings", "gap", "lost", "also restarted")


def row(result: Result) -> tuple[str, ...]:
    """Return a result as cells."""
    requests = result.requests
    boots = ["yes" if same else "no" for same in result.boots.values()]
    lost = sum(result.lost.values())
    written = sum(result.committed.values())
    return (
        result.fault,
        "never" if result.healthy is None else f"{result.healthy:.1f} s",
        "; ".join(result.cures) or ("itself" if result.healthy is not None else "nothing"),
        f"{requests.failed} of {requests.sent}" if requests.sent else "-",
        f"{requests.gap:.1f} s" if requests.sent else "-",
        "/".join(boots) or "-",
        "/".join(str(pings.lost) for pings in result.pings.values()) or "-",
        f"{max(pings.gap for pings in result.pings.values()):.1f} s" if result.pings else "-",
        f"{lost} of {written}" if result.committed else "-",
        ", ".join(result.restarted) or "-",
    )


def table(results: Sequence[Result]) -> str:
    """Return all results as a table that is Markdown too."""
    rows = [HEAD, *map(row, results)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(HEAD))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def as_data(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return all results for programs."""
    return [{**asdict(result), "problems": result.problems} for result in results]


def as_junit(results: Sequence[Result], seconds: Mapping[str, float]) -> bytes:
    """Return all results as a JUnit report."""
    failed = sum(bool(result.problems) for result in results)
    suite = ElementTree.Element("testsuite", name="faults", tests=str(len(results)), failures=str(failed), errors="0")
    for result in results:
        time = f"{seconds.get(result.fault, 0.0):.1f}"
        case = ElementTree.SubElement(suite, "testcase", classname="faults", name=result.fault, time=time)
        if result.problems:
            ElementTree.SubElement(case, "failure", message="; ".join(result.problems))
    top = ElementTree.Element("testsuites")
    top.append(suite)
    text: bytes = ElementTree.tostring(top, encoding="utf-8", xml_declaration=True)
    return text
