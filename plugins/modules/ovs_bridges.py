#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Make Open vSwitch bridges exist, on a datapath that works on this host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ovs_bridges
short_description: Make Open vSwitch bridges exist, on a datapath that works
version_added: "0.1.0"
author: The hotstack.os authors (!UNKNOWN)
description:
  - Creates bridges that do not exist, and gives all of them the same datapath and MTU, in one transaction.
  - Other bridges, and other keys of the bridges named, are left alone.
  - Keeps the key C(ovn-bridge-datapath-type), which ovn-controller reads, in step with the datapath.
options:
  names:
    description: The bridges.
    type: list
    elements: str
    required: true
  mtu:
    description: The MTU that their local ports ask for.
    type: int
    required: true
  datapath:
    description:
      - V(system) is the kernel's datapath, V(netdev) Open vSwitch's own.
      - V(auto) keeps that of bridges which work, and otherwise tries V(system), then V(netdev).
    type: str
    choices: [auto, netdev, system]
    default: auto
attributes:
  check_mode:
    description: Says what would change; V(auto) then takes it that the kernel's datapath works.
    support: full
  diff_mode:
    description: Shows datapath and MTU before and after.
    support: full
"""

EXAMPLES = r"""
- name: Create the bridges
  hotstack.os.ovs_bridges:
    names: [hot-int, hot-ex]
    mtu: 9216
"""

RETURN = r"""
datapath:
  description: The datapath of the bridges.
  type: str
  returned: always
  sample: system
commands:
  description: What ovs-vsctl was told.
  type: list
  elements: list
  returned: always
"""

import os
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import ovs_bridges as ovs

# Runs commands of ovs-vsctl as one transaction and returns what it printed.
Tool = Callable[[list[list[str]]], str]


def alive(name: str) -> bool:
    """Tell whether the kernel has this interface."""
    return os.path.exists(f"/sys/class/net/{name}")


class BridgeError(Exception):
    """What a user is told, in one sentence."""


def settle(tool: Tool, before: ovs.State, params: dict[str, Any]) -> tuple[str, list[list[str]]]:
    """Bring the bridges about; with a datapath still to be found, the first on which they work stays."""
    names, mtu, setting = params["names"], params["mtu"], params["datapath"]
    known = ovs.known_datapath(before, names, setting)
    said: list[list[str]] = []
    state, wrong = before, {}
    for datapath in [known] if known else ["system", "netdev"]:
        todo = ovs.commands(state, names, mtu, datapath)
        if todo:
            tool(todo)
            state = ovs.parse(tool(list(ovs.QUERY)), alive)
        said += todo
        wrong = ovs.broken(state, names)
        if not wrong:
            return datapath, said
    name, error = next(iter(wrong.items()))
    hint = " Set hotstack_os_datapath to netdev if this kernel has no Open vSwitch." if setting == "system" else ""
    raise BridgeError(f"The bridge {name} does not work on the datapath {datapath}: {error}.{hint}")


def run(params: dict[str, Any], check_mode: bool, tool: Tool) -> dict[str, Any]:
    """Read the bridges, settle them, and say what was done."""
    names, mtu = params["names"], params["mtu"]
    before = ovs.parse(tool(list(ovs.QUERY)), alive)
    if check_mode:
        datapath = ovs.known_datapath(before, names, params["datapath"]) or "system"
        said = ovs.commands(before, names, mtu, datapath)
    else:
        datapath, said = settle(tool, before, params)
    after = ovs.outcome(before, names, mtu, datapath)
    diff = {"before": ovs.summary(before, names), "after": ovs.summary(after, names)}
    return {"changed": bool(said), "datapath": datapath, "commands": said, "diff": diff}


def main() -> None:
    """Speak to Ansible."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "mtu": {"type": "int", "required": True},
            "datapath": {"type": "str", "choices": ["auto", "netdev", "system"], "default": "auto"},
        },
        supports_check_mode=True,
    )
    program = module.get_bin_path("ovs-vsctl")
    if program is None and not module.check_mode:
        module.fail_json(msg="Open vSwitch is not installed: there is no program ovs-vsctl on this host.")

    def tool(commands: list[list[str]]) -> str:
        nothing = '{"data": []}' * len(commands)
        if program is None:
            return nothing
        words = [program, "--timeout=30", "--format=json"]
        for command in commands:
            words += ["--", *command]
        status, output, errors = module.run_command(words)
        if status != 0 and module.check_mode:
            # Only a real run starts it before.
            return nothing
        if status != 0:
            raise BridgeError(f"Open vSwitch refused ({errors.strip()}): is its service running?")
        return str(output)

    try:
        result = run(module.params, module.check_mode, tool)
    except BridgeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
