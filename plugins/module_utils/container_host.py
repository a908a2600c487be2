# SPDX-License-Identifier: Apache-2.0
"""What the engine reads from and does to a host: files, systemd and podman."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils.container_health import PROPERTIES, parse_show
from ansible_collections.hotstack.os.plugins.module_utils.container_plan import (
    DIGEST_LABEL,
    PREFIX,
    Directory,
    File,
    OnDisk,
    Running,
    Wanted,
    service_unit,
)
from ansible_collections.hotstack.os.plugins.module_utils.files import write_text

GENERATORS = (
    "/usr/lib/systemd/system-generators/podman-system-generator",
    "/usr/libexec/podman/quadlet",
)

# Runs a command and returns its exit status, output and errors.
Runner = Callable[[list[str]], "tuple[int, str, str]"]


class HostError(Exception):
    """Something on the host did not work; the message is for the user."""


def read_file(path: str) -> File | None:
    """Return the file at this path as it is, if there is one."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return None
        with open(path, encoding="utf-8", errors="replace", newline="") as stream:
            content = stream.read()
    except FileNotFoundError:
        return None
    return File(path, content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def read_directory(path: str) -> Directory | None:
    """Return the directory at this path as it is, if there is one."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        raise HostError(f"{path} must be a directory, and it is something else.")
    return Directory(path, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def paths_in(directory: str) -> list[str]:
    """Return the paths of all entries of a directory; none if it is not there."""
    try:
        return [os.path.join(directory, entry) for entry in sorted(os.listdir(directory))]
    except (FileNotFoundError, NotADirectoryError):
        return []


def read_disk(wanted: list[Wanted], config_dir: str) -> OnDisk:
    """Return what the disk holds of these containers."""
    files: dict[str, File] = {}
    directories: dict[str, Directory] = {}
    stamps, leftovers = set(), []
    for container in wanted:
        for file in (container.unit, *container.config):
            found = read_file(file.path)
            if found:
                files[file.path] = found
        for directory in container.directories:
            present = read_directory(directory.path)
            if present:
                directories[directory.path] = present
        if container.stamp is not None and os.path.exists(container.stamp):
            stamps.add(container.stamp)
        mine = {file.path for file in container.config}
        leftovers += [path for path in paths_in(os.path.join(config_dir, container.name)) if path not in mine]
    return OnDisk(files, directories, frozenset(stamps), tuple(leftovers))


def show_units(run: Runner, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return what systemd says of our units, by the name of the service."""
    names = list(names)
    if not names or not shutil.which("systemctl"):
        return {}
    argv = ["systemctl", "show", "--property", ",".join(PROPERTIES), "--", *(service_unit(name) for name in names)]
    status, output, errors = run(argv)
    if status != 0:
        raise HostError(f"systemctl cannot show the units: {errors.strip()}")
    units = parse_show(output)
    return {name: units[service_unit(name)] for name in names if service_unit(name) in units}


def read_digests(run: Runner) -> dict[str, str | None]:
    """Return the digest that each of our containers was started from, by the name of the service."""
    if not shutil.which("podman"):
        return {}
    status, output, errors = run(["podman", "ps", "--all", "--format", "json", "--filter", f"name=^{PREFIX}"])
    if status != 0:
        raise HostError(f"podman cannot list the containers: {errors.strip()}")
    digests = {}
    for container in json.loads(output or "[]"):
        for name in container.get("Names") or []:
            if name.startswith(PREFIX):
                digests[name[len(PREFIX) :]] = (container.get("Labels") or {}).get(DIGEST_LABEL)
    return digests


def read_running(run: Runner, names: Iterable[str]) -> dict[str, Running]:
    """Return what runs, by the name of the service."""
    digests = read_digests(run)
    return {
        name: Running(unit.get("ActiveState", "inactive"), digests.get(name))
        for name, unit in show_units(run, names).items()
    }


def make_directory(wanted: Directory) -> None:
    """Make a directory what it should be; what lies in it stays as it is."""
    os.makedirs(wanted.path, exist_ok=True)
    os.chown(wanted.path, wanted.uid, wanted.gid)
    os.chmod(wanted.path, wanted.mode)


def write_file(wanted: File) -> None:
    """Replace a file at once: nobody ever sees half of it, nor its content with other rights than its own."""
    os.makedirs(os.path.dirname(wanted.path), mode=0o755, exist_ok=True)
    try:
        write_text(wanted.path, wanted.content, wanted.mode, wanted.uid, wanted.gid)
    except OSError as error:
        raise HostError(f"Cannot write {wanted.path}: {error.strerror}.") from error


def delete(path: str) -> None:
    """Remove a file or a whole directory of ours, if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def check_units(run: Runner, units: Iterable[File]) -> None:
    """Ask podman's generator about units before systemd sees them, so that a wrong key is said at once."""
    units = list(units)
    generator = next((path for path in GENERATORS if os.access(path, os.X_OK)), None)
    if not units or generator is None:
        return
    with tempfile.TemporaryDirectory(prefix="hotstack-os-units-") as directory:
        for unit in units:
            with open(os.path.join(directory, os.path.basename(unit.path)), "w", encoding="utf-8") as stream:
                stream.write(unit.content)
        status, output, errors = run(["env", f"QUADLET_UNIT_DIRS={directory}", generator, "--dryrun"])
    missing = [unit.path for unit in units if f"---{os.path.basename(unit.path)[:-10]}.service---" not in output]
    if status != 0 or missing:
        said = "\n".join(line for line in errors.splitlines() if "Loading source unit" not in line).strip()
        names = ", ".join(os.path.basename(path) for path in missing) or "a unit"
        raise HostError(f"podman does not accept {names}: {said or 'it generated no service from it'}")


def check_images(run: Runner, wanted: Iterable[Wanted]) -> None:
    """Say which image is missing, rather than let a unit fail on it again and again."""
    known: dict[str, bool] = {}
    for container in wanted:
        if container.image not in known:
            status, _output, errors = run(["podman", "image", "exists", container.image])
            if status not in (0, 1):
                raise HostError(f"podman cannot look for images: {errors.strip()}")
            known[container.image] = status == 0
        if not known[container.image]:
            raise HostError(
                f"Image {container.image} of {container.name} is not on this host; hotstack.os.images builds it."
            )


def systemctl(run: Runner, *arguments: str) -> None:
    """Run systemctl, and say what it says when it fails."""
    status, output, errors = run(["systemctl", *arguments])
    if status != 0:
        raise HostError(f"systemctl {' '.join(arguments)}: {(errors or output).strip()}")


def last_lines(run: Runner, name: str, count: int = 20) -> str:
    """Return the last lines that a service logged, without podman's remarks about its own work."""
    argv = ["journalctl", "--unit", service_unit(name), "--identifier", PREFIX + name, "--lines", str(count)]
    output = run([*argv, "--output", "cat", "--no-pager", "--quiet"])[1] if shutil.which("journalctl") else ""
    return output.strip() or "(it logged nothing)"


def last_health(run: Runner, name: str) -> str:
    """Return what the health command of a container said last, if it said anything."""
    status, output, _error = run(["podman", "inspect", "--format", "{{json .State.Health}}", PREFIX + name])
    if status != 0:
        return ""
    try:
        health: Any = json.loads(output) or {}
    except ValueError:
        return ""
    log = health.get("Log") or []
    return str(log[-1].get("Output", "")).strip() if log else ""
