#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Write unit files with what belongs to them, and bring the services in line, in one run."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: service_units
short_description: Write unit files with what belongs to them and bring the services in line
version_added: 0.1.0
description:
  - Writes files, tells systemd about them, then enables, starts or restarts the services, all in one run.
  - Works for the system's services and for those of a user, who needs no session for it.
  - A service is restarted if what runs was started from something else than what is there now. This is found by
    looking at its process, so a run that was broken off is mended by the next one.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  user:
    description: The user whose services these are; it owns the files. Without it they are the system's and root's.
    type: str
  files:
    description: The files. Folders that are missing are made.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the file lies.
        type: path
        required: true
      content:
        description: Its text.
        type: str
        required: true
      mode:
        description: Its mode, as an octal number in quotes.
        type: str
        default: "0644"
  units:
    description: The units, in the order in which they are started.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name with its ending, such as V(example.service).
        type: str
        required: true
      enabled:
        description: Whether to enable it. With V(false) it stays as it is.
        type: bool
        default: true
      started:
        description: Whether to start it. With V(false) it stays as it is.
        type: bool
        default: true
      program:
        description: The file that its main process must run; a process that runs another is restarted.
        type: path
      capabilities:
        description: Capabilities that its main process must have, such as V(cap_net_admin).
        type: list
        elements: str
        default: []
      environment:
        description: Variables that its main process must have been started with.
        type: dict
        default: {}
attributes:
  check_mode:
    description: Reports what would change without changing it.
    support: full
  diff_mode:
    description: Shows the files before and after, and what would happen to which service.
    support: full
"""

EXAMPLES = r"""
- name: Run a service of a user
  hotstack.os.service_units:
    user: hotstack
    files:
      - path: /var/lib/hotstack/.config/systemd/user/example.service
        content: "{{ lookup('ansible.builtin.template', 'example.service.j2') }}"
    units:
      - name: example.service
"""

RETURN = r"""
actions:
  description: What was done to which unit, and why.
  returned: success
  type: list
  elements: str
  sample: ["restart example.service: its configuration changed"]
paths:
  description: The files that were written.
  returned: success
  type: list
  elements: str
"""

import os
import pwd
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import file_capabilities, processes, service_units
from ansible_collections.hotstack.os.plugins.module_utils.files import (
    acting_as,
    make_folders,
    read_text,
    write_text,
)
from ansible_collections.hotstack.os.plugins.module_utils.service_units import Manager, State, UnitError

ARGUMENTS: dict[str, Any] = {
    "user": {"type": "str"},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
            "mode": {"type": "str", "default": "0644"},
        },
    },
    "units": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "enabled": {"type": "bool", "default": True},
            "started": {"type": "bool", "default": True},
            "program": {"type": "path"},
            "capabilities": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "dict", "default": {}},
        },
    },
}


def bring_files(files: list[dict[str, Any]], user: pwd.struct_passwd | None, check_mode: bool) -> list[dict[str, str]]:
    """Write the files that differ and return the differences."""
    diffs = []
    with acting_as(user):
        for file in files:
            path, content, mode = file["path"], file["content"], int(file["mode"], 8)
            old_content, old_mode = read_text(path)
            if (old_content, old_mode) == (content, mode):
                continue
            before = "" if old_content is None else f"# mode {old_mode:04o}\n{old_content}"
            after = f"# mode {mode:04o}\n{content}"
            diffs.append({"before_header": path, "after_header": path, "before": before, "after": after})
            if not check_mode:
                make_folders(os.path.dirname(path))
                write_text(path, content, mode)
    return diffs


def decide(unit: dict[str, Any], state: State) -> list[tuple[str, str]]:
    """Return what has to be done to a unit: verbs, each with its reason."""
    reason = None
    if state.pid and unit["program"]:
        bits = file_capabilities.mask(unit["capabilities"])
        reason = processes.outdated(state.pid, unit["program"], bits, unit["environment"])
    return [(verb, reason or "it was not") for verb in service_units.plan(unit, state, reason)]


def bring_units(manager: Manager, units: list[dict[str, Any]], reload: bool, check_mode: bool) -> list[str]:
    """Reload the service manager and bring the units in line; return what was done."""
    names = [unit["name"] for unit in units]
    states = manager.states(names)
    if (reload or any(state.stale for state in states.values())) and not check_mode:
        manager.call("daemon-reload")
        states = manager.states(names)
    done = []
    for unit in units:
        for verb, reason in decide(unit, states[unit["name"]]):
            done.append(f"{verb} {unit['name']}" + (f": {reason}" if verb == "restart" else ""))
            if not check_mode:
                manager.bring(verb, unit["name"])
    return done


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring files and units in line and return what had to be done."""
    user = None
    if params["user"]:
        try:
            user = pwd.getpwnam(params["user"])
        except KeyError:
            if not check_mode:
                raise UnitError(f"User {params['user']} does not exist on this host.") from None
            return {"changed": True, "paths": [file["path"] for file in params["files"]], "actions": [], "diff": []}
    manager = Manager(user)
    diffs = bring_files(params["files"], user, check_mode)
    if not check_mode:
        manager.wake()
    if manager.reachable():
        actions = bring_units(manager, params["units"], bool(diffs), check_mode)
    else:
        actions = [f"start {unit['name']}" for unit in params["units"] if unit["started"]]
    paths = [diff["after_header"] for diff in diffs]
    if actions:
        diffs.append({"before": "", "after": "".join(f"{action}\n" for action in actions), "after_header": "actions"})
    return {"changed": bool(diffs), "paths": paths, "actions": actions, "diff": diffs}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except (UnitError, file_capabilities.CapabilityError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename} can't be used: {error.strerror}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
