#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Collect what helpers need into one archive."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: diagnose
short_description: Collect what helpers need into one archive
version_added: 0.1.0
description:
  - Packs journals since the boot, configuration, units, and the state of containers, networks, rules, Open vSwitch,
    OVN, libvirt and the APIs into a file that only root can read.
  - Its first page ranks the probable causes of what is not well.
  - Secrets of the deployment, and what looks like one, are replaced by their names.
  - Where the file of secrets can't be read, all that services say or are configured with stays out.
  - Disks of guests and the contents of databases stay out.
  - On a host that has no deployment it collects what one would rely on; versions, modules of the kernel, security
    modules, firmware, services, links and rules.
  - Whatever does not answer in time is named on the first page. Nothing but the archive is changed.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  folder:
    description: Where the archive is written. It must exist.
    type: path
    default: /var/tmp
  before:
    description: What a deployment would refuse, for the first page of a host that has none.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - hotstack.os.host_command
attributes:
  check_mode:
    description: Looks at the state, and writes no archive.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Collect what helpers need
  hotstack.os.diagnose:
  register: diagnosis

- name: Fetch it
  ansible.builtin.fetch:
    src: "{{ diagnosis.path }}"
    dest: ./
    flat: true
"""

RETURN = r"""
path:
  description: The archive.
  type: str
  returned: when one was written
problems:
  description: The probable causes, the most probable one first, each with the command to type next.
  type: list
  elements: str
  returned: success
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import host_command, host_command_spec

ARGUMENTS: dict[str, Any] = {
    **host_command_spec.ARGUMENTS,
    "folder": {"type": "path", "default": host_command.FOLDER},
    "before": {"type": "list", "elements": "str", "default": []},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Look, collect, and return where it is."""
    if check_mode and os.path.exists(params["settings"]):
        settings, report = host_command.look(params["settings"], params["patience"])
        return {"changed": True, "problems": host_command.problems(settings, report)}
    if check_mode:
        return {"changed": True, "problems": params["before"]}
    path, found = host_command.diagnose(params["settings"], params["patience"], params["folder"], params["before"])
    return {"changed": True, "path": path, "problems": found}


def main() -> None:
    """Speak to Ansible."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except host_command.HostCommandError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
