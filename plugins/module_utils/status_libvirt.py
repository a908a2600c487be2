# SPDX-License-Identifier: Apache-2.0
"""Judges the libvirt of the guests.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from . import kvm
from .container_plan import PREFIX
from .status_facts import Facts, Session, Unit
from .status_report import LIBVIRT, SITE, Line, Settings, plural, unknown

CAPABILITY_KEEPER = "hotstack-os-libvirtd-capability"


def session_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge the libvirt of the guests."""
    user = settings["hotstack_os_user"]
    start = "systemctl restart hotstack-os-libvirtd-ready"
    if facts.session is None:
        error = facts.errors.get("session", "nothing was read")
        yield unknown(LIBVIRT, "session libvirt", error, f"{start}; journalctl -u hotstack-os-libvirtd-ready -n 20")
    else:
        yield capability_line(facts.session, facts.units)
        if facts.session.active != "active":
            cause = f"the service of the user {user} does not run"
            yield Line(LIBVIRT, "session libvirt", facts.session.active, cause, start)
            return
        if facts.guests is None:
            error = facts.errors.get("guests", "nothing was read")
            cause = f"libvirt runs, but does not answer: {error}"
            command = f"systemctl --user --machine={user}@ restart hotstack-os-libvirtd-session"
            yield Line(LIBVIRT, "session libvirt", "no answer", cause, command)
            return
        seen = f"{plural(facts.guests.known, 'guest')}, {facts.guests.running} running"
        yield Line(LIBVIRT, "session libvirt", seen)
        for name in facts.guests.stuck:
            cause = "its disk could not be written: there was no room, or an error"
            yield Line(LIBVIRT, name, "paused", cause, f"podman exec {PREFIX}nova-compute virsh resume {name}")


def virtualization_line(settings: Settings, facts: Facts) -> Line:
    """Judge how guests run: emulation is slow, but no fault; KVM that stopped working is one."""
    name, found = "virtualization", facts.virtualization
    if found is None:
        return unknown(LIBVIRT, name, facts.errors.get(name, "nothing was read"), SITE)
    if found.virt_type == "kvm" and found.kvm_fault:
        return Line(LIBVIRT, name, "kvm", f"guests do not start, for KVM can't be used: {found.kvm_fault}", SITE)
    best, reason = kvm.choice(settings["hotstack_os_virt_type"], found.kvm_fault)
    how = "kvm" if found.virt_type == "kvm" else "emulated"
    if best != found.virt_type:
        return Line(LIBVIRT, name, f"{how} until the next run of the playbook: {reason}")
    return Line(LIBVIRT, name, f"{how}: {reason}")


def capability_line(session: Session, units: Mapping[str, Unit]) -> Line:
    """Judge whether libvirt can make network devices, now and after an update of its package."""
    name, command = "capability", f"systemctl start {CAPABILITY_KEEPER}.service"
    if session.file_problem:
        return Line(LIBVIRT, name, "missing", f"{session.file_problem}, so guests get no network", command)
    if session.process_problem:
        return Line(LIBVIRT, name, "not in effect", f"libvirt needs a restart: {session.process_problem}", command)
    if units and units.get(f"{CAPABILITY_KEEPER}.path", Unit()).active != "active":
        cause = "nothing gives it back after an update of the package"
        return Line(LIBVIRT, name, "present", cause, f"systemctl enable --now {CAPABILITY_KEEPER}.path")
    return Line(LIBVIRT, name, f"present on {session.program}")
