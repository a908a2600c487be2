#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Remove a deployment from a host, or everything that was made for it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_removal
short_description: Remove a deployment from a host, or everything that was made for it
version_added: "0.1.0"
author: The hotstack.os authors (!UNKNOWN)
description:
  - Looks for what a deployment made, removes it, and puts back what M(hotstack.os.host_record) recorded.
  - Takes what it finds, so it also removes what a removal or a deployment that was cut short left.
  - Never touches guests, containers, bridges, zones or mounts of others.
  - Refuses, before anything goes, while a tool is there and does not answer, and settings that miss the data of the
    last deployment.
options:
  everything:
    description:
      - Without it services, their units and the files in system folders go; data, images, guests and their
        libvirt stay.
      - With it guests, data, networks and the user go too.
    type: bool
    default: false
  images:
    description: With O(everything), whether images go.
    type: bool
    default: true
  packages:
    description: With O(everything), whether packages go that the first run installed and that nobody else needs.
    type: bool
    default: false
extends_documentation_fragment:
  - hotstack.os.traces
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: Shows what is removed.
    support: full
"""

EXAMPLES = r"""
- name: Remove the services, and leave guests and data
  hotstack.os.host_removal:
    traces: "{{ hotstack_os_traces }}"
"""

RETURN = r"""
removals:
  description: What is removed or put back, in this order.
  type: list
  elements: str
  returned: always
  sample: ["podman network hotstack-os"]
kept:
  description: What stays although it may be ours, with the reason.
  type: list
  elements: str
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import (
    file_capabilities,
    records,
    removal_facts,
    removal_plan,
    removal_spec,
    removal_work,
)


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Look, decide, remove."""
    choices = {name: params[name] for name in ("everything", "images", "packages")}
    subject = removal_spec.subject_of(params["traces"], **choices)
    removal_facts.check_settings(subject)
    record = records.read(subject.record_file)
    plan = removal_plan.plan(subject, removal_facts.read(subject, record), record)
    if not check_mode:
        removal_work.act(plan.removals)
    lines = [str(removal) for removal in plan.removals]
    diff = {"before": "".join(f"{line}\n" for line in lines), "after": ""}
    return {"changed": bool(lines), "removals": lines, "kept": list(plan.kept), "diff": diff}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "everything": {"type": "bool", "default": False},
            "images": {"type": "bool", "default": True},
            "packages": {"type": "bool", "default": False},
            **removal_spec.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except removal_facts.FactsError as error:
        module.fail_json(msg=str(error))
    except (records.RecordError, removal_work.RemovalError, file_capabilities.CapabilityError) as error:
        module.fail_json(msg=f"{error} Run it again once the cause is gone: it goes on where it stopped.")
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename} can't be removed: {error.strerror}. Run it again once the cause is gone."
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
