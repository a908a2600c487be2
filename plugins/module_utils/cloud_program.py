# SPDX-License-Identifier: Apache-2.0
"""Runs a program of ours where openstacksdk is: with this Python if it has it, else in the image of the services."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import pwd
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any

from .files import write_text

MOUNT = "/opt/hotstack-os"


class CloudProgramError(Exception):
    """A program that can't run, or what it says has failed."""


def sources_of(parts: Iterable[ModuleType]) -> dict[str, str]:
    """Return the texts of modules by name; Ansible removes them once the module that has them ends."""
    return {part.__name__.rpartition(".")[2]: inspect.getsource(part) for part in parts}


def write_package(folder: str, sources: Mapping[str, str]) -> None:
    """Write modules into a package `program` in a folder, so that they import each other there too."""
    package = os.path.join(folder, "program")
    os.mkdir(package)
    for name, text in {"__init__": "", **sources}.items():
        write_text(os.path.join(package, f"{name}.py"), text, 0o644)


def has_client() -> bool:
    """Return whether this Python has openstacksdk; a mere folder of that name, such as in a home, has no origin."""
    found = importlib.util.find_spec("openstack")
    return found is not None and found.origin is not None


def command(
    folder: str, image: str, program: str, arguments: Iterable[str] = (), files: Iterable[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs a module of the folder's package, and the environment that it adds.

    The program can read these files under the paths that they have on the host. It asks the cloud of this host, so it
    goes by no proxy.
    """
    run = ["-m", f"program.{program}", *arguments]
    if has_client():
        return [sys.executable, *run], {"PYTHONPATH": folder, "no_proxy": "*"}
    if os.geteuid() != 0:
        user = pwd.getpwuid(os.geteuid()).pw_name
        raise CloudProgramError(
            f"{sys.executable} has no openstacksdk, and only root can use that of the image {image}, not {user}: set"
            " ansible_python_interpreter to a Python that has it."
        )
    there = subprocess.run(["podman", "image", "exists", image], check=False, capture_output=True, text=True)
    if there.returncode not in (0, 1):
        raise CloudProgramError(f"podman can't look for images: {there.stderr.strip()}")
    if there.returncode:
        raise CloudProgramError(f"There is no container image {image}: run hotstack.os.images first.")
    container = [
        *("podman", "run", "--rm", "--interactive", "--pull=never", "--network=host", "--log-driver=none"),
        *("--http-proxy=false", "--security-opt=label=disable", f"--env=PYTHONPATH={MOUNT}", "--workdir=/"),
        *("--volume=/etc/openstack:/etc/openstack:ro", f"--volume={folder}:{MOUNT}:ro"),
        *(f"--volume={path}:{path}:ro" for path in files),
    ]
    return [*container, image, "python3", *run], {}


class CloudProgram:
    """A program that runs and answers requests, a line of JSON each."""

    def __init__(self, folder: str, image: str, sources: Mapping[str, str], program: str, *arguments: str) -> None:
        write_package(folder, sources)
        self.image = image
        self.lock = threading.Lock()
        self.errors = os.path.join(folder, "errors")
        line, added = command(folder, image, program, arguments)
        with open(self.errors, "w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                line,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **added},
            )
        self.requests: Any = self.process.stdin
        self.answers: Any = self.process.stdout
        self.owed = 0

    def call(self, name: str, **arguments: Any) -> Any:
        """Return the answer to a request; one at a time."""
        line = ""
        try:
            with self.lock:
                self.requests.write(json.dumps({"call": name, "arguments": arguments}) + "\n")
                self.requests.flush()
                self.owed += 1
                # Whoever was interrupted while waiting has left an answer behind.
                while self.owed:
                    line = self.answers.readline()
                    self.owed -= 1
        except BrokenPipeError:
            line = ""
        if not line:
            with open(self.errors, encoding="utf-8") as errors:
                last = errors.read().strip().splitlines()[-1:] or ["no reason given"]
            raise CloudProgramError(f"The client of the cloud ended: {last[0]}")
        answer = json.loads(line)
        if "error" in answer:
            raise CloudProgramError(answer["error"])
        return answer["result"]

    def close(self) -> None:
        """End the program."""
        with suppress(BrokenPipeError):
            self.requests.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.answers.close()
