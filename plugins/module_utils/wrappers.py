# SPDX-License-Identifier: Apache-2.0
"""Put a wrapper in the place of a distribution's program, which stays aside, and take it away again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils.files import make_folders, read_text, write_text

THEIRS = "the program of the distribution\n"
MOST_LINKS = 40
SHARE = re.compile(r"[^\s/:][^\s/]*:/[^\r\n]*")


class WrapperError(Exception):
    """Something is in the way; the text says what and what to do."""


@dataclass(frozen=True)
class Place:
    """Where a wrapper belongs in a root folder, and where the program that it runs is; both as seen from there."""

    root: str
    path: str
    real: str
    module: str
    # The file of its settings, and its text.
    config: str = ""
    text: str = ""

    @property
    def beside(self) -> bool:
        """Tell whether the wrapper takes the place of the program, which is kept beside it."""
        return self.real == f"{self.path}.real"

    def inside(self, path: str) -> str:
        """Return a path of that root as a path of this machine."""
        return inside(self.root, path)


@dataclass
class Outcome:
    """What is done, or would be: the paths that change, and how."""

    dry: bool
    diff: list[dict[str, str]] = field(default_factory=list)

    def add(self, path: str, before: str, after: str) -> None:
        """Note a change."""
        self.diff.append({"before_header": path, "after_header": path, "before": before, "after": after})


def resolve(root: str, path: str) -> str:
    """Return where the folders of a path lie on a machine whose root is `root`, as a path of that machine."""
    folder, name = os.path.split(path)
    done, parts, links = "/", folder.split("/"), 0
    while parts:
        there = os.path.normpath(os.path.join(done, parts.pop(0)))
        link = inside(root, there)
        if there == done or not os.path.islink(link):
            done = there
            continue
        links += 1
        if links > MOST_LINKS:
            raise WrapperError(f"{path} leads round in a circle.")
        target = os.readlink(link)
        done, parts = ("/" if target.startswith("/") else done), [*target.split("/"), *parts]
    return os.path.join(done, name)


def inside(root: str, path: str) -> str:
    """Return a path of the machine whose root is `root` as a path of this one."""
    return os.path.join(root, path.lstrip("/"))


def kind(path: str, module: str) -> str:
    """Return what is at a path: `wrapper`, `other` or `nothing`."""
    try:
        with open(path, "rb") as file:
            head = file.read(500)
    except FileNotFoundError:
        return "nothing"
    return "wrapper" if f"module hotstack.os.{module} ".encode() in head else "other"


def mount_config(share: str, local_path: str) -> str:
    """Return the text of the configuration of mount.nfs."""
    if not SHARE.fullmatch(share):
        raise WrapperError(f"share is {share}, but must be host:/path.")
    if not local_path.startswith("/") or "\n" in local_path:
        raise WrapperError(f"local_path is {local_path}, but must be an absolute path.")
    return f"NFS_SHARE={share}\nLOCAL_PATH={local_path}\n"


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command, whatever it returns."""
    return subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})


class Diversion:
    """dpkg's note that a package's file belongs elsewhere, so that its updates go there. Other systems have none."""

    def __init__(self, place: Place) -> None:
        self.root = place.root
        self.active = False
        self.name = ""
        if not (place.beside and shutil.which("dpkg-divert") and os.path.exists(place.inside("/var/lib/dpkg/status"))):
            return
        # The package may know the file by the name that it had before /sbin became a link.
        for name in dict.fromkeys((place.path, f"/sbin/{os.path.basename(place.path)}")):
            if run(["dpkg-divert", "--root", self.root, "--listpackage", name]).stdout.strip() == "LOCAL":
                self.name, self.active = name, True
                return
            owners = run(["dpkg-query", "--root", self.root, "--search", name]).stdout.splitlines()
            if any(line.endswith(f": {name}") and "diversion by" not in line for line in owners):
                self.name = name

    def change(self, action: str) -> None:
        """Add or remove the note; the files are not moved."""
        command = ["dpkg-divert", "--root", self.root, "--quiet", "--local", "--no-rename"]
        done = run([*command, "--divert", f"{self.name}.real", f"--{action}", self.name])
        if done.returncode:
            raise WrapperError(f"dpkg-divert can't {action} {self.name}: {done.stderr.strip()}")


def must_keep(place: Place, found: str, real: bool, diverted: bool) -> bool:
    """Tell whether what is at the wrapper's place is to be kept aside first.

    Without a diversion a package's update puts its new program over the wrapper: then that is the one to keep.
    """
    if found == "other" and not place.beside:
        raise WrapperError(f"{place.path} is not ours; remove it if nothing needs it.")
    if found == "other" and diverted and real:
        raise WrapperError(f"{place.path} is neither ours nor of a package; {place.real} is. Remove {place.path}.")
    if found != "other" and not real:
        name = place.path if place.beside and found == "nothing" else place.real
        raise WrapperError(f"There is no {name}; install the package that brings it.")
    return found == "other"


def find(place: Place) -> tuple[str, bool]:
    """Return what is at the wrapper's place, and whether the distribution's program is aside, as another file."""
    path, real = place.inside(place.path), place.inside(place.real)
    aside = os.path.exists(real) and not (os.path.exists(path) and os.path.samefile(path, real))
    return kind(path, place.module), aside


