#!/usr/bin/python3 -I
# SPDX-License-Identifier: Apache-2.0
"""Run OVN's two databases and ovn-northd as one service, which ends as soon as one of them does.

    ovn-central --address 172.31.0.31 --nb-port 6641 --sb-port 6642

The databases lie in /var/lib/ovn. One that is missing is created; one with the schema of an older OVN is converted, and
what it was stays beside it. Sockets and configuration of the processes are below /run/ovn.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path("/var/lib/ovn")
RUN = Path("/run/ovn")
SCHEMAS = Path("/usr/share/ovn")
# Milliseconds that a client may be silent before it is asked whether it lives; on a busy host 5 s cut off some.
PROBE = 60000 * int(os.environ.get("HOTSTACK_OS_TIME_FACTOR", "1"))


class StartError(Exception):
    """What the journal is told, in one sentence."""


@dataclass(frozen=True)
class Database:
    """One of the two databases."""

    short: str
    port: int

    @property
    def file(self) -> Path:
        """Where its data lies."""
        return DATA / f"ovn{self.short}_db.db"

    @property
    def schema(self) -> Path:
        """Where OVN keeps the schema that it works with."""
        return SCHEMAS / f"ovn-{self.short}.ovsschema"

    @property
    def socket(self) -> Path:
        """Where ovn-northd finds it."""
        return RUN / f"ovn{self.short}_db.sock"

    def settings(self, address: str) -> dict[str, Any]:
        """Return the configuration of its server."""
        remotes = {f"punix:{self.socket}": {}, f"ptcp:{self.port}:{address}": {"inactivity-probe": PROBE}}
        return {"remotes": remotes, "databases": {str(self.file): {}}}


def tool(*arguments: str) -> str:
    """Run ovsdb-tool and return what it printed."""
    done = subprocess.run(["ovsdb-tool", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise StartError(f"ovsdb-tool {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def version(text: str) -> tuple[int, ...]:
    """Return a schema's version as something to compare."""
    return tuple(int(part) for part in text.split("."))


def step(present: bool, current: str, wanted: str, differs: bool) -> str:
    """Return what a database needs before it can be served: `create`, `convert`, or nothing."""
    if not present:
        return "create"
    if version(current) > version(wanted):
        raise StartError(
            f"its schema {current} is newer than {wanted}, the one of this OVN: build an image with a newer one."
        )
    return "convert" if differs else ""


def prepare(database: Database) -> None:
    """Make the file of a database fit for this OVN; whatever happens meanwhile, it is never there half done."""
    file, schema = str(database.file), str(database.schema)
    wanted = tool("schema-version", schema)
    present = database.file.exists()
    current = tool("db-version", file) if present else ""
    try:
        todo = step(present, current, wanted, present and tool("needs-conversion", file, schema) == "yes")
    except StartError as error:
        raise StartError(f"{file}: {error}") from None
    new = database.file.with_suffix(".new")
    new.unlink(missing_ok=True)
    if todo == "create":
        tool("create", str(new), schema)
    elif todo == "convert":
        kept = database.file.with_suffix(f".{current}")
        if not kept.exists():
            os.link(file, kept)
        tool("convert", file, schema, str(new))
        print(f"{file}: converted from schema {current} to {wanted}; it was kept as {kept}.", flush=True)
    if todo:
        new.rename(file)


def commands(databases: Sequence[Database]) -> dict[str, list[str]]:
    """Return what runs, by name."""
    logs = ["--verbose=console:info", "--verbose=syslog:off", "--verbose=file:off"]
    result = {
        f"ovsdb-server-{database.short}": [
            "ovsdb-server",
            f"--unixctl={RUN}/ovn{database.short}_db.ctl",
            f"--config-file={RUN}/ovn{database.short}_db.json",
            *logs,
        ]
        for database in databases
    }
    sockets = [f"--ovn{database.short}-db=unix:{database.socket}" for database in databases]
    result["ovn-northd"] = ["ovn-northd", f"--unixctl={RUN}/ovn-northd.ctl", *sockets, *logs]
    return result


def supervise(wanted: dict[str, list[str]]) -> str:
    """Run all until one ends or we are told to; return what ended, or nothing."""
    # Kept until the end, for Python itself would wait for those that nobody keeps.
    processes = {name: subprocess.Popen(command) for name, command in wanted.items()}
    running = {process.pid: name for name, process in processes.items()}
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        for pid in running:
            # One that has just ended may not have been taken out yet.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    ended = ""
    while running:
        pid, status = os.wait()
        name = running.pop(pid, "")
        if name and not stopping:
            ended = f"{name} ended with status {os.waitstatus_to_exitcode(status)}"
            stop(0, None)
    return ended


def main() -> None:
    """Prepare, run, and say what went wrong."""
    parser = argparse.ArgumentParser(description="Run OVN's databases and ovn-northd as one service.")
    parser.add_argument("--address", required=True, help="the address that the databases are served on")
    parser.add_argument("--nb-port", required=True, type=int, help="the port of the northbound database")
    parser.add_argument("--sb-port", required=True, type=int, help="the port of the southbound database")
    arguments = parser.parse_args()
    databases = [Database("nb", arguments.nb_port), Database("sb", arguments.sb_port)]
    try:
        for database in databases:
            prepare(database)
            settings = json.dumps(database.settings(arguments.address))
            (RUN / f"ovn{database.short}_db.json").write_text(settings, encoding="utf-8")
    except StartError as error:
        sys.exit(str(error))
    ended = supervise(commands(databases))
    if ended:
        sys.exit(f"{ended}; the others were stopped.")


if __name__ == "__main__":
    main()
