# SPDX-License-Identifier: Apache-2.0
"""The command `hotstack-os` of a host: what state the deployment is in, and an archive for who helps.

Only the standard library: it is installed on the host with the files beside it, and the modules use the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from . import (
    diagnosis_archive,
    status_checks,
    status_facts,
    status_readers,
    status_report,
    status_services,
    status_text,
    time_factor,
)

SETTINGS = status_report.DEPLOYMENT
PATIENCE = 3.0
# Where an archive is written, and the most seconds for each thing in it.
FOLDER, COLLECTING = "/var/tmp", 20.0
# Exit statuses: something is not well; it can't be told.
BAD, UNKNOWN = 1, 2
# Causes whose services are asked what they said.
MOST_EXPLAINED = 4


class HostCommandError(Exception):
    """The state can't be told; the text says why."""


def read_settings(path: str) -> tuple[dict[str, Any], float]:
    """Return the settings that were deployed, and when that was."""
    try:
        with open(path, encoding="utf-8") as file:
            written = os.fstat(file.fileno()).st_mtime
            settings = json.load(file)
    except FileNotFoundError:
        raise HostCommandError(f"There is no {path}: nothing was deployed here; run {status_report.SITE}.") from None
    except ValueError:
        raise HostCommandError(f"{path} is no JSON; run {status_report.SITE}.") from None
    return settings, written


def find_out(settings: Mapping[str, Any], written: float, patience: float) -> status_report.Report:
    """Return the state of the deployment."""

    def suspects(facts: status_facts.Facts) -> list[str]:
        return [] if "units" in facts.errors else status_services.not_ready(settings, facts)[:MOST_EXPLAINED]

    facts = status_readers.Reader(settings, written, patience).read(suspects)
    return status_checks.report(settings, facts)


def look(path: str, patience: float) -> tuple[dict[str, Any], status_report.Report]:
    """Return the settings of the deployment and its state."""
    if os.geteuid() != 0:
        raise HostCommandError("Only root can tell: run it with sudo.")
    settings, written = read_settings(path)
    known = time_factor.remembered() or time_factor.TimeFactor()
    report = find_out(settings, written, patience * known.factor)
    if known.factor != 1:
        origin = "as measured" if known.measured else "as set"
        seen = f"all timeouts are {known.factor} times longer, {origin}"
        report.lines.append(status_report.Line(status_report.HOST, "time factor", seen))
    return settings, report


def status(path: str, patience: float) -> tuple[list[str], list[str], dict[str, Any]]:
    """Return the lines for people, the problems, and all of it as data."""
    settings, report = look(path, patience)
    now, services = time.time(), settings["hotstack_os_services"]
    lines, found = status_text.people(report, services, now), status_text.data(report, services, now)
    return lines, problems(settings, report), found


def diagnose(path: str, patience: float, folder: str, before: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Write an archive; return its path, and the causes that are its first page.

    Where nothing was deployed, these are what a deployment would refuse: `before`.
    """
    work: diagnosis_archive.Diagnosis
    seconds = COLLECTING * time_factor.current()
    if os.geteuid() == 0 and not os.path.exists(path):
        found, work = list(before), diagnosis_archive.Before(before, seconds)
    else:
        settings, report = look(path, patience)
        found, work = problems(settings, report), diagnosis_archive.Diagnosis(settings, report, seconds)
    try:
        return work.write(folder), found
    except diagnosis_archive.DiagnosisError as error:
        raise HostCommandError(str(error)) from None


def problems(settings: Mapping[str, Any], report: status_report.Report) -> list[str]:
    """Return the causes of what is not well, each as a sentence with the next command."""
    behind = status_report.causes(report, settings["hotstack_os_services"])
    return [f"{line.name}: {line.cause}. Next: {line.command}" for line, _followers in behind]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="hotstack-os", description="Tell the state of OpenStack on this host.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shown = commands.add_parser("status", help="tell what is not well, why, and what to do next")
    shown.add_argument("--json", action="store_true", help="for programs")
    collected = commands.add_parser("diagnose", help="collect what helpers need into one archive without secrets")
    collected.add_argument("--folder", default=FOLDER, help="where to write it (%(default)s)")
    for command in (shown, collected):
        command.add_argument("--settings", default=SETTINGS, help="the file of what was deployed (%(default)s)")
        command.add_argument(
            "--patience",
            type=float,
            default=PATIENCE,
            help="seconds for each answer, times the time factor (%(default)s)",
        )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for and return the exit status."""
    options = parse(arguments)
    try:
        if options.command == "diagnose":
            archive, causes = diagnose(options.settings, options.patience, options.folder)
            sys.stdout.write("".join(f"{line}\n" for line in [*causes, archive]))
            return 0
        lines, _problems, found = status(options.settings, options.patience)
    except HostCommandError as error:
        sys.stderr.write(f"{error}\n")
        return UNKNOWN
    sys.stdout.write(json.dumps(found, indent=2) if options.json else "\n".join(lines))
    sys.stdout.write("\n")
    return 0 if found["well"] else BAD


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
