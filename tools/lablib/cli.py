# SPDX-License-Identifier: Apache-2.0
"""The commands of tools/lab."""

from __future__ import annotations

import argparse
import os

from lablib import paths as locations
from lablib.host import LabHost
from lablib.process import LabError, say


def main(arguments: list[str]) -> int:
    """Run one command; errors are one sentence."""
    command = arguments[0]
    try:
        if os.geteuid() != 0:
            raise LabError("tools/lab must run as root: it starts a privileged container.")
        host = LabHost(locations.from_environment())
        if command == "up":
            host.up()
        elif command == "exec":
            host.execute([a for i, a in enumerate(arguments[1:]) if not (i == 0 and a == "--")])
        elif command == "reboot":
            host.reboot()
        elif command == "down":
            host.down()
    except LabError as error:
        say(f"tools/lab: {error}")
        return 1
    return 0
