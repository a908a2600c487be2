# SPDX-License-Identifier: Apache-2.0
"""Judges the host: room on disks, who may read secrets, AppArmor, the clock.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import apparmor
from .container_plan import service_unit
from .status_facts import AppArmor, Disk, Facts, Unit
from .status_report import HOST, SITE, Line, Settings, plural, unknown

CLOCK_KEEPERS = ("systemd-timesyncd", "chronyd", "ntpd", "ntpsec")

GIB = 2**30
LEAST_FREE = 2 * GIB
LEAST_INODES = 0.01
# How long after a boot a clock may be unsynchronised, and how much earlier than the deployment it may be, in seconds.
SYNCHRONISING = 600.0
SET_BACK = 60.0


def disk_lines(facts: Facts) -> Iterator[Line]:
    """Judge the room on each file system, once for the paths that share one."""
    if "disks" in facts.errors:
        yield unknown(HOST, "disk", facts.errors["disks"], "df --human-readable")
    for device in dict.fromkeys(disk.device for disk in facts.disks):
        disk, *others = (disk for disk in facts.disks if disk.device == device)
        seen = f"{disk.free / GIB:.1f} of {disk.total / GIB:.1f} GiB free"
        if others:
            seen += f", also for {', '.join(other.path for other in others)}"
        yield Line(HOST, f"disk {disk.path}", seen, *disk_problem(disk))


def disk_problem(disk: Disk) -> tuple[str, str]:
    """Return cause and command of a file system that is nearly full, empty ones for another."""
    if disk.free < min(LEAST_FREE, disk.total * 0.05):
        return "it is nearly full", f"du --one-file-system --max-depth=2 --human-readable {disk.path} | sort -h | tail"
    if disk.inodes and disk.free_inodes < disk.inodes * LEAST_INODES:
        return (
            "it can hold hardly any more files",
            f"du --one-file-system --max-depth=2 --inodes {disk.path} | sort -n | tail",
        )
    return "", ""


def mode_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge who may read what holds secrets."""
    name, folder = "files with secrets", settings["hotstack_os_config_dir"]
    needed = (settings["hotstack_os_credentials_file"], settings["clouds_file"], folder)
    if "modes" in facts.errors:
        yield unknown(HOST, name, facts.errors["modes"], SITE)
        return
    bad = False
    for file in facts.modes:
        config = file.path.startswith(folder)
        if file.mode is None:
            # There is a record only if there was something to record.
            if file.path in needed:
                bad = True
                yield Line(HOST, file.path, "missing", "the file is not there", SITE)
            continue
        cause, command = "", ""
        if file.owner != file.wanted:
            cause, command = f"it belongs to {file.owner}, not to {file.wanted}", f"chown {file.wanted} {file.path}"
        # The groups of configuration are the services', which read it.
        elif file.mode & (0o027 if config else 0o077):
            who = "others" if file.mode & 0o007 else "its group"
            cause = f"{who} may {'write' if config and not file.mode & 0o007 else 'use'} it"
            command = f"chmod {'g-w,o=' if config else 'go='} {file.path}"
        if cause:
            bad = True
            yield Line(HOST, file.path, f"mode {file.mode:04o}", cause, command)
    if not bad:
        yield Line(HOST, name, f"{plural(sum(file.mode is not None for file in facts.modes), 'file')}, none for others")


def apparmor_lines(facts: Facts) -> Iterator[Line]:
    """Judge AppArmor and the profile of the containers; nothing where neither host nor units have it."""
    state = facts.apparmor
    if state is None:
        yield unknown(HOST, "AppArmor", facts.errors.get("apparmor", "nothing was read"), "aa-status")
    elif state.enabled or any(file.profile for file in facts.unit_files.values()):
        seen = f"profile {apparmor.PROFILE}: {state.mode or 'not loaded'}" if state.enabled else "disabled"
        yield Line(HOST, "AppArmor", seen, *apparmor_problem(state, facts))


def apparmor_problem(state: AppArmor, facts: Facts) -> tuple[str, str]:
    """Return cause and command of what keeps containers from being confined, empty ones if nothing does."""
    profiles = {name: file.profile for name, file in facts.unit_files.items()}
    link = next(iter(state.overrides), "")
    boot = facts.units.get("apparmor.service", Unit()).enabled
    running = [name for name, container in facts.containers.items() if container.pid]
    free = [service_unit(name) for name in running if profiles.get(name) and name not in facts.confined]
    load, restart = f"{apparmor.PARSER} --replace {apparmor.FILE}", f"systemctl restart {' '.join(free)}"
    # The first that holds.
    cases = (
        (not state.enabled, "units name its profile, so podman refuses to start their containers", SITE),
        (
            False in profiles.values(),
            "units lack its profile, so a container's processes can't signal each other",
            SITE,
        ),
        (link, f"{link} keeps the profile from being enforced after a boot", SITE),
        (not state.file, f"{apparmor.FILE} is missing", SITE),
        (not state.mode, "podman starts no container without the profile", load),
        (state.mode != apparmor.ENFORCE, "the profile is not enforced", SITE),
        (
            *(boot in ("disabled", "masked"), "apparmor.service does not load the profile at boot"),
            "systemctl enable apparmor.service" if boot == "disabled" else "systemctl unmask apparmor.service",
        ),
        (free, "processes run without the profile", restart),
    )
    return next(((cause, command) for holds, cause, command in cases if holds), ("", ""))


def clock_lines(facts: Facts) -> Iterator[Line]:
    """Judge the clock, as far as one can tell."""
    clock = facts.clock
    running = (name for name in CLOCK_KEEPERS if facts.units.get(f"{name}.service", Unit()).active == "active")
    keeper = next(running, "")
    if clock is None:
        yield unknown(HOST, "clock", facts.errors.get("clock", "nothing was read"), "timedatectl")
    elif clock.now < clock.written - SET_BACK:
        yield Line(HOST, "clock", "set back", "it is earlier than the last run of the playbook", "timedatectl")
    elif clock.synchronised:
        yield Line(HOST, "clock", "synchronised")
    elif keeper and clock.uptime > SYNCHRONISING:
        command = "chronyc sources" if keeper == "chronyd" else "timedatectl timesync-status"
        yield Line(HOST, "clock", "not synchronised", f"{keeper} runs, but reaches no time server", command)
    elif keeper:
        yield Line(HOST, "clock", f"{keeper} synchronises it since the boot")
    else:
        yield Line(HOST, "clock", "no service synchronises it")
