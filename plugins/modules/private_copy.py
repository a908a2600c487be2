#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Keep a copy of a program that has capabilities and that only one group can run."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: private_copy
short_description: Keep a copy of a program with capabilities for one group
version_added: 0.1.0
description:
  - Keeps a copy of a program that has the capabilities named, and no others. Only root and one group can run it.
  - Gives the capability to those who need it. With a capability on the program itself, every user could use it.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  source:
    description: The program, as a package brings it.
    type: path
    required: true
  path:
    description: The copy. Folders that are missing are made.
    type: path
    required: true
  group:
    description: The name of the group that may run the copy.
    type: str
    required: true
  capabilities:
    description: Names such as V(cap_net_admin).
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Reports what would change without changing it.
    support: full
  diff_mode:
    description: Says what was not right.
    support: full
"""

EXAMPLES = r"""
- name: Let one user's libvirt make network devices
  hotstack.os.private_copy:
    source: /usr/sbin/libvirtd
    path: /usr/local/libexec/hotstack-os/libvirtd
    group: hotstack
    capabilities: [cap_net_admin]
"""

RETURN = r"""
found:
  description: What was not right, such as V(absent), V(content), V(owner), V(mode) or V(capabilities).
  returned: success
  type: list
  elements: str
"""

import grp
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import file_capabilities, private_copies

ARGUMENTS: dict[str, Any] = {
    "source": {"type": "path", "required": True},
    "path": {"type": "path", "required": True},
    "group": {"type": "str", "required": True},
    "capabilities": {"type": "list", "elements": "str", "default": []},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the copy to what it should be and return what was not right."""
    source, path = params["source"], params["path"]
    try:
        gid = grp.getgrnam(params["group"]).gr_gid
    except KeyError:
        if not check_mode:
            raise ValueError(f"Group {params['group']} does not exist on this host.") from None
        gid = None
    if os.path.exists(source):
        found = private_copies.ensure(source, path, gid, params["capabilities"], dry=check_mode)
    elif check_mode:
        found = ["absent"]
    else:
        raise ValueError(f"There is no program {source} to copy; install the package that brings it.")
    after = f"a copy of {source} for group {params['group']}, {', '.join(params['capabilities']) or 'no capability'}\n"
    before = f"not right: {', '.join(found)}\n" if found else after
    return {"changed": bool(found), "found": found, "diff": {"before": before, "after": after, "after_header": path}}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except (file_capabilities.CapabilityError, ValueError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename} can't be used: {error.strerror}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
