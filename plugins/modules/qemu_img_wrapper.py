#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Install the wrapper of qemu-img."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: qemu_img_wrapper
short_description: Let the group write the files that qemu-img makes
version_added: 0.1.0
description:
  - Installs C(/usr/local/bin/qemu-img). It runs the distribution's C(/usr/bin/qemu-img) and gives the files that
    this makes the mode 0664.
  - The distribution's program is not touched, so updates of its package change nothing.
  - The images of this collection have the wrapper already.
    This is for a nova-compute or cinder-volume that runs outside of containers.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  state:
    description: Whether the wrapper is there.
    type: str
    choices: [present, absent]
    default: present
  root:
    description: The root folder of the system to install it in. In any other than V(/), C(chroot) runs the self-test.
    type: path
    default: /
  program:
    description: The text of the wrapper. The collection fills it in.
    type: str
  self_test:
    description: The text of the program that tries the wrapper after a change. The collection fills it in.
    type: str
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: Shows the texts before and after.
    support: full
"""

EXAMPLES = r"""
- name: Let the group write images
  hotstack.os.qemu_img_wrapper:

- name: Go back to the distribution's program
  hotstack.os.qemu_img_wrapper:
    state: absent
"""

RETURN = r"""
path:
  description: Where the wrapper is.
  type: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import wrappers

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "root": {"type": "path", "default": "/"},
    "program": {"type": "str"},
    "self_test": {"type": "str"},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the wrapper to its state."""
    root = params["root"]
    path = wrappers.resolve(root, "/usr/local/bin/qemu-img")
    place = wrappers.Place(root, path, wrappers.resolve(root, "/usr/bin/qemu-img"), "qemu_img_wrapper")
    return wrappers.bring(place, params, "--qemu-img", check_mode)


def main() -> None:
    """Speak to Ansible."""
    wrappers.answer(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()
