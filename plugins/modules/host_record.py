#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Remember what a host has before a deployment changes it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_record
short_description: Remember what a host has before a deployment changes it
version_added: "0.1.0"
author: The hotstack.os authors (!UNKNOWN)
description:
  - Writes down, once, what M(hotstack.os.host_removal) will put back. What the record says first stays true.
  - On a host that has a deployment but no record it is too late, and nothing is recorded.
options:
  moment:
    description:
      - V(start) is before anything is installed or changed, V(installed) after the packages are there, V(switch) once
        Open vSwitch runs and before it is told anything, V(clients) before clients get the O(files).
    type: str
    choices: [start, installed, switch, clients]
    required: true
  files:
    description: At V(clients), the files that are about to be written, outside of homes.
    type: list
    elements: path
    default: []
  users:
    description: At V(clients), the users who get files of clients in their homes.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - hotstack.os.traces
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: There is none.
    support: none
"""

EXAMPLES = r"""
- name: Remember what the host has
  hotstack.os.host_record:
    moment: start
    traces: "{{ hotstack_os_traces }}"

- name: Remember what the clients of two users have
  hotstack.os.host_record:
    moment: clients
    users: [alice, bob]
    traces: "{{ hotstack_os_traces }}"
"""

RETURN = r"""
sections:
  description: The sections of the record that were written.
  type: list
  elements: str
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import (
    records,
    removal_before,
    removal_facts,
    removal_spec,
    removal_traces,
)
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import Record, Subject, Switch


def wanted(params: dict[str, Any], subject: Subject, record: Record, check_mode: bool) -> dict[str, dict[str, Any]]:
    """Return the sections to write at this moment; an empty one disappears."""
    moment, started = params["moment"], removal_traces.PATHS in record
    if moment == "start":
        return {} if started or removal_facts.deployed(subject) else removal_before.before(subject)
    if moment == "installed":
        before = record.get(removal_traces.PACKAGES_BEFORE)
        if before is None:
            return {}
        new = sorted(set(removal_facts.installed_packages()) - set(before))
        return {removal_traces.PACKAGES: dict.fromkeys(new), removal_traces.PACKAGES_BEFORE: {}}
    if moment == "clients":
        found = removal_before.before_clients(record, params["files"], params["users"])
    elif started and removal_traces.BRIDGES not in record:
        # Only a real run starts Open vSwitch before.
        found = removal_before.before_switch(subject, Switch() if check_mode else removal_facts.switch())
    else:
        found = {}
    return {name: records.extended(record.get(name, {}), section) for name, section in found.items()}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Read the record, and write the sections that it lacks."""
    subject = removal_spec.subject_of(params["traces"])
    sections = wanted(params, subject, records.read(subject.record_file), check_mode)
    if sections and not check_mode:
        records.write_sections(subject.record_file, sections)
    return {"changed": bool(sections), "sections": sorted(sections)}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "moment": {"type": "str", "choices": ["start", "installed", "switch", "clients"], "required": True},
            "files": {"type": "list", "elements": "path", "default": []},
            "users": {"type": "list", "elements": "str", "default": []},
            **removal_spec.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except (records.RecordError, removal_facts.FactsError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename} can't be read or written: {error.strerror}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
