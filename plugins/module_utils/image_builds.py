# SPDX-License-Identifier: Apache-2.0
"""Decisions of an image build: which images, with which commands, and what to tell whoever waits."""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import Any, NamedTuple

REPOSITORY = "localhost/hotstack-os-"
LABEL = "io.hotstack-os"
SETTINGS = "/run/hotstack-os-build"
CACHE = "/run/hotstack-os-cache"
LAST_LINES = 30

# What the root filesystem leaves out; containerfiles/base/dpkg.conf says the same of what is installed later.
UNPACK_OPTIONS = (
    "force-unsafe-io",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
)

STEP = re.compile(r"^(?:\[(?P<stage>\d+)/(?P<stages>\d+)\] )?STEP (?P<step>\d+)/(?P<steps>\d+): (?P<text>.*)")


class Step(NamedTuple):
    """Where a stage of a build is."""

    stage: str
    number: str
    text: str


def read_step(line: str) -> Step | None:
    """Return the step that a line of podman's output announces, if it does."""
    match = STEP.match(line.strip())
    if not match:
        return None
    number = f"step {match['step']}/{match['steps']}"
    if match["stages"] and match["stages"] != "1":
        number = f"stage {match['stage']}/{match['stages']}, {number}"
    return Step(match["stage"] or "1", number, match["text"])


def progress_line(image: str, step: Step, seconds: float) -> str:
    """Return what to tell of a build: the image, its step, and for how long it has been going on."""
    text = " ".join(step.text.split())
    if len(text) > 60:
        text = text[:57] + "..."
    return f"{image}: {step.number}, {seconds:.0f} s: {text}"


def repeated_line(image: str, steps: list[Step], seconds: float) -> str:
    """Return what to tell of a build whose steps take long; stages run beside each other."""
    if len(steps) == 1:
        return progress_line(image, steps[0], seconds)
    return f"{image}: {' and '.join(step.number for step in steps)}, {seconds:.0f} s"


def missing_images(images: list[dict[str, Any]], present: set[str]) -> list[str]:
    """Return the names of the images that have to be built."""
    return [image["name"] for image in images if image["reference"] not in present]


def ready_images(images: list[dict[str, Any]], waiting: set[str], running: set[str]) -> list[str]:
    """Return the waiting images whose parents are there."""
    unfinished = {image["reference"] for image in images if image["name"] in waiting | running}
    return [image["name"] for image in images if image["name"] in waiting and image["parent"] not in unfinished]


def superseded_images(listed: list[dict[str, Any]], wanted: set[str]) -> list[dict[str, Any]]:
    """Return the images of ours that no definition asks for, children before parents.

    An image that somebody made from one of ours has its label too, but another name.
    """
    ours = [line for line in listed if LABEL + ".image" in (line.get("Labels") or {})]
    named = [(line, line.get("Names") or [REPOSITORY]) for line in ours]
    ours = [line for line, names in named if any(name.startswith(REPOSITORY) for name in names)]
    old = [line for line in ours if not wanted & set(line.get("Names") or [])]
    return sorted(old, key=lambda line: line.get("Created", 0), reverse=True)


def abandoned_containers(listed: list[dict[str, Any]]) -> list[str]:
    """Return the ids of the containers that a build of ours left when it was killed."""
    return [
        line["Id"]
        for line in listed
        if str(line.get("Image", "")).startswith(REPOSITORY)
        and any(
            name.endswith("-working-container") or "-working-container-" in name for name in line.get("Names") or []
        )
    ]


def rootfs_reference(base: dict[str, Any]) -> str:
    """Return the reference of the root filesystem that the base image is made from."""
    return f"{REPOSITORY}rootfs:{base['reference'].rsplit(':', 1)[1]}"


