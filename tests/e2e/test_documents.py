# SPDX-License-Identifier: Apache-2.0
"""The commands of the documents work as they are written there."""

from __future__ import annotations

import time

import pytest
from documents import Command, commands
from lab import ROOT, Lab

PATIENCE = 60  # seconds
COMMANDS = [command for path in sorted((ROOT / "docs").glob("*.md")) for command in commands(path)]


@pytest.mark.parametrize("command", COMMANDS, ids=[command.where for command in COMMANDS])
def test_command_prints_what_its_document_shows(deployed: Lab, command: Command) -> None:
    """Run it as root in the lab host, in the order of the document; a terminal shows errors too.

    An earlier command may have restarted something, so it is asked again for a while.
    """
    end = time.monotonic() + PATIENCE
    while True:
        done = deployed.attempt("bash", "-c", f"exec 2>&1\n{command.text}")
        if done.returncode == 0 and command.prints(done.stdout):
            return
        said = f"{command.text}\nended with {done.returncode} and printed\n{done.stdout}\ninstead of\n"
        assert time.monotonic() < end, said + "\n".join(command.shown)
        time.sleep(2)


def test_all_is_well_after_the_commands(deployed: Lab, services: list[str]) -> None:
    """See that looking around has broken nothing."""
    deployed.assert_healthy(services, 120)
