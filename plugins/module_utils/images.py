# SPDX-License-Identifier: Apache-2.0
"""What each image is made from, and the reference that follows from it."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

Images = dict[str, dict[str, Any]]
Files = dict[str, str]

CONTAINERFILES = os.path.normpath(os.path.join(os.path.dirname(__file__), "..", "..", "containerfiles"))
REPOSITORY = "localhost/hotstack-os-"


class ImageError(ValueError):
    """An image that cannot be built as it is defined."""


def build_order(images: Images) -> list[str]:
    """Return the names of the images, each after its parent."""
    order: list[str] = []

    def visit(name: str, children: tuple[str, ...]) -> None:
        if name in children:
            raise ImageError(f"Image {name} is its own ancestor: {' <- '.join((*children, name))}.")
        if name in order:
            return
        parent = images[name].get("parent")
        if parent is not None:
            if parent not in images:
                raise ImageError(f"Image {name} has the parent {parent}, which is none of {', '.join(sorted(images))}.")
            visit(parent, (*children, name))
        order.append(name)

    for name in sorted(images):
        visit(name, ())
    return order


def read_context(root: str, image: str, extra: list[str]) -> Files:
    """Return the build context by path: what lies in the image's folder, and the extra files by their base names."""
    folder = os.path.join(root, image)
    context: Files = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith((".pyc", "~")):
                path = os.path.join(parent, name)
                context[os.path.relpath(path, folder)] = read_text(path)
    if "Containerfile" not in context:
        raise ImageError(f"Image {image} has no {os.path.join(folder, 'Containerfile')}.")
    for relative in extra:
        path = os.path.join(root, relative)
        if not os.path.isfile(path):
            raise ImageError(f"Image {image} needs {path}, which does not exist.")
        context[os.path.basename(relative)] = read_text(path)
    return context


def read_text(path: str) -> str:
    """Return the text of a file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def user_ids(image: str, names: list[str], users: dict[str, int]) -> dict[str, int]:
    """Return the ids of the users that an image has."""
    unknown = [name for name in names if name not in users]
    if unknown:
        raise ImageError(f"Image {image} has the user {unknown[0]}, which is none of {', '.join(sorted(users))}.")
    return {name: users[name] for name in names}


def image_definitions(
    images: Images, release: str, users: dict[str, int], root: str = CONTAINERFILES
) -> dict[str, dict[str, Any]]:
    """Return all that goes into each image and the reference with its digest, parents first."""
    definitions: dict[str, dict[str, Any]] = {}
    for name in build_order(images):
        image = images[name]
        parent = image.get("parent")
        inputs: dict[str, Any] = {
            "name": name,
            "release": release,
            "parent": definitions[parent]["reference"] if parent else "",
            "users": user_ids(name, image.get("users", []), users),
            "arguments": {key: str(value) for key, value in image.get("arguments", {}).items()},
            "files": read_context(root, name, image.get("files", [])),
        }
        digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        reference = f"{REPOSITORY}{name}:{release}-{digest[:12]}"
        definitions[name] = {**inputs, "digest": digest, "reference": reference}
    return definitions


def image_references(images: Images, release: str, users: dict[str, int], root: str = CONTAINERFILES) -> dict[str, str]:
    """Return the reference of each image by its name."""
    return {name: line["reference"] for name, line in image_definitions(images, release, users, root).items()}
