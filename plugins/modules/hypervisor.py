#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Find out how guests run on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: hypervisor
short_description: Find out how guests run on a host
version_added: 0.1.0
description:
  - Says which user id the session libvirt has, and whether guests run by the processor or are emulated.
  - It only reads. KVM is judged by running a very small guest as that user, since a device node says nothing.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  user:
    description: The user that runs libvirt and its guests.
    type: str
    required: true
  virt_type:
    description: V(kvm) and V(qemu) are returned as they are; V(auto) takes the first where it really works.
    type: str
    choices: [auto, kvm, qemu]
    default: auto
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode. A user that a run would have created by now has the id 0.
  diff_mode:
    support: none
    description: Nothing changes.
"""

EXAMPLES = r"""
- name: Find out how guests run here
  hotstack.os.hypervisor:
    user: hotstack
  register: hypervisor
"""

RETURN = r"""
uid:
  description: The user's id.
  returned: success
  type: int
virt_type:
  description: V(kvm) or V(qemu).
  returned: success
  type: str
reason:
  description: Why, such as what is wrong with KVM.
  returned: success
  type: str
  sample: there is no /dev/kvm
"""

import pwd
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import kvm


class HypervisorError(Exception):
    """What a user is told, in one sentence."""


def run(params: dict[str, Any], check_mode: bool, fault: Callable[[str], str] = kvm.fault) -> dict[str, Any]:
    """Return the id of the user, how guests run, and why."""
    user = params["user"]
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        if not check_mode:
            raise HypervisorError(
                f"The user {user} does not exist on this host; hotstack.os.host_prep creates it."
            ) from None
        user, uid = "", 0
    wanted = params["virt_type"]
    virt_type, reason = kvm.choice(wanted, "" if wanted == "qemu" else fault(user))
    if wanted == "kvm" and virt_type != wanted:
        raise HypervisorError(
            f"hotstack_os_virt_type is 'kvm', but KVM can't be used: {reason}; allowed are auto and qemu."
        )
    return {"changed": False, "uid": uid, "virt_type": virt_type, "reason": reason}


def main() -> None:
    """Speak to Ansible."""
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "virt_type": {"type": "str", "choices": ["auto", "kvm", "qemu"], "default": "auto"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except HypervisorError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
