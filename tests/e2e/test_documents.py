# SPDX-License-Identifier: Apache-2.0
"""The commands of the documents work as they are written there."""

from __future__ import annotations

import pytest
from documents import Command, commands
from lab import ROOT, Lab

COMMANDS = [command for path in sorted((ROOT / "docs").glob("*.md")) for command in commands(path)]


@pytest.mark.parametrize("command", COMMANDS, ids=[command.where for command in COMMANDS])
def test_command_prints_what_its_document_shows(deployed: Lab, command: Command) -> None:
    """Run it as root in the lab host, in the order of the document; a terminal shows errors too."""
    printed = deployed.run("bash", "-c", f"exec 2>&1\n{command.text}")
    assert command.prints(printed), f"{command.text}\nprinted\n{printed}\ninstead of\n" + "\n".join(command.shown)


def test_all_is_well_after_the_commands(deployed: Lab, services: list[str]) -> None:
    """See that looking around has broken nothing."""
    deployed.assert_healthy(services, 120)
