#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Set keys of Open vSwitch's external-ids, and remember what they were."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ovs_external_ids
short_description: Tell Open vSwitch which OVN it belongs to
version_added: "0.1.0"
author: The hotstack.os authors (!UNKNOWN)
description:
  - Sets keys of C(external_ids) in the table C(Open_vSwitch), in one transaction, and leaves all others alone.
  - Keeps what each key was before the first time, so that it can be given back.
  - Refuses an Open vSwitch whose C(ovn-remote) somebody else has set.
options:
  ids:
    description: The keys with their values. Needed unless O(state=absent).
    type: dict
    default: {}
  record_file:
    description: A JSON file for root alone, whose section C(ovs_external_ids) keeps the former values.
    type: path
    required: true
  state:
    description: V(absent) gives the recorded keys their former values back, and forgets them.
    type: str
    choices: [absent, present]
    default: present
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: Shows the keys that change, before and after.
    support: full
"""

EXAMPLES = r"""
- name: Tell Open vSwitch about OVN
  hotstack.os.ovs_external_ids:
    ids:
      ovn-remote: tcp:172.31.0.31:6642
      ovn-encap-type: geneve
      ovn-encap-ip: 172.31.0.129
    record_file: /var/lib/hotstack-os/runtime/created.json
"""

RETURN = r"""
keys:
  description: The keys that were not as wanted.
  type: list
  elements: str
  returned: always
"""

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import ovs_external_ids as ids
from ansible_collections.hotstack.os.plugins.module_utils import records

SECTION = "ovs_external_ids"

# Runs commands of ovs-vsctl as one transaction and returns what it printed.
Tool = Callable[[list[list[str]]], str]


class SwitchError(Exception):
    """What a user is told, in one sentence."""


def run(params: dict[str, Any], check_mode: bool, tool: Tool) -> dict[str, Any]:
    """Compare the keys with what is wanted, remember and set those that differ."""
    path, present = params["record_file"], params["state"] == "present"
    current = ids.parse(tool([ids.QUERY]))
    record = records.read(path).get(SECTION, {})
    wanted = {key: str(text) for key, text in params["ids"].items()} if present else record
    if present:
        ids.check_owner(current, wanted, record)
    changes = ids.differing(current, wanted)
    kept = records.extended(record, {key: current.get(key) for key in wanted}) if present else {}
    if not check_mode:
        # Remembered before it is lost, forgotten after it was given back.
        if present and kept != record:
            records.write_section(path, SECTION, kept)
        if changes:
            tool(ids.commands(changes))
        if not present and record:
            records.write_section(path, SECTION, {})
    return {
        "changed": bool(changes) or kept != record,
        "keys": sorted(changes),
        "diff": {
            "before": {key: current[key] for key in sorted(changes) if key in current},
            "after": {key: changes[key] for key in sorted(changes) if changes[key] is not None},
        },
    }


def main() -> None:
    """Speak to Ansible."""
    module = AnsibleModule(
        argument_spec={
            "ids": {"type": "dict", "default": {}},
            "record_file": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["absent", "present"], "default": "present"},
        },
        supports_check_mode=True,
    )
    program = module.get_bin_path("ovs-vsctl")
    if program is None and not module.check_mode:
        module.fail_json(msg="Open vSwitch is not installed: there is no program ovs-vsctl on this host.")

    def tool(commands: list[list[str]]) -> str:
        if program is None:
            return ""
        words = [program, "--timeout=30", "--format=json"]
        for command in commands:
            words += ["--", *command]
        status, output, errors = module.run_command(words)
        if status != 0 and module.check_mode:
            # Only a real run starts it before.
            return ""
        if status != 0:
            raise SwitchError(f"Open vSwitch refused ({errors.strip()}): is its service running?")
        return str(output)

    try:
        result = run(module.params, module.check_mode, tool)
    except (SwitchError, ids.ForeignError, records.RecordError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
