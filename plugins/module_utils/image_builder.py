# SPDX-License-Identifier: Apache-2.0
"""Builds images with podman: what needs no other at the same time, each with its own log."""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.hotstack.os.plugins.module_utils import image_builds as decide
from ansible_collections.hotstack.os.plugins.module_utils import time_factor
from ansible_collections.hotstack.os.plugins.module_utils.files import make_folders

# A registry that does not answer must not hold up a host that can do without one.
PROBE_SECONDS = 30
PULL_SECONDS = 600
# How often a step that takes long is told again.
REPEAT_SECONDS = 15


class BuildError(Exception):
    """A build that ended without its image."""


def output_of(command: list[str], what: str) -> str:
    """Return what a short command prints."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]} is not installed on this host; it is needed to {what}.") from error
    if done.returncode:
        raise BuildError(f"{command[0]} could not {what}: {done.stderr.strip()}")
    return done.stdout


def listed_images() -> list[dict[str, Any]]:
    """Return the images of this host."""
    images: list[dict[str, Any]] = json.loads(
        output_of(["podman", "images", "--format", "json"], "list images") or "[]"
    )
    return images


def listed_containers() -> list[dict[str, Any]]:
    """Return the containers of this host, those of builds too."""
    command = ["podman", "ps", "--all", "--external", "--format", "json"]
    containers: list[dict[str, Any]] = json.loads(output_of(command, "list containers") or "[]")
    return containers


def present_references(listed: list[dict[str, Any]]) -> set[str]:
    """Return the references that images of this host have."""
    return {name for line in listed for name in line.get("Names") or []}


class Builder:
    """One run of builds, alone on its host."""

    def __init__(self, parameters: dict[str, Any], tell: Callable[[str], object]) -> None:
        self.parameters = parameters
        self.tell = tell
        self.folder: str = parameters["folder"]
        self.images: list[dict[str, Any]] = parameters["images"]
        self.environment = decide.build_environment(parameters, dict(os.environ))
        self.children: dict[str, subprocess.Popen[str]] = {}
        self.stopped = threading.Event()
        self.lock_descriptor = -1

    def build(self) -> list[str]:
        """Build what is missing, and return the names."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        with self.locked():
            missing = decide.missing_images(self.images, present_references(listed_images()))
            if missing:
                self.remove_abandoned()
                self.write_inputs(missing)
                try:
                    self.build_all(missing)
                finally:
                    self.remove_inputs()
        return missing

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other run builds. Children inherit the lock, so one that outlives its run still holds it."""
        with open(os.path.join(self.folder, "lock"), "w", encoding="ascii") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.tell("Waiting for another build to end")
                fcntl.flock(lock, fcntl.LOCK_EX)
            self.lock_descriptor = lock.fileno()
            yield

    def remove_abandoned(self) -> None:
        """Remove what a killed build left behind."""
        for container in decide.abandoned_containers(listed_containers()):
            subprocess.run(["podman", "rm", "--force", container], check=False, capture_output=True)

    def write_inputs(self, missing: list[str]) -> None:
        """Write the build contexts, and what builds read through mounts."""
        self.remove_inputs()
        for image in self.images:
            if image["name"] in missing:
                write_files(os.path.join(self.folder, "context", image["name"]), image["files"])
        ca = ""
        if self.parameters["ca_bundle"]:
            with open(self.parameters["ca_bundle"], encoding="utf-8") as bundle:
                ca = bundle.read()
        suite = self.parameters["base"]["suite"]
        write_files(os.path.join(self.folder, "settings"), decide.build_settings(self.parameters, suite, ca))
        os.makedirs(self.parameters["cache"], exist_ok=True)

    def remove_inputs(self) -> None:
        """Remove the build contexts and the settings, which may hold a proxy's password."""
        for name in ("context", "settings", "rootfs"):
            shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)

    def build_all(self, missing: list[str]) -> None:
        """Build images, parents first, as many at a time as wanted; the first failure ends the others."""
        waiting, running = set(missing), dict[concurrent.futures.Future[None], str]()
        by_name = {image["name"]: image for image in self.images}
        with concurrent.futures.ThreadPoolExecutor(self.parameters["parallel"]) as pool:
            try:
                while waiting or running:
                    for name in decide.ready_images(self.images, waiting, set(running.values())):
                        if len(running) < self.parameters["parallel"]:
                            waiting.remove(name)
                            running[pool.submit(self.build_image, by_name[name])] = name
                    done, _pending = concurrent.futures.wait(
                        running, timeout=1, return_when=concurrent.futures.FIRST_COMPLETED
                    )
                    for future in done:
                        del running[future]
                        future.result()
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """End all builds that are running."""
        self.stopped.set()
        for child in list(self.children.values()):
            end(child)

    def build_image(self, image: dict[str, Any]) -> None:
        """Build one image and note how long it took."""
        name = image["name"]
        log = os.path.join(self.folder, f"{name}.log")
        with open(log, "w", encoding="utf-8"):
            pass
        started = time.monotonic()
        parent = image["parent"] or self.root_filesystem(image, log, started)
        self.run(name, decide.build_command(image, parent, self.folder, self.parameters["cache"]), log, started)
        seconds = time.monotonic() - started
        self.tell(f"{name}: built in {seconds:.0f} s: {image['reference']}")
        append(os.path.join(self.folder, "timings.jsonl"), decide.timing(name, seconds, time.time()))

    def root_filesystem(self, image: dict[str, Any], log: str, started: float) -> str:
        """Return what the base image is made from: an image of a registry, or one of the distribution's packages."""
        base = self.parameters["base"]
        if base["source"] in ("registry", "auto"):
            seconds = PROBE_SECONDS if base["source"] == "auto" else PULL_SECONDS * time_factor.current()
            self.tell(f"{image['name']}: pulling {base['image']}")
            try:
                pulled = subprocess.run(
                    ["podman", "pull", "--quiet", base["image"]],
                    check=False,
                    capture_output=True,
                    text=True,
                    timeout=seconds,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                )
                status, answer = pulled.returncode, pulled.stderr.strip()
                if status == 0:
                    return pulled.stdout.split()[-1]
            except subprocess.TimeoutExpired:
                answer = f"no answer in {seconds} s"
            append(log, f"{base['image']} could not be pulled: {answer}\n")
            if base["source"] == "registry":
                raise BuildError(
                    f"The base image {base['image']} could not be pulled: {answer}. Without a registry,"
                    " set hotstack_os_base_image_source to bootstrap."
                )
        return self.bootstrap(image, log, started)

    def bootstrap(self, image: dict[str, Any], log: str, started: float) -> str:
        """Make a root filesystem of the distribution's packages, and return its reference."""
        reference = decide.rootfs_reference(image)
        if reference in present_references(listed_images()):
            return reference
        if shutil.which("mmdebstrap") is None:
            raise BuildError(
                "mmdebstrap is not installed on this host; it is needed to make the base image without a registry."
            )
        if "@" in urlsplit(self.parameters["package_mirror"]).netloc:
            raise BuildError(
                "hotstack_os_package_mirror has a user, whom the base image would keep for everybody to read: use a"
                " mirror without one, or make the base image from a registry."
            )
        suite = self.parameters["base"]["suite"]
        folder = os.path.join(self.folder, "rootfs")
        os.makedirs(folder, exist_ok=True)
        archive = os.path.join(folder, "rootfs.tar")
        self.tell(f"{image['name']}: installing the root filesystem of {suite}")
        self.run(image["name"], decide.bootstrap_command(self.parameters, suite, archive), log, started)
        label = f"LABEL {decide.LABEL}.image=rootfs"
        self.run(image["name"], ["podman", "import", "--change", label, archive, reference], log, started)
        return reference

    def run(self, name: str, command: list[str], log: str, started: float) -> None:
        """Run a command of a build; what it prints goes into the log, the steps it announces are told."""
        if self.stopped.is_set():
            raise BuildError(f"Image {name} was not built, because another one failed.")
        output: list[str] = []
        steps: dict[str, decide.Step] = {}
        ended = threading.Event()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self.environment,
            start_new_session=True,
            pass_fds=(self.lock_descriptor,) if self.lock_descriptor >= 0 else (),
        )
        self.children[name] = child
        if self.stopped.is_set():  # Another one failed while this one was being started.
            end(child)

        def repeat() -> None:
            while not ended.wait(REPEAT_SECONDS):
                if steps:
                    self.tell(decide.repeated_line(name, list(steps.values()), time.monotonic() - started))

        threading.Thread(target=repeat, daemon=True).start()
        with open(log, "a", encoding="utf-8") as file:
            for line in child.stdout or ():
                file.write(line)
                file.flush()
                output = [*output[1 - decide.LAST_LINES :], line.rstrip()]
                found = decide.read_step(line)
                if found:
                    steps[found.stage] = found
                    self.tell(decide.progress_line(name, found, time.monotonic() - started))
        status = child.wait()
        ended.set()
        del self.children[name]
        if status:
            raise BuildError(decide.failure(name, status, output, log))


def end(child: subprocess.Popen[str]) -> None:
    """End a build with all its processes, if it did not end by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)


def append(path: str, text: str) -> None:
    """Add text to a file."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def write_files(folder: str, files: dict[str, str]) -> None:
    """Write files into a folder of their own."""
    make_folders(folder)
    for name, text in files.items():
        path = os.path.join(folder, name)
        make_folders(os.path.dirname(path))
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)


def prune(references: set[str], dry: bool) -> tuple[list[str], list[str]]:
    """Remove the images of ours that are not among the references; return those removed, and those kept as in use."""
    removed: list[str] = []
    kept: list[str] = []
    used = {container.get("ImageID") for container in listed_containers()} if dry else set()
    for image in decide.superseded_images(listed_images(), references):
        name = (image.get("Names") or [image["Id"]])[0]
        gone = image["Id"] not in used
        if not dry:
            command = ["podman", "rmi", image["Id"]]
            gone = subprocess.run(command, check=False, capture_output=True).returncode == 0
        (removed if gone else kept).append(name)
    return removed, kept
