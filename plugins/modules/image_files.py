#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Have the files of images on this host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: image_files
short_description: Have the files of images on this host
version_added: 0.1.0
description:
  - Downloads files of images into a folder and verifies them. What is there already is not downloaded again, and a
    download that was interrupted goes on where it stopped.
  - Shows how it gets on. An image that fails does not stop the others; O(images) that failed are in RV(failures).
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  names:
    description: The images to have; all of O(images) if not given.
    type: list
    elements: str
  images:
    description: The images, described as for M(hotstack.os.cloud_resources). What concerns the cloud alone is not used.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name that messages use.
        type: str
        required: true
      url:
        description: Where to download it.
        type: str
        default: ""
      file:
        description: A file that is on the host already, instead of O(images[].url).
        type: path
        default: ""
      checksum:
        description:
          - The digest that it must have, as V(sha256:<digest>); C(sha512) and C(md5) can be used as well.
          - Instead of the digest, for O(images[].url) alone, the URL of a file of checksums that names the image.
        type: str
        default: ""
      disk_format:
        description: Its format; a qcow2 image must look like one.
        type: str
        default: qcow2
      visibility:
        description: Not used.
        type: str
      properties:
        description: Not used.
        type: dict
  cache:
    description: The folder for downloads.
    type: path
    required: true
  refresh:
    description: Whether to ask the server for a newer file, where no digest says which one is right.
    type: bool
    default: false
  proxy:
    description: The proxy, as a URL; empty for that of the environment.
    type: str
    default: ""
  ca_bundle:
    description: A file of certificates to trust beside the system's; empty for none.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says whether something would be downloaded, and which files are there.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Download an image
  hotstack.os.image_files:
    cache: /var/cache/images
    images:
      - name: cirros
        url: https://download.cirros-cloud.net/0.6.2/cirros-0.6.2-x86_64-disk.img
        checksum: sha256:07e44a73e54c94d988028515403c1ed762055e01b83a767edf3c2b387f78ce00
"""

RETURN = r"""
files:
  description: Path and SHA-512 of each image that is there, by its name.
  returned: always
  type: dict
failures:
  description: Why an image could not be had, by its name.
  returned: always
  type: dict
run:
  description: Where to follow a download that has been started.
  returned: when one has been started
  type: dict
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import background, image_downloads
from ansible_collections.hotstack.os.plugins.module_utils.image_downloads import (
    Downloader,
    DownloadError,
    digests,
)

ARGUMENTS: dict[str, Any] = {
    "images": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "url": {"type": "str", "default": ""},
            "file": {"type": "path", "default": ""},
            "checksum": {"type": "str", "default": ""},
            "disk_format": {"type": "str", "default": "qcow2"},
            "visibility": {"type": "str"},
            "properties": {"type": "dict"},
        },
        "required_one_of": [("url", "file")],
    },
    "names": {"type": "list", "elements": "str"},
    "cache": {"type": "path", "required": True},
    "refresh": {"type": "bool", "default": False},
    "proxy": {"type": "str", "default": "", "no_log": True},
    "ca_bundle": {"type": "str", "default": ""},
}


def run(parameters: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return at once if nothing is to be downloaded, else start that."""
    chosen = [
        line for line in parameters["images"] if parameters["names"] is None or line["name"] in parameters["names"]
    ]
    images = [{**line, "refresh": parameters["refresh"]} for line in chosen]
    remote = [image for image in images if image["url"]]
    if check_mode:
        there = {line["name"]: present(line, parameters["cache"]) for line in images}
        files = {
            name: {"path": path, "sha512": digests(path, "sha512")["sha512"]} for name, path in there.items() if path
        }
        return {"changed": any(line["name"] not in files for line in remote), "files": files, "failures": {}}

    def fetch(tell: background.Tell) -> dict[str, Any]:
        downloader = Downloader(parameters["cache"], parameters["proxy"], parameters["ca_bundle"], tell)
        return image_downloads.fetch_all(images, downloader)

    if remote:
        return {"run": background.start(parameters["cache"], fetch, DownloadError, "download")}
    return fetch(lambda _line: None)


def present(image: dict[str, Any], cache: str) -> str | None:
    """Return the file of an image, if it is there."""
    path = image["file"] or os.path.join(cache, image_downloads.cache_name(image["url"], image["checksum"]))
    return path if os.path.isfile(path) else None


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}.")


if __name__ == "__main__":
    main()