def keep(place: Place) -> None:
    """Give the distribution's program its second name; neither place is ever empty."""
    real = place.inside(place.real)
    with suppress(FileNotFoundError):
        os.unlink(f"{real}.new")
    os.link(place.inside(place.path), f"{real}.new")
    os.replace(f"{real}.new", real)
    # If both are one file already, the line above does nothing.
    with suppress(FileNotFoundError):
        os.unlink(f"{real}.new")


def write(place: Place, path: str, text: str, mode: int, outcome: Outcome) -> None:
    """Bring one of the wrapper's own files to what it should be."""
    target = place.inside(path)
    theirs = path == place.path and kind(target, place.module) == "other"
    before, before_mode = (THEIRS, None) if theirs else read_text(target)
    if (before, before_mode) == (text, mode):
        return
    if before == text and before_mode is not None:
        outcome.add(path, f"mode {before_mode:04o}\n", f"mode {mode:04o}\n")
    else:
        outcome.add(path, before or "", text)
    if not outcome.dry:
        make_folders(os.path.dirname(target))
        write_text(target, text, mode)


def install(place: Place, program: str, dry: bool) -> Outcome:
    """Install or update a wrapper and its settings; the wrapper comes last, when all that it needs is there."""
    outcome, diversion = Outcome(dry), Diversion(place)
    found, real = find(place)
    # In check mode its package may come with an earlier task.
    keeping = must_keep(place, found, real or (dry and found == "nothing"), diversion.active)
    if place.config:
        write(place, place.config, place.text, 0o644, outcome)
    if keeping:
        outcome.add(place.real, "", THEIRS)
        if not dry:
            keep(place)
    if diversion.name and not diversion.active:
        outcome.add(f"diversion of {diversion.name}", "", f"{diversion.name}.real\n")
        if not dry:
            diversion.change("add")
    write(place, place.path, program, 0o755, outcome)
    return outcome


def remove(place: Place, dry: bool) -> Outcome:
    """Take the wrapper and its settings away; the distribution's program gets its place back in one step."""
    outcome, diversion = Outcome(dry), Diversion(place)
    path, real, config = (place.inside(name) for name in (place.path, place.real, place.config))
    found, aside = find(place)
    if found == "other" and aside and diversion.active:
        must_keep(place, found, aside, diversion.active)
    if found != "other" and place.beside and aside:
        outcome.add(place.path, THEIRS if found == "nothing" else "the wrapper\n", THEIRS)
        outcome.add(place.real, THEIRS, "")
        if not dry:
            os.replace(real, path)
    elif found == "wrapper":
        outcome.add(place.path, "the wrapper\n", "")
        if not dry:
            os.unlink(path)
    elif place.beside and os.path.exists(real):
        # An update of the package brought the program back already.
        outcome.add(place.real, THEIRS, "")
        if not dry:
            os.unlink(real)
    if diversion.active:
        outcome.add(f"diversion of {diversion.name}", f"{diversion.name}.real\n", "")
        if not dry:
            diversion.change("remove")
    if place.config and os.path.exists(config):
        outcome.add(place.config, read_text(config)[0] or "", "")
        if not dry:
            os.unlink(config)
            with suppress(OSError):
                os.rmdir(os.path.dirname(config))
    return outcome


def try_out(place: Place, self_test: str, option: str) -> None:
    """Run the self-test on the wrapper where it is installed."""
    command = [
        *([] if place.root == "/" else ["chroot", place.root]),
        "/usr/bin/python3",
        "-I",
        "-",
        option,
        place.path,
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=self_test)
    if done.returncode:
        raise WrapperError(f"The self-test failed and what was there before is back: {done.stderr.strip()}")


def ensure(place: Place, program: str, self_test: str, option: str, dry: bool) -> Outcome:
    """Install or update a wrapper and try it; one that does not work is taken back."""
    path, config = place.inside(place.path), place.inside(place.config)
    before = read_text(path)[0] if kind(path, place.module) == "wrapper" else None
    config_before = read_text(config)[0] if place.config else None
    outcome = install(place, program, dry)
    if not outcome.diff or dry:
        return outcome
    try:
        try_out(place, self_test, option)
    except (WrapperError, OSError):
        if before is None:
            remove(place, dry=False)
        else:
            write_text(path, before, 0o755)
        if config_before is not None:
            make_folders(os.path.dirname(config))
            write_text(config, config_before, 0o644)
        raise
    return outcome


def bring(place: Place, params: dict[str, Any], option: str, check_mode: bool) -> dict[str, Any]:
    """Bring a wrapper to the state that a task asks for and return the module's result."""
    if params["state"] == "absent":
        outcome = remove(place, check_mode)
    elif not params["program"] or not params["self_test"]:
        raise WrapperError(f"program and self_test are missing: call hotstack.os.{place.module} by its full name.")
    else:
        outcome = ensure(place, params["program"], params["self_test"], option, check_mode)
    return {"changed": bool(outcome.diff), "path": place.path, "diff": outcome.diff}


def answer(module: Any, run_module: Callable[[dict[str, Any], bool], dict[str, Any]]) -> None:
    """Run a module and tell Ansible what came of it."""
    try:
        result = run_module(module.params, module.check_mode)
    except WrapperError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename} can't be used: {error.strerror}.")
    module.exit_json(**result)
