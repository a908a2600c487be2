# SPDX-License-Identifier: Apache-2.0
"""Judges the services: what runs, what waits for what, why one does not come up.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

from collections.abc import Iterator

from .container_plan import PREFIX, service_unit
from .status_facts import Container, Facts, Unit, Why
from .status_host import mode_lines
from .status_report import SERVICE, SITE, Line, Row, Settings, plural, unknown

RESULTS = {
    "exit-code": "its main process ended with status {status}",
    "signal": "its main process was ended by signal {status}",
    "core-dump": "its main process crashed with signal {status}",
    "timeout": "it did not become healthy in time",
    "oom-kill": "the kernel ended it, for it had no more memory",
    "watchdog": "it did not report in time",
    "start-limit-hit": "it was started too often",
    "resources": "systemd could not start it",
    "protocol": "it ended before it was healthy",
}


def row(settings: Settings, facts: Facts, name: str) -> Row:
    """Return the row of a service."""
    line = settings["hotstack_os_services"][name]
    unit = facts.units.get(service_unit(name), Unit())
    container = facts.containers.get(name)
    state = unit.active if unit.load == "loaded" else unit.load
    if line.get("one_shot") and is_done(facts, name):
        state = "done"
    place = settings["hotstack_os_addresses"].get(name, "" if line.get("one_shot") else "host")
    return Row(
        name=name,
        unit=state,
        health=container.health if container else "",
        since=unit.since,
        restarts=unit.restarts,
        image=container.image if container else "",
        release=container.release if container else "",
        memory=facts.memory.get(name) if unit.active not in ("inactive", "failed") else None,
        address=f"{place}:{line['port']}" if "port" in line else place,
    )


def is_done(facts: Facts, name: str) -> bool:
    """Tell whether a one-shot has done what its unit asks for."""
    file = facts.unit_files.get(name)
    return file is not None and f"{name}-{file.digest}" in facts.stamps


def is_step(settings: Settings, name: str) -> bool:
    """Tell whether a service is a step that is done once."""
    return bool(settings["hotstack_os_services"].get(name, {}).get("one_shot"))


def needs_of(settings: Settings, name: str) -> list[str]:
    """Return what a service needs directly."""
    return list(settings["hotstack_os_services"].get(name, {}).get("needs", []))


def is_ready(settings: Settings, facts: Facts, name: str) -> bool:
    """Tell whether what needs a service could use it."""
    if is_step(settings, name):
        return is_done(facts, name)
    container = facts.containers.get(name)
    active = facts.units.get(service_unit(name), Unit()).active == "active"
    return active and container is not None and (container.state, container.health) == ("running", "healthy")


def first_missing(settings: Settings, facts: Facts, name: str) -> str:
    """Return what a service needs and waits for: of all below it, one that waits for nothing else; empty for none."""
    for need in needs_of(settings, name):
        if not is_ready(settings, facts, need):
            return first_missing(settings, facts, need) or need
    return ""


def not_ready(settings: Settings, facts: Facts) -> list[str]:
    """Return the services that are not well and wait for no other."""
    return [
        name
        for name in settings["hotstack_os_services"]
        if not is_ready(settings, facts, name) and not first_missing(settings, facts, name)
    ]


def service_line(settings: Settings, facts: Facts, name: str) -> Line:
    """Judge a service."""
    if "units" in facts.errors:
        return unknown(SERVICE, name, f"systemd can't be asked: {facts.errors['units']}", "systemctl status")
    unit = facts.units.get(service_unit(name), Unit())
    seen = row(settings, facts, name).unit
    if unit.load != "loaded":
        return Line(SERVICE, name, seen, *not_loaded(name, unit))
    file = facts.unit_files.get(name)
    if file and (file.changed or not file.intact):
        edited = ", ".join(file.changed) if file.intact else "its unit"
        # A file's mode is a part of what its service was started from.
        modes = [line for line in mode_lines(settings, facts) if line.cause and line.name in file.changed]
        command, follows = (modes[0].command, modes[0].name) if modes and file.intact else (SITE, "")
        return Line(SERVICE, name, seen, f"not as the playbook left it: {edited}", command, follows)
    if is_step(settings, name):
        return one_shot_line(settings, facts, name, unit)
    if unit.active != "active":
        return stopped_line(settings, facts, name, unit)
    return running_line(settings, facts, name)


def running_line(settings: Settings, facts: Facts, name: str) -> Line:
    """Judge a service whose unit is active."""
    if "containers" in facts.errors:
        return unknown(SERVICE, name, f"podman can't be asked: {facts.errors['containers']}", "podman ps")
    container, file = facts.containers.get(name), facts.unit_files.get(name)
    if container is None:
        return Line(SERVICE, name, "active", "podman has no container of it", f"systemctl restart {PREFIX}{name}")
    if (container.state, container.health) != ("running", "healthy"):
        return unhealthy_line(settings, facts, name, container)
    if file and file.digest != container.digest:
        cause = "it runs from an older definition than its unit's"
        return Line(SERVICE, name, "active", cause, f"systemctl daemon-reload; systemctl restart {PREFIX}{name}")
    return Line(SERVICE, name, "active")


def unhealthy_line(settings: Settings, facts: Facts, name: str, container: Container) -> Line:
    """Judge a service whose unit is active and whose container is not well."""
    if container.state != "running":
        seen, cause = f"active, {container.state}", f"its container is {container.state}"
        return Line(SERVICE, name, seen, cause, next_of(facts, name))
    cause = health_cause(container, facts.why.get(name, Why()))
    need = first_missing(settings, facts, name)
    seen = f"active, {container.health or 'no health'}"
    if need:
        return Line(SERVICE, name, seen, f"{cause}; it needs {need}", next_of(facts, need), follows=need)
    return Line(SERVICE, name, seen, cause, log_of(name))


def log_of(name: str) -> str:
    """Return the command that shows what a service said."""
    return f"journalctl -u {PREFIX}{name} -n 50"


def not_loaded(name: str, unit: Unit) -> tuple[str, str]:
    """Return cause and command of a unit that systemd does not have."""
    if unit.load == "not-found":
        return "it has no unit", SITE
    if unit.load == "masked":
        return "its unit is masked", f"systemctl unmask {PREFIX}{name}"
    return f"systemd can't load its unit ({unit.load})", f"systemctl status {PREFIX}{name}"


def one_shot_line(settings: Settings, facts: Facts, name: str, unit: Unit) -> Line:
    """Judge a step that is done once."""
    if is_done(facts, name):
        return Line(SERVICE, name, "done")
    if unit.active in ("activating", "active") and unit.sub != "auto-restart":
        return waiting(settings, facts, name, unit) or Line(
            SERVICE, name, unit.active, "it is not done yet", f"journalctl -u {PREFIX}{name} -f"
        )
    return stopped_line(settings, facts, name, unit, verb="it is not done")


def waiting(settings: Settings, facts: Facts, name: str, unit: Unit) -> Line | None:
    """Return the line of a service that waits for another, if it does."""
    need = first_missing(settings, facts, name)
    if not need:
        return None
    return Line(SERVICE, name, unit.active, f"it needs {need}, which is not ready", next_of(facts, need), follows=need)


def next_of(facts: Facts, name: str) -> str:
    """Return the command for a service that others wait for."""
    state = facts.units.get(service_unit(name), Unit())
    container = facts.containers.get(name)
    if container is not None and container.state == "paused":
        return f"podman unpause {PREFIX}{name}"
    stopped = state.load == "loaded" and state.active in ("inactive", "failed")
    return f"systemctl start {PREFIX}{name}" if stopped else log_of(name)


def stopped_line(settings: Settings, facts: Facts, name: str, unit: Unit, verb: str = "it was stopped") -> Line:
    """Judge a service that is not active."""
    why = facts.why.get(name, Why())
    if why.image_missing:
        return Line(SERVICE, name, unit.active, "its image is not on this host", SITE)
    # One that fails by itself is started again and again, so whoever finds it at rest knows that it was told to.
    if unit.active in ("inactive", "failed"):
        cause = verb if unit.result == "success" else f"{verb}; {start_cause(unit, why)}"
        if facts.units.get("hotstack-os.target", Unit()).active == "inactive":
            command = "systemctl start hotstack-os.target"
            return Line(SERVICE, name, unit.active, cause, command, follows="hotstack-os.target")
        undone = [need for need in needs_of(settings, name) if is_step(settings, need) and not is_done(facts, need)]
        if not undone:
            return Line(SERVICE, name, unit.active, cause, f"systemctl start {PREFIX}{name}")
    waits = waiting(settings, facts, name, unit)
    return waits or Line(SERVICE, name, unit.active, start_cause(unit, why), log_of(name))


def start_cause(unit: Unit, why: Why) -> str:
    """Return why a service does not come up."""
    if unit.result != "success":
        text = RESULTS.get(unit.result, f"systemd says {unit.result}").format(status=unit.exit_status)
        if unit.active == "activating":
            text += f" and it is started again, after {plural(unit.restarts, 'restart')} so far"
    elif unit.active == "deactivating":
        text = "it is being stopped"
    else:
        text = "it is starting" + (f" for the {unit.restarts + 1}. time" if unit.restarts else "")
    said = why.health or why.said
    return f"{text}; it said: {first_line(said)}" if said else text


def health_cause(container: Container, why: Why) -> str:
    """Return why a container that runs is not healthy."""
    text = {"unhealthy": "its health check fails", "starting": "its health check has not succeeded yet"}.get(
        container.health, "podman has no word on its health"
    )
    return f"{text}: {first_line(why.health)}" if why.health else text


def first_line(text: str) -> str:
    """Return the first line of a text, cut to what a line of a table can hold."""
    line = (text.strip().splitlines() or [""])[0]
    return line if len(line) <= 160 else line[:157] + "..."


def target_lines(facts: Facts) -> Iterator[Line]:
    """Judge the target of all services."""
    unit = facts.units.get("hotstack-os.target", Unit())
    name = "hotstack-os.target"
    if "units" in facts.errors:
        return
    if unit.load != "loaded":
        yield Line(SERVICE, name, unit.load, "there is no such target", SITE)
    elif unit.active == "inactive":
        yield Line(SERVICE, name, unit.active, "all services were stopped", f"systemctl start {name}")
    elif unit.enabled != "enabled":
        cause = "it would not start at the next boot"
        yield Line(SERVICE, name, f"{unit.active}, {unit.enabled or 'not enabled'}", cause, f"systemctl enable {name}")
    else:
        yield Line(SERVICE, name, f"{unit.active}, {unit.enabled}")
