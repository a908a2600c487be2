#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Find out how slow a host is, and remember it there."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: time_factor
short_description: Find out how slow a host is, and remember it there
version_added: 0.1.0
description:
  - Returns what the collection's timeouts are multiplied with on a host.
  - Writes it to C(/etc/hotstack-os/time_factor.json).
  - The processor is measured once. Remove the file to measure again, such as after a move to another machine.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  factor:
    description:
      - A whole number from 1 to 100, or V(auto) to measure it.
      - A measurement finds 1 on an ordinary machine, and 2, 4, 8, 16 or 32 on slower ones.
    type: str
    default: auto
attributes:
  check_mode:
    support: full
    description: It measures but writes nothing.
  diff_mode:
    support: none
    description: The returned factor says all.
"""

EXAMPLES = r"""
- name: Find out how slow this host is
  hotstack.os.time_factor:
  register: example_time
"""

RETURN = r"""
factor:
  description: What timeouts are multiplied with.
  returned: success
  type: int
  sample: 8
measured:
  description: Whether it was measured; otherwise it was set.
  returned: success
  type: bool
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import files, time_factor


class TimeFactorError(Exception):
    """What a user is told, in one sentence."""


def run(setting: str, check_mode: bool, path: str = time_factor.FILE) -> dict[str, Any]:
    """Return the factor of this host, after writing it where it differs from what the host remembers."""
    if not time_factor.is_setting(setting):
        raise TimeFactorError(f"factor is '{setting}', but must be auto or a whole number from 1 to 100.")
    known = time_factor.remembered(path)
    decided = time_factor.decide(setting, known)
    if decided != known and not check_mode:
        files.make_folders(os.path.dirname(path))
        files.write_text(path, decided.text(), 0o644)
    return {"changed": decided != known, "factor": decided.factor, "measured": decided.measured}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec={"factor": {"type": "str", "default": "auto"}}, supports_check_mode=True)
    try:
        result = run(module.params["factor"], module.check_mode)
    except TimeFactorError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename} can't be read or written: {error.strerror}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
