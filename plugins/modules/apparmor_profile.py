#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Load the AppArmor profile of the containers."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: apparmor_profile
short_description: Load the AppArmor profile of the containers
version_added: "0.1.0"
author: The hotstack.os authors (!UNKNOWN)
description:
  - Loads the profile C(hotstack-os) into the kernel, in enforce mode.
  - Keeps it in C(/etc/apparmor.d/hotstack-os), from where the host loads it at boot.
  - Processes that it confines already follow the new rules at once.
  - Does nothing on a host where AppArmor is not enabled.
options:
  content:
    description: The text of the profile.
    type: str
    required: true
attributes:
  check_mode:
    description: Reports what would change.
    support: full
  diff_mode:
    description: Shows the texts before and after.
    support: full
"""

EXAMPLES = r"""
- name: Load the AppArmor profile of the containers
  hotstack.os.apparmor_profile:
    content: "{{ lookup('ansible.builtin.file', 'apparmor-profile') }}"
"""

RETURN = r"""
enabled:
  description: Whether AppArmor is enabled on this host.
  type: bool
  returned: always
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import apparmor
from ansible_collections.hotstack.os.plugins.module_utils.files import read_text, write_text

# Runs the parser with these arguments on a text; returns its exit status and what it said.
Parser = Callable[[list[str], str], tuple[int, str]]


class ProfileError(Exception):
    """The profile can't be loaded; the text says why."""


def run(content: str, parser: Parser | None, check_mode: bool) -> dict[str, Any]:
    """Load the profile unless it is in force with this text."""
    if not apparmor.enabled():
        return {"changed": False, "enabled": False}
    if parser is None:
        raise ProfileError(apparmor.PARSER_MISSING)
    content = content if content.endswith("\n") else content + "\n"
    before, mode = read_text(apparmor.FILE)
    states = [apparmor.loaded().get(apparmor.PROFILE, "not loaded"), *apparmor.overrides()]
    changed = (before, mode, states) != (content, 0o644, [apparmor.ENFORCE])
    if changed and not check_mode:
        # The file comes last: if it is right, so is what was loaded from it.
        status, said = parser(["--replace"], content)
        if status != 0:
            raise ProfileError(f"{apparmor.PARSER} rejects the profile {apparmor.PROFILE}: {said.strip()}")
        for path in apparmor.OVERRIDES:
            with suppress(FileNotFoundError):
                os.unlink(path)
        write_text(apparmor.FILE, content, 0o644)
    header = {"before_header": apparmor.FILE, "after_header": apparmor.FILE}
    diff = [
        {**header, "before": before or "", "after": content},
        {**header, "before": "".join(f"{state}\n" for state in states), "after": f"{apparmor.ENFORCE}\n"},
    ]
    return {"changed": changed, "enabled": True, "diff": diff if changed else []}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={"content": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    program = module.get_bin_path(apparmor.PARSER)

    def parser(arguments: list[str], text: str) -> tuple[int, str]:
        status, output, errors = module.run_command([program, *arguments], data=text)
        return status, errors or output

    try:
        result = run(module.params["content"], parser if program else None, module.check_mode)
    except (ProfileError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
