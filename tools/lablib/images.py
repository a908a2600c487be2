# SPDX-License-Identifier: Apache-2.0
"""The base image and the image of the lab host, each built once for a digest of what it is made from."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lablib import process
from lablib.machine import apt_settings, output, remote_index
from lablib.paths import DEFINITION, IMAGE, Paths
from lablib.podman import Podman
from lablib.process import LabError, Phases

SUITE = "trixie"
BASE_PACKAGES = "ca-certificates,python3"


def digest(parts: list[bytes]) -> str:
    """Return a short name for inputs: the same inputs in the same order, the same name."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:12]


def tree(directory: Path) -> list[bytes]:
    """Return names, modes and contents of the files that the lab host's image is made from."""
    parts = []
    fixed = [directory / name for name in ("Containerfile", "requirements.txt", "unpack-collections")]
    for path in [*fixed, *sorted((directory / "files").rglob("*"))]:
        if path.is_file():
            parts += [f"{path.relative_to(directory)} {path.stat().st_mode & 0o111 != 0}".encode(), path.read_bytes()]
    return parts


def base_reference() -> str:
    """Return the name of the base image."""
    return f"{IMAGE}-base:{digest([SUITE.encode(), BASE_PACKAGES.encode()])}"


def host_reference(directory: Path = DEFINITION) -> str:
    """Return the name of the lab host's image."""
    return f"{IMAGE}-host:{digest([base_reference().encode(), *tree(directory)])}"


def build(podman: Podman, paths: Paths, phases: Phases, *, certificates: Path | None) -> str:
    """Build what is missing and return the name of the lab host's image."""
    reference = host_reference()
    if exists(podman, reference):
        return reference
    if not exists(podman, base_reference()):
        with phases.phase("bootstrap the base image"):
            bootstrap(podman, paths)
    with phases.phase("build the lab host image"):
        build_host(podman, paths, reference, certificates)
    for old in podman.output("images", "--format", "{{.Repository}}:{{.Tag}}", f"--filter=reference={IMAGE}-*").split():
        if old not in {reference, base_reference()}:
            podman.run("rmi", old, check=False)
    return reference


def exists(podman: Podman, reference: str) -> bool:
    """Tell whether the lab has an image."""
    return podman.run("image", "exists", reference, check=False).returncode == 0


def bootstrap(podman: Podman, paths: Paths) -> None:
    """Install a minimal Debian into an archive and import it."""
    archive = paths.state / "base.tar"
    # As root mmdebstrap makes / a private mount, which is to be no business of the machine.
    command = ["unshare", "--mount", "mmdebstrap", "--variant=minbase", f"--include={BASE_PACKAGES}"]
    command += [f"--aptopt={line.rstrip(';')}" for line in apt_options()]
    try:
        process.run_logged([*command, SUITE, str(archive)], paths.logs / "bootstrap.log")
        podman.run("import", "--change", "CMD=/bin/bash", str(archive), base_reference())
    finally:
        archive.unlink(missing_ok=True)


def apt_options() -> list[str]:
    """Return the outer machine's way to the packages, as options of mmdebstrap."""
    return apt_settings(output("apt-config", "dump")).splitlines()


def build_host(podman: Podman, paths: Paths, reference: str, certificates: Path | None) -> None:
    """Build the image of the lab host."""
    given = paths.state / "build"
    command = podman.command("build", "--isolation=chroot", "--layers", f"--build-arg=BASE={base_reference()}")
    command += [f"--volume={paths.cache}/apt:/var/cache/apt/archives"]
    (paths.cache / "apt" / "partial").mkdir(parents=True, exist_ok=True)
    given.mkdir(exist_ok=True)
    (given / "apt.conf").write_text("".join(f"{line}\n" for line in apt_options()))
    command.append(f"--volume={given}/apt.conf:/etc/apt/apt.conf.d/90hotstack-lab:ro")
    if certificates:
        command.append(f"--volume={certificates}:/etc/ssl/hotstack-lab.crt:ro")
        command += ["--env=PIP_CERT=/etc/ssl/hotstack-lab.crt"]
    index = pip_index()
    if index:
        command.append(f"--env=PIP_INDEX_URL={index}")
    log = paths.logs / "lab-host-image.log"
    process.run_logged([*command, "--tag", reference, str(DEFINITION)], log, env=podman.env)
    if not exists(podman, reference):
        raise LabError(f"The build left no image {reference}; its output is in {log}.")


def pip_index() -> str:
    """Return the Python index of the outer machine, if it has one of its own."""
    return remote_index(output("python3", "-m", "pip", "config", "list"), os.environ)
