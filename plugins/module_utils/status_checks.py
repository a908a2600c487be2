# SPDX-License-Identifier: Apache-2.0
"""Judges what was found out of a deployment: facts in, lines out. Each bad line has its cause and the next command.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .status_facts import Facts
from .status_host import apparmor_lines, clock_lines, disk_lines, mode_lines
from .status_libvirt import session_lines, virtualization_line
from .status_network import firewall_lines, interface_lines, name_lines, setup_lines, switch_lines
from .status_report import Report, Settings
from .status_services import row, service_line, target_lines
from .status_ties import agent_lines, cell_lines, chassis_lines, mount_lines


def report(settings: Settings, facts: Facts) -> Report:
    """Judge the facts."""
    services: Mapping[str, Any] = settings["hotstack_os_services"]
    return Report(
        rows=[row(settings, facts, name) for name in services],
        lines=[
            *disk_lines(facts),
            *mode_lines(settings, facts),
            *apparmor_lines(facts),
            *clock_lines(facts),
            *switch_lines(settings, facts),
            *interface_lines(settings, facts),
            *firewall_lines(settings, facts),
            *setup_lines(settings, facts),
            *name_lines(settings, facts),
            *session_lines(settings, facts),
            virtualization_line(settings, facts),
            *target_lines(facts),
            *(service_line(settings, facts, name) for name in services),
            *chassis_lines(settings, facts),
            *mount_lines(settings, facts),
            *cell_lines(settings, facts),
            *agent_lines(settings, facts),
        ],
    )
