# SPDX-License-Identifier: Apache-2.0
"""The commands of tools/lab."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from lablib import deploy, paths, remove
from lablib.host import LabHost
from lablib.process import LabError, say
from lablib.virtual import VirtualLabHost

DESCRIPTION = """\
Run the lab: a disposable Debian machine in a privileged container, in which the collection is deployed.

Everything that it keeps on this machine lies in one directory; `down --purge` removes that too."""
ENVIRONMENT = """\
environment:
  HOTSTACK_LAB_NAME  which lab (default: hotstack-lab); several can stand side by side
  HOTSTACK_LAB_DIR   where images, caches and data lie (default: /var/lib/hotstack-lab)"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        """End with the sentence and where to read more."""
        say(f"{self.prog}: {message[0].upper()}{message[1:]}; see {self.prog} --help.")
        sys.exit(2)


def build_parser() -> Parser:
    """Return the parser of all commands."""
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="tools/lab", description=DESCRIPTION, epilog=ENVIRONMENT, formatter_class=form)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, summary: str, more: str = "", usage: str | None = None) -> argparse.ArgumentParser:
        more = f"{summary}. {more}".strip()
        return commands.add_parser(
            name, help=summary, description=more, epilog=ENVIRONMENT, usage=usage, formatter_class=form
        )

    command = add(
        "up", "Start the lab host", "Installs what this machine lacks, builds the images whose inputs changed."
    )
    command.add_argument(
        "--machine", action="store_true", help="a virtual machine with Debian's own kernel, deployed from the container"
    )
    command.add_argument("--images", default="", metavar="NAMES", help="container images for it (default: all)")
    command = add(
        "deploy",
        "Deploy the working tree in the lab host",
        "Builds the collection's artifact, installs it, runs the playbook there.",
        "tools/lab deploy [--playbook NAME] [-- ANSIBLE-PLAYBOOK-OPTION...]",
    )
    command.add_argument("--playbook", default="hotstack.os.site", help="another playbook (default: %(default)s)")
    add("install", "Build the working tree's artifact and install it in the lab host", "The first half of deploy.")
    add(
        "exec",
        "Run a command as root in the lab host",
        "Standard input, output and exit status are the command's.",
        "tools/lab exec -- COMMAND [ARGUMENT...]",
    )
    add("shell", "Open a shell in the lab host")
    command = add("reboot", "Restart the lab host the way a reboot would")
    command.add_argument("--hard", action="store_true", help="kill everything at once first, as a power cut does")
    add("status", "Show what runs", "The exit status is 0 if the lab host runs.")
    command = add("logs", "Show the journal of the services", "A service is named as on the map.")
    command.add_argument("service", nargs="?", metavar="SERVICE", help="one service (default: all)")
    command.add_argument("--follow", action="store_true", help="go on as new lines come")
    command.add_argument("--lines", type=int, default=200, metavar="N", help="how many lines (default: %(default)s)")
    command = add("down", "Remove the lab host with its data", "Images and downloads stay for the next one.")
    command.add_argument("--purge", action="store_true", help="images and downloads too, unless another lab uses them")
    return parser


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return what is for us, and what is for the lab host: what follows `--`, or all that follows exec."""
    if "--" in arguments:
        at = arguments.index("--")
        return arguments[:at], arguments[at + 1 :]
    if arguments[:1] == ["exec"] and arguments[1:2] not in ([], ["--help"], ["-h"]):
        return ["exec"], arguments[1:]
    return arguments, []


def journal(service: str | None, lines: int, *, follow: bool) -> list[str]:
    """Return the command that shows the journal of one service, or of all."""
    units = f"hotstack-os-{service}.service" if service else "hotstack-os*"
    command = ["journalctl", f"--unit={units}", f"--lines={lines}"]
    return [*command, "--follow"] if follow else [*command, "--no-pager"]


def lab_host(where: paths.Paths, options: argparse.Namespace) -> LabHost:
    """Return the lab host of the kind that is asked for or, for one that is there, of the kind that it is."""
    if getattr(options, "machine", False):
        return VirtualLabHost(where, options.images.split(",") if options.images else [])
    return VirtualLabHost(where) if where.disks.exists() else LabHost(where)


def dispatch(host: LabHost, options: argparse.Namespace, rest: list[str]) -> int:
    """Do what was asked for and return the exit status."""
    command: str = options.command
    if rest and command not in {"exec", "deploy"}:
        raise LabError(f"tools/lab {command} takes no command or options after --.")
    if command == "up":
        host.up()
    elif command == "deploy":
        return deploy.deploy(host, options.playbook, rest)
    elif command == "install":
        deploy.install(host)
    elif command == "exec":
        if not rest:
            raise LabError("Say what to run: tools/lab exec -- COMMAND [ARGUMENT...].")
        host.execute(rest)
    elif command == "shell":
        # No login shell: its profile would take Ansible off PATH.
        host.execute(["bash"])
    elif command == "reboot":
        host.reboot(hard=options.hard)
    elif command == "status":
        return host.status()
    elif command == "logs":
        host.execute(journal(options.service, options.lines, follow=options.follow))
    elif command == "down":
        remove.down(host, purge=options.purge)
    return 0


def main(arguments: list[str]) -> int:
    """Run one command; errors are one sentence."""
    own, rest = split(arguments)
    options = build_parser().parse_args(own)
    try:
        if os.geteuid() != 0:
            raise LabError("It must run as root: it starts a privileged container.")
        return dispatch(lab_host(paths.from_environment(), options), options, rest)
    except LabError as error:
        say(f"tools/lab: {error}")
    except KeyboardInterrupt:
        return 130
    return 1
