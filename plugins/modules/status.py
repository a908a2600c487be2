#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Tell the state of a deployment."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: status
short_description: Tell the state of a deployment
version_added: 0.1.0
description:
  - Looks at every service, and at what ties them together, such as names, cells, workers, mounts, addresses and rules.
  - Each thing that is not well comes with its cause and with the command to type next. Nothing is changed.
  - The command C(hotstack-os status) of the host is the same code.
author:
  - The hotstack.os authors (!UNKNOWN)
extends_documentation_fragment:
  - hotstack.os.host_command
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Look at the deployment
  hotstack.os.status:
  register: state

- name: Show it
  ansible.builtin.debug:
    var: state.lines
"""

RETURN = r"""
well:
  description: Whether all is well.
  type: bool
  returned: success
lines:
  description: All that was found, as lines to print.
  type: list
  elements: str
  returned: success
problems:
  description: The causes, the most probable one first, each with the command to type next.
  type: list
  elements: str
  returned: success
services:
  description: The services in the order of the map, with all that the table has of them.
  type: list
  elements: dict
  returned: success
checks:
  description: All that was looked at, with area, name, seen, cause, command and good.
  type: list
  elements: dict
  returned: success
causes:
  description: What follows from nothing else, with name, cause, command, and the names of what is behind it.
  type: list
  elements: dict
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import host_command, host_command_spec


def run(params: dict[str, Any]) -> dict[str, Any]:
    """Look, and return what was found."""
    lines, problems, found = host_command.status(params["settings"], params["patience"])
    return {"changed": False, "lines": lines, "problems": problems, **found}


def main() -> None:
    """Speak to Ansible."""
    module = AnsibleModule(argument_spec=host_command_spec.ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params))
    except host_command.HostCommandError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
