# SPDX-License-Identifier: Apache-2.0
"""Running commands, and telling how long a phase took."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


class LabError(Exception):
    """Something that the user can understand and act on, in one sentence."""


def say(text: str) -> None:
    """Tell progress on standard error: standard output belongs to the command in the lab host."""
    print(text, file=sys.stderr, flush=True)


def run(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, data: bytes | None = None, check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end and keep what it printed; a failure says the command's last line."""
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
    done = subprocess.run(list(command), env=env, capture_output=True, check=False, **given)
    if check and done.returncode != 0:
        raise LabError(failure(command, done.returncode, done.stderr or done.stdout))
    return done


def failure(command: Sequence[str], status: int, output: bytes) -> str:
    """Return one sentence about a failed command."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else "it printed nothing"
    return f"{' '.join(command[:3])} ended with status {status}: {last}"


def run_logged(command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None) -> None:
    """Run a long command whose output goes to a file; a failure prints the end of that file."""
    with log.open("wb") as sink:
        done = subprocess.run(list(command), env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, check=False)
    if done.returncode != 0:
        say("\n".join(log.read_text(errors="replace").splitlines()[-30:]))
        raise LabError(f"{' '.join(command[:3])} ended with status {done.returncode}; all of its output is in {log}.")


class Phases:
    """The steps of one command: each is announced, timed and recorded for the benchmark."""

    def __init__(self, record: Path, lab: str) -> None:
        self.record = record
        self.lab = lab

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Announce a step and record its seconds, but only if it succeeded."""
        say(f"==> {name}")
        start = time.monotonic()
        yield
        seconds = round(time.monotonic() - start, 1)
        say(f"    {name}: {seconds:.1f} s")
        self.keep(name, seconds)

    def keep(self, name: str, seconds: float) -> None:
        """Record how long something took."""
        if not self.record.parent.exists():
            return
        line = {"time": int(time.time()), "lab": self.lab, "phase": name, "seconds": seconds}
        with self.record.open("a") as sink:
            sink.write(json.dumps(line) + "\n")
