# SPDX-License-Identifier: Apache-2.0
"""The state of a deployment as a table for people, and as data for programs.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .status_report import ORDER, SERVICE, Line, Report, causes

HEAD = ("SERVICE", "UNIT", "HEALTH", "SINCE", "RESTARTS", "IMAGE", "MEMORY", "ADDRESS")
MIB = 2**20


def age(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if left >= size or (size == 1 and not parts):
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2])


def aligned(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Return rows of cells as lines with straight columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def table(report: Report, now: float) -> list[str]:
    """Return the services as a table."""
    rows = [
        (
            row.name,
            row.unit,
            row.health or "-",
            age(now - row.since) if row.since else "-",
            str(row.restarts),
            f"{row.image} {row.release}".strip() or "-",
            f"{row.memory // MIB} MiB" if row.memory else "-",
            row.address or "-",
        )
        for row in report.rows
    ]
    return aligned([HEAD, *rows])


def mark(line: Line) -> str:
    """Return the word before a line."""
    return "ok" if line.good else "BAD"


def people(report: Report, services: Mapping[str, Any], now: float) -> list[str]:
    """Return all that was found, and what to do next."""
    ties = [
        line
        for area in ORDER
        for line in report.lines
        if line.area == area and (area != SERVICE or line.name not in services)
    ]
    lines = [*table(report, now), "", *aligned([(mark(line), line.name, line.seen) for line in ties])]
    bad = [line for line in report.lines if not line.good]
    if not bad:
        return [*lines, "", "All is well."]
    behind = causes(report, services)
    lines += ["", f"{len(bad)} of {len(report.lines)} are not well; begin with the first:"]
    shown = [line for line, _followers in behind]
    for number, (line, followers) in enumerate(behind, 1):
        lines.append(f"{number}. {line.name} ({line.seen}): {line.cause}.")
        if followers:
            lines.append(f"   It is why these are not well: {', '.join(followers)}.")
        lines.append(f"   next: {line.command}")
    rest = [line for line in bad if line not in shown]
    if rest:
        lines += ["", "What follows from these:"]
        for line in rest:
            lines += [f"- {line.name} ({line.seen}): {line.cause}.", f"   next: {line.command}"]
    return lines


def data(report: Report, services: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "well": report.well,
        "time": now,
        "services": [asdict(row) for row in report.rows],
        "checks": [{**asdict(line), "good": line.good} for line in report.lines],
        "causes": [
            {"name": line.name, "cause": line.cause, "command": line.command, "behind": followers}
            for line, followers in causes(report, services)
        ],
    }
