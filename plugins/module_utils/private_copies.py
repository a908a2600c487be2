# SPDX-License-Identifier: Apache-2.0
"""Keep a program able to do what it needs a capability for, in place or as a copy that only one group can run.

The module `private_copy` uses the functions. On the host, a unit runs this file by itself when a package update touched
the program, so it needs only the standard library.
"""

from __future__ import annotations

import argparse
import filecmp
import grp
import os
import pwd
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress

from . import file_capabilities, processes, service_units

# How long a package update may pause before what it did so far counts as complete, in seconds.
SETTLE = 2.0


def compare(source: str, path: str, gid: int | None, mode: int) -> list[str]:
    """Return in what the copy differs from what it should be."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return ["absent"]
    if not stat.S_ISREG(status.st_mode):
        return ["not a file"]
    found = []
    if not filecmp.cmp(source, path, shallow=False):
        found.append("content")
    if status.st_uid != os.geteuid() or status.st_gid != gid:
        found.append("owner")
    if stat.S_IMODE(status.st_mode) != mode:
        found.append("mode")
    return found


def replace(source: str, path: str, gid: int, mode: int, capabilities: Sequence[str]) -> None:
    """Put a new copy in place in one step, complete with its capabilities: it is never there half done."""
    folder = os.path.dirname(path)
    # The group must get to it, whatever the umask is.
    mask = os.umask(0o022)
    try:
        os.makedirs(folder, exist_ok=True)
    finally:
        os.umask(mask)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
    try:
        with open(source, "rb") as origin, open(descriptor, "wb") as copy:
            shutil.copyfileobj(origin, copy)
            copy.flush()
            os.fsync(copy.fileno())
            os.fchown(copy.fileno(), -1, gid)
            os.fchmod(copy.fileno(), mode)
        file_capabilities.ensure(temporary, "exact", capabilities, True, dry=False)
        os.replace(temporary, path)
    except OSError as error:
        # A disk that is full does not say for which file.
        error.filename = error.filename or path
        raise
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def ensure(
    source: str, path: str, gid: int | None, capabilities: Sequence[str], *, mode: int = 0o750, dry: bool
) -> list[str]:
    """Bring the copy and its capabilities to what they should be; return what was not right."""
    found = compare(source, path, gid, mode)
    if not found:
        before, after = file_capabilities.ensure(path, "exact", capabilities, True, dry=dry)
        return [] if before == after else ["capabilities"]
    if not dry and gid is not None:
        replace(source, path, gid, mode, capabilities)
    return found


def mend(options: argparse.Namespace) -> list[str]:
    """Mend the program, then restart the service if it runs something older; return what was done."""
    done: list[str] = []
    program = options.copy or options.source
    if options.copy:
        gid = grp.getgrnam(options.group).gr_gid
        done += ensure(options.source, options.copy, gid, options.capability, dry=False)
    else:
        before, after = file_capabilities.ensure(options.source, "present", options.capability, True, dry=False)
        done += [] if before == after else ["capabilities"]
    user = pwd.getpwnam(options.user)
    manager = service_units.Manager(user)
    pid = manager.states([options.unit])[options.unit].pid
    bits = file_capabilities.mask(options.capability)
    reason = processes.outdated(pid, program, bits) if pid else None
    if reason:
        manager.call("restart", options.unit)
        done.append(f"{options.unit} restarted because {reason}")
    return done


def start(options: argparse.Namespace) -> int:
    """Start the service, and before it the user's service manager; return the exit status."""
    manager = service_units.Manager(pwd.getpwnam(options.user))
    try:
        manager.wake()
        manager.call("start", options.unit)
    except service_units.UnitError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Give a program its capabilities again after a package update.")
    parser.add_argument("--source", required=True, help="the program as the package brings it")
    parser.add_argument(
        "--copy", default="", help="the copy to keep; without it the program itself gets the capabilities"
    )
    parser.add_argument("--group", default="root", help="the group that may run the copy")
    parser.add_argument("--capability", action="append", default=[], help="a capability, such as cap_net_admin")
    parser.add_argument("--user", required=True, help="the user whose service runs the program")
    parser.add_argument("--unit", required=True, help="that service")
    parser.add_argument("--start", action="store_true", help="start the service too, and wait until it is ready")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Mend until there is nothing left to do: an update goes on while this runs."""
    options = parse(arguments)
    for _attempt in range(30):
        try:
            done = mend(options)
        except (file_capabilities.CapabilityError, service_units.UnitError, KeyError, OSError) as error:
            done = [f"not yet possible: {error}"]
        if not done:
            return start(options) if options.start else 0
        sys.stdout.write(f"{options.copy or options.source}: {', '.join(done)}\n")
        sys.stdout.flush()
        time.sleep(SETTLE)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
