#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Give a program capabilities, or take them away."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: file_capability
short_description: Give a program capabilities, or take them away
version_added: 0.1.0
description:
  - Manages the Linux capabilities that a program's file has, without help of other programs.
  - Reads what the file has each time, so it sees when a package update removed a capability.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  path:
    description:
      - The program. It must be a regular file; a symbolic link is refused rather than followed.
    type: path
    required: true
  capabilities:
    description: Names such as V(cap_net_admin).
    type: list
    elements: str
    required: true
  state:
    description:
      - With V(present) the file has these and keeps others.
      - With V(absent) it has none of these and keeps others.
      - With V(exact) it has these alone.
    type: str
    choices: [present, absent, exact]
    default: present
  effective:
    description:
      - Whether a process that runs the program has the capabilities in effect from its start.
      - A file has one such mark for all its capabilities, so V(present) sets it and never takes it away.
    type: bool
    default: true
attributes:
  check_mode:
    description: Reports what would change without changing it.
    support: full
  diff_mode:
    description: Shows the capabilities before and after.
    support: full
"""

EXAMPLES = r"""
- name: Let libvirt make network devices without being root
  hotstack.os.file_capability:
    path: /usr/sbin/libvirtd
    capabilities: [cap_net_admin]
"""

RETURN = r"""
capabilities:
  description: The capabilities of the file now (in check mode, as they would be), as C(getcap) writes them.
  returned: success
  type: str
  sample: cap_net_admin=ep
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import file_capabilities

ARGUMENTS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "capabilities": {"type": "list", "elements": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent", "exact"], "default": "present"},
    "effective": {"type": "bool", "default": True},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the capabilities to what is wanted and return what they are."""
    wish = (params["state"], params["capabilities"], params["effective"])
    if check_mode and not os.path.lexists(params["path"]):
        # The package that brings it would have been installed before.
        before, after = "", str(file_capabilities.wanted(file_capabilities.NONE, *wish))
    else:
        before, after = file_capabilities.ensure(params["path"], *wish, dry=check_mode)
    return {
        "changed": before != after,
        "capabilities": after,
        "diff": {"before": f"{before}\n", "after": f"{after}\n", "before_header": params["path"]},
    }


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except file_capabilities.CapabilityError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
