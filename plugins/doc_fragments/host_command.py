# SPDX-License-Identifier: Apache-2.0
"""What modules that do the work of the command hotstack-os say about its options."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of module_utils/host_command_spec.py."""

    DOCUMENTATION = r"""
options:
  settings:
    description: The file of what was deployed, which the role C(host_command) writes.
    type: path
    default: /etc/hotstack-os/deployment.json
  patience:
    description: The most seconds that each answer about the state may take.
    type: float
    default: 3
"""
