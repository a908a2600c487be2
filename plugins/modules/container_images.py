#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Build the images that are missing on this host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: container_images
short_description: Build the images that are missing on this host
version_added: 0.1.0
description:
  - Builds images of the folder containerfiles/ of this collection with podman. What is there already is left alone. An
    image is found by its reference, which holds a digest of all that it is made from.
  - While it builds, the steps of all images are shown. Each image has a log of its own.
  - The options other than O(names) and O(prune) are filled in by the action plugin of the same name, from the settings
    of this collection.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  names:
    description: The images to build, with their parents. All images of the settings if not given.
    type: list
    elements: str
  prune:
    description:
      - Whether to remove all images that this module built and that the settings do not ask for any more.
        Those that a container uses stay.
    type: bool
    default: false
  build:
    description: Whether to build, rather than to say what is missing.
    type: bool
    default: false
  images:
    description: All that goes into each image, parents first.
    type: list
    elements: dict
    default: []
  references:
    description: The references of all images that O(prune) must leave alone.
    type: list
    elements: str
    default: []
  folder:
    description: The folder for logs and timings.
    type: path
  cache:
    description: The folder for what builds downloaded and compiled.
    type: path
  parallel:
    description: How many images are built at once.
    type: int
    default: 2
  base:
    description: What the base image is made from.
    type: dict
    default: {}
    suboptions:
      source:
        description: Where it comes from.
        type: str
        choices: [auto, bootstrap, registry]
        default: auto
      image:
        description: The image to pull.
        type: str
        default: ""
      suite:
        description: The distribution to install.
        type: str
        default: ""
  package_mirror:
    description: The mirror of the distribution's packages; empty for the tool's own.
    type: str
    default: ""
  python_index:
    description: The index of Python packages; empty for the tool's own.
    type: str
    default: ""
  proxy:
    description: The proxy of builds; empty for none.
    type: str
    default: ""
  ca_bundle:
    description: A file of certificates that builds trust beside their own; empty for none.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says which images would be built or removed.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Build what is missing
  hotstack.os.container_images:

- name: Build one image, with its parents
  hotstack.os.container_images:
    names: [infra]

- name: Remove the images of earlier releases
  hotstack.os.container_images:
    prune: true
"""

RETURN = r"""
missing:
  description: The images that were not there before.
  returned: always
  type: list
  elements: str
removed:
  description: The images that were removed.
  returned: always
  type: list
  elements: str
kept:
  description: The images that should have been removed, but are in use.
  returned: always
  type: list
  elements: str
run:
  description: Where to follow a build that has been started.
  returned: when a build has been started
  type: dict
"""

import shutil
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import background, image_builder, image_builds
from ansible_collections.hotstack.os.plugins.module_utils.image_builder import Builder, BuildError

ARGUMENTS: dict[str, Any] = {
    "names": {"type": "list", "elements": "str"},
    "prune": {"type": "bool", "default": False},
    "build": {"type": "bool", "default": False},
    "images": {"type": "list", "elements": "dict", "default": []},
    "references": {"type": "list", "elements": "str", "default": []},
    "folder": {"type": "path"},
    "cache": {"type": "path"},
    "parallel": {"type": "int", "default": 2},
    "base": {
        "type": "dict",
        "default": {},
        "options": {
            "source": {"type": "str", "choices": ["auto", "bootstrap", "registry"], "default": "auto"},
            "image": {"type": "str", "default": ""},
            "suite": {"type": "str", "default": ""},
        },
    },
    "package_mirror": {"type": "str", "default": "", "no_log": True},
    "python_index": {"type": "str", "default": "", "no_log": True},
    "proxy": {"type": "str", "default": "", "no_log": True},
    "ca_bundle": {"type": "str", "default": ""},
}


def run(parameters: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Say what is missing, remove what is not wanted any more, and start a build if one is wanted."""
    removed: list[str] = []
    kept: list[str] = []
    if check_mode and shutil.which("podman") is None:
        # A fresh host, on which only a real run installs podman.
        missing = image_builds.missing_images(parameters["images"], set())
        return {"changed": bool(missing), "missing": missing, "removed": removed, "kept": kept}
    present = image_builder.present_references(image_builder.listed_images())
    missing = image_builds.missing_images(parameters["images"], present)
    if parameters["prune"]:
        wanted = set(parameters["references"])
        wanted |= {image_builds.rootfs_reference(image) for image in parameters["images"] if not image["parent"]}
        removed, kept = image_builder.prune(wanted, check_mode)
    result: dict[str, Any] = {"changed": bool(missing or removed), "missing": missing, "removed": removed, "kept": kept}
    if parameters["build"] and missing and not check_mode:
        result["run"] = background.start(parameters["folder"], partial(build, parameters), BuildError, "build")
    return result


def build(parameters: dict[str, Any], tell: background.Tell) -> dict[str, Any]:
    """Build what is missing."""
    return {"built": Builder(parameters, tell).build()}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except BuildError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