def build_settings(parameters: dict[str, Any], suite: str, ca: str) -> dict[str, str]:
    """Return the files that a build reads through a mount, so that nothing of them stays in the image."""
    apt = [f'Dir::Etc::SourceList "{SETTINGS}/sources.list";', 'Dir::Etc::SourceParts "-";']
    lines = apt if parameters["package_mirror"] else []
    if parameters["proxy"]:
        lines = [
            *lines,
            f'Acquire::http::Proxy "{parameters["proxy"]}";',
            f'Acquire::https::Proxy "{parameters["proxy"]}";',
        ]
    if ca:
        lines = [*lines, f'Acquire::https::CAInfo "{SETTINGS}/ca.pem";']
    files = {"apt.conf": "".join(f"{line}\n" for line in lines), "environment": "", "ca.pem": ca}
    if parameters["package_mirror"]:
        files["sources.list"] = "".join(
            f"deb {line}\n" for line in package_sources(parameters["package_mirror"], suite)
        )
    if parameters["python_index"]:
        index = shlex.quote(parameters["python_index"])
        files["environment"] = f"export PIP_INDEX_URL={index}\nexport UV_DEFAULT_INDEX={index}\n"
    return files


def package_sources(mirror: str, suite: str) -> list[str]:
    """Return the sources of packages on a mirror."""
    return [f"{mirror} {suite} main", f"{mirror} {suite}-updates main"]


def build_environment(parameters: dict[str, Any], inherited: dict[str, str]) -> dict[str, str]:
    """Return the environment of the tools; podman hands the proxy on to the build and keeps it out of the image."""
    proxy = parameters["proxy"]
    if not proxy:
        return inherited
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    return {**inherited, **dict.fromkeys(names, proxy)}


def bootstrap_command(parameters: dict[str, Any], suite: str, archive: str) -> list[str]:
    """Return the command that makes a root filesystem of the distribution's packages."""
    # As root mmdebstrap makes / a private mount, which is to be no business of the host.
    command = ["unshare", "--mount", "mmdebstrap", "--variant=minbase", "--format=tar"]
    command += [f"--dpkgopt={option}" for option in UNPACK_OPTIONS]
    # The base image brings its own dpkg.conf.
    command.append('--customize-hook=rm "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"')
    if parameters["ca_bundle"]:
        command.append(f'--aptopt=Acquire::https::CAInfo "{parameters["ca_bundle"]}"')
        command.append('--customize-hook=rm "$1/etc/apt/apt.conf.d/99mmdebstrap"')
    command += [suite, archive]
    if parameters["package_mirror"]:
        command += [f"deb {line}" for line in package_sources(parameters["package_mirror"], suite)]
    return command


def build_command(image: dict[str, Any], parent: str, folder: str, cache: str) -> list[str]:
    """Return the command that builds an image, and names it only once it is complete."""
    users = [f"{name}:{number}" for name, number in sorted(image["users"].items(), key=lambda user: user[1])]
    arguments = {"PARENT": parent, "RELEASE": image["release"], "USERS": " ".join(users)}
    context = os.path.join(folder, "context", image["name"])
    used = {name for name in arguments if re.search(rf"^ARG {name}$", image["files"]["Containerfile"], re.MULTILINE)}
    labels = {"image": image["name"], "release": image["release"], "digest": image["digest"]}
    return [
        *("podman", "build", "--layers=false", "--force-rm", "--jobs=2", "--network=host", "--pull=never"),
        *("--file", os.path.join(context, "Containerfile"), "--tag", image["reference"]),
        *("--volume", f"{folder}/settings:{SETTINGS}:ro,z", "--volume", f"{cache}:{CACHE}:z"),
        *(f"--label={LABEL}.{name}={value}" for name, value in labels.items()),
        *(f"--build-arg={name}={value}" for name, value in arguments.items() if name in used),
        context,
    ]


def failure(image: str, status: int, output: list[str], log: str) -> str:
    """Return the message of a build that failed: its last lines, and where the others are."""
    last = "\n".join(output[-LAST_LINES:])
    return (
        f"Image {image} could not be built: exit status {status}. Its last lines are:\n{last}\nThe whole log is {log}."
    )


def timing(image: str, seconds: float, finished: float) -> str:
    """Return a line for the file of timings."""
    return json.dumps({"image": image, "seconds": round(seconds, 1), "finished": round(finished)}) + "\n"
