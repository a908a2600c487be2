# SPDX-License-Identifier: Apache-2.0
"""The documentation of the action plugin of this name, which does everything."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate_settings
short_description: Check every C(hotstack_os_) variable
description:
  - Checks the settings of the collection by themselves and against each other, and looks for misspelt ones.
  - All problems are reported at once, each in a sentence that names the variable, its value and what is allowed.
    The values of secrets are never shown.
  - It runs on the controller and touches no host.
version_added: 0.1.0
author:
  - The hotstack.os authors (!UNKNOWN)
attributes:
  check_mode:
    description: Can run in check mode and return what it would return otherwise.
    support: full
  diff_mode:
    description: Shows what changes.
    support: none
    details: It changes nothing.
"""

EXAMPLES = r"""
- name: Check the settings
  hotstack.os.validate_settings:
"""

RETURN = r"""
problems:
  description: What is wrong, a sentence each.
  returned: always
  type: list
  elements: str
  sample:
    - hotstack_os_mtu is 90000, but must be a whole number from 1280 to 65521.
"""
