# SPDX-License-Identifier: Apache-2.0
"""Judges what was found out of a deployment: facts in, lines out. Each bad line has its cause and the next command.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .container_plan import PREFIX, service_unit
from .status_facts import Agent, Container, Disk, Facts, Session, Switch, Unit, Why

Settings = Mapping[str, Any]

SITE = "ansible-playbook hotstack.os.site"
SETUP = "systemctl restart hotstack-os-infra-setup"
PROVIDER_ZONE, CONTAINER_ZONE = "hotstack-external", "hotstack-os"
OUR_TABLE = "table inet hotstack_os"
CAPABILITY_KEEPER = "hotstack-os-libvirtd-capability"

# The workers that each API must list, by their names on the map.
WORKERS = {
    "nova": ("nova-conductor", "nova-scheduler", "nova-compute"),
    "neutron": ("ovn-controller", "neutron-ovn-agent"),
    "cinder": ("cinder-scheduler", "cinder-volume"),
}
API = {"nova": "nova-api", "neutron": "neutron-server", "cinder": "cinder-api"}

CLOCK_KEEPERS = ("systemd-timesyncd", "chronyd", "ntpd", "ntpsec")

GIB = 2**30
LEAST_FREE = 2 * GIB
LEAST_INODES = 0.01
# How long after a boot a clock may be unsynchronised, and how much earlier than the deployment it may be, in seconds.
SYNCHRONISING = 600.0
SET_BACK = 60.0

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

# What may be the cause of others comes first among the causes.
HOST, NETWORK, LIBVIRT, SERVICE, TIE = "host", "network", "libvirt", "services", "cloud"
ORDER = (HOST, NETWORK, LIBVIRT, SERVICE, TIE)


@dataclass(frozen=True)
class Line:
    """One thing that was looked at. What is bad has a cause, and a command to type next."""

    area: str
    name: str
    seen: str
    cause: str = ""
    command: str = ""
    # What this follows from, by the name of another line; such a line is no cause by itself.
    follows: str = ""

    @property
    def good(self) -> bool:
        """Tell whether all is well here."""
        return not self.cause


@dataclass(frozen=True)
class Row:
    """A service in the table."""

    name: str
    unit: str
    health: str
    since: float | None
    restarts: int
    image: str
    release: str
    memory: int | None
    address: str


@dataclass
class Report:
    """The state of a deployment."""

    rows: list[Row] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Tell whether all is well."""
        return all(line.good for line in self.lines)


def report(settings: Settings, facts: Facts) -> Report:
    """Judge the facts."""
    services: Mapping[str, Any] = settings["hotstack_os_services"]
    return Report(
        rows=[row(settings, facts, name) for name in services],
        lines=[
            *disk_lines(facts),
            *mode_lines(settings, facts),
            *clock_lines(facts),
            *switch_lines(settings, facts),
            *interface_lines(settings, facts),
            *firewall_lines(settings, facts),
            *setup_lines(settings, facts),
            *name_lines(settings, facts),
            *session_lines(settings, facts),
            *target_lines(facts),
            *(service_line(settings, facts, name) for name in services),
            *chassis_lines(settings, facts),
            *mount_lines(settings, facts),
            *cell_lines(settings, facts),
            *agent_lines(settings, facts),
        ],
    )


def unknown(area: str, name: str, reason: str, command: str, follows: str = "") -> Line:
    """Return the line of what can't be found out."""
    return Line(area, name, "not known", reason, command, follows)


def plural(count: int, word: str) -> str:
    """Return a number of things."""
    return f"{count} {word}" + ("" if count == 1 else "s")


# --- services


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


# --- host


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
        # The groups are the services'.
        allowed = 0o750 if config else 0o600
        cause, command = "", ""
        if file.owner != "root":
            cause, command = f"it belongs to {file.owner}, not to root", f"chown root {file.path}"
        elif file.mode & ~allowed:
            who = "others" if file.mode & 0o007 else "its group"
            cause = f"{who} may use it"
            command = f"chmod {'o=' if config else 'u=rw,go='} {file.path}"
        if cause:
            bad = True
            yield Line(HOST, file.path, f"mode {file.mode:04o}", cause, command)
    if not bad:
        yield Line(HOST, name, f"{plural(sum(file.mode is not None for file in facts.modes), 'file')}, none for others")


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


# --- network


def switch_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge Open vSwitch and its bridges."""
    bridges = [settings["hotstack_os_integration_bridge"], settings["hotstack_os_provider_bridge"]]
    for name in ("ovsdb-server", "ovs-vswitchd"):
        unit = facts.units.get(f"{name}.service", Unit())
        if facts.units and unit.active != "active":
            command = f"systemctl restart {name}"
            yield Line(
                NETWORK, name, unit.active, "it does not run" if unit.load == "loaded" else "it has no unit", command
            )
    if facts.switch is None:
        error = facts.errors.get("switch", "nothing was read")
        yield unknown(NETWORK, "Open vSwitch", error, "systemctl status ovsdb-server ovs-vswitchd")
        return
    missing = [name for name in bridges if name not in facts.switch.bridges]
    cause = f"there is no bridge {' and no '.join(missing)}" if missing else ""
    yield Line(
        NETWORK, "Open vSwitch", f"bridges {', '.join(facts.switch.bridges) or 'none'}", cause, SITE if cause else ""
    )


def interface_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge interfaces and their addresses."""
    if "interfaces" in facts.errors:
        yield unknown(NETWORK, "interfaces", facts.errors["interfaces"], "ip address")
        return
    provider = settings["hotstack_os_provider_bridge"]
    prefix = settings["hotstack_os_provider_network"].rpartition("/")[2]
    wanted = {
        settings["hotstack_os_integration_bridge"]: [],
        provider: [f"{settings['hotstack_os_provider_address']}/{prefix}", f"{settings['hotstack_os_dns_address']}/32"],
        settings["hotstack_os_network_name"]: [
            f"{settings['hotstack_os_container_gateway']}/{settings['hotstack_os_container_network'].rpartition('/')[2]}"
        ],
    }
    for name, addresses in wanted.items():
        there = facts.interfaces.get(name)
        ours = name != settings["hotstack_os_network_name"]
        # Podman makes its interface for the first container that starts.
        command = SETUP if ours else f"systemctl restart {PREFIX}haproxy"
        if there is None:
            yield Line(NETWORK, name, "missing", "there is no such interface", SITE if ours else command)
            continue
        lacking = [address for address in addresses if address not in there.addresses]
        cause = f"it lacks the address {' and '.join(lacking)}" if lacking else ""
        if not there.up:
            cause = "it is down"
        elif ours and there.mtu != settings["hotstack_os_mtu"]:
            cause, command = f"its MTU is not {settings['hotstack_os_mtu']}", SITE
        seen = ", ".join(["up" if there.up else "down", f"MTU {there.mtu}", *there.addresses])
        yield Line(NETWORK, name, seen, cause, command if cause else "")


def setup_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge what is set up again at each boot, by the word of what does it."""
    name = "set up at boot"
    others = [*interface_lines(settings, facts), *firewall_lines(settings, facts)]
    if "setup" in facts.errors:
        yield unknown(NETWORK, name, facts.errors["setup"], SITE)
    elif facts.setup:
        follows = next((line.name for line in others if line.command == SETUP), "")
        yield Line(NETWORK, name, "incomplete", f"missing: {'; '.join(facts.setup)}", SETUP, follows)
    else:
        yield Line(NETWORK, name, "complete")


def firewall_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge rules and zones."""
    if "tables" in facts.errors:
        yield unknown(NETWORK, "nftables", facts.errors["tables"], "nft list tables")
    else:
        there = OUR_TABLE in facts.tables
        cause = "" if there else "the rules of who may reach what are gone"
        yield Line(
            NETWORK, "nftables", "table hotstack_os" if there else "no table hotstack_os", cause, "" if there else SETUP
        )
    if "zones" in facts.errors:
        yield unknown(NETWORK, "firewalld", facts.errors["zones"], "firewall-cmd --state")
    elif facts.zones is None:
        yield Line(NETWORK, "firewalld", "does not run")
    else:
        wanted = {
            settings["hotstack_os_provider_bridge"]: PROVIDER_ZONE,
            settings["hotstack_os_network_name"]: CONTAINER_ZONE,
        }
        wrong = [name for name, zone in wanted.items() if facts.zones.get(name) != zone]
        seen = ", ".join(f"{name} in {facts.zones.get(name, 'no zone')}" for name in wanted)
        cause = f"{wrong[0]} belongs into the zone {wanted[wrong[0]]}" if wrong else ""
        yield Line(NETWORK, "firewalld", seen, cause, "firewall-cmd --reload" if wrong else "")


def name_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge names and the entry to the APIs."""
    if "names" in facts.errors:
        yield unknown(NETWORK, "names", facts.errors["names"], "getent hosts")
        return
    address = settings["hotstack_os_provider_address"]
    keystone = settings["hotstack_os_services"]["keystone"]
    name = f"{keystone['public']}.{settings['hotstack_os_domain']}"
    hosts, answer = facts.names.get("hosts", "nothing"), facts.names.get("dns", "nothing")
    cause = "" if hosts == address else f"this host resolves {name} to another address than {address}"
    yield Line(NETWORK, "names on this host", f"{name} is {hosts}", cause, SITE if cause else "")
    if answer == address:
        yield Line(NETWORK, "DNS server", f"{name} is {answer}")
    else:
        cause = f"it should answer {address} for {name}"
        follows = "" if is_ready(settings, facts, "dnsmasq") else "dnsmasq"
        yield Line(NETWORK, "DNS server", answer, cause, next_of(facts, "dnsmasq"), follows=follows)
    port = f"{address}:{settings['hotstack_os_services']['haproxy']['port']}"
    if facts.entries.get("public"):
        yield Line(NETWORK, "entry to the APIs", f"{port} answers")
    elif facts.entries.get("direct"):
        cause = "HAProxy works, but its published ports are not forwarded to it"
        yield Line(
            NETWORK, "entry to the APIs", f"{port} does not answer", cause, f"podman network reload {PREFIX}haproxy"
        )
    else:
        follows = "" if is_ready(settings, facts, "haproxy") else "haproxy"
        cause = "HAProxy does not answer"
        yield Line(
            NETWORK, "entry to the APIs", f"{port} does not answer", cause, next_of(facts, "haproxy"), follows=follows
        )


# --- libvirt


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


# --- ties


def chassis_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge whether OVN and Nova mean the same host, and whether OVN will know it again."""
    switch = facts.switch
    if switch is None:
        return
    host, own = settings["hotstack_os_host_name"], switch.ids.get("system-id", "")
    yield name_line(host, switch, facts)
    if not own:
        yield Line(TIE, "chassis id", "none", "Open vSwitch has no id", "systemctl restart ovs-vswitchd")
    elif switch.next_id != own:
        cause = f"the next start of Open vSwitch brings another id ({switch.next_id or 'a random one'})"
        yield Line(TIE, "chassis id", own, cause, f"echo {own} >/etc/openvswitch/system-id.conf")
    elif "chassis" in facts.errors:
        cause = f"OVN's database can't be asked: {facts.errors['chassis']}"
        yield unknown(TIE, "chassis id", cause, next_of(facts, "ovn-northd"), follow(settings, facts, "ovn-northd"))
    else:
        stale = sorted(key for key, name in facts.chassis.items() if name == host and key != own)
        if own not in facts.chassis:
            cause = "OVN does not know this host"
            yield Line(
                *(TIE, "chassis id", own, cause, next_of(facts, "ovn-controller")),
                follow(settings, facts, "ovn-controller"),
            )
        elif stale:
            cause = f"OVN still has a former chassis of this host, {stale[0]}"
            command = f"podman exec {PREFIX}ovn-northd ovn-sbctl chassis-del {stale[0]}"
            yield Line(TIE, "chassis id", own, cause, command)
        else:
            yield Line(TIE, "chassis id", own)


def follow(settings: Settings, facts: Facts, name: str) -> str:
    """Return the service that something follows from: the one that is not ready, or nothing."""
    return "" if is_ready(settings, facts, name) else (first_missing(settings, facts, name) or name)


def name_line(host: str, switch: Switch, facts: Facts) -> Line:
    """Judge the names of this host."""
    names = {"Open vSwitch": switch.ids.get("hostname", "nothing")}
    own = switch.ids.get("system-id", "")
    if own in facts.chassis:
        names["OVN"] = facts.chassis[own]
    computes = [agent.host for agent in facts.agents.get("nova", []) if agent.binary == "nova-compute"]
    if computes:
        names["Nova"] = host if host in computes else computes[0]
    wrong = [where for where, name in names.items() if name != host]
    if wrong:
        cause = f"{wrong[0]} calls this host {names[wrong[0]]}, not {host}; guests get no network"
        return Line(TIE, "host name", ", ".join(f"{name} in {where}" for where, name in names.items()), cause, SITE)
    return Line(TIE, "host name", f"{host} in {', '.join(names)}")


def mount_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge whether the host sees the volumes that Nova mounts."""
    name, path = "mounts of volumes", settings["hotstack_os_volume_mounts_dir"]
    host, compute = facts.mounts.get("host"), facts.mounts.get("nova-compute")
    if host is None:
        yield unknown(TIE, name, facts.errors.get("containers", "nothing was read"), "podman ps", "podman")
    elif host.group is None:
        cause = f"{path} is on no shared mount, so guests do not see volumes"
        yield Line(TIE, name, f"{host.point} is private", cause, f"{SETUP}; systemctl restart {PREFIX}nova-compute")
    elif compute is not None and compute.group != host.group:
        cause = "nova-compute mounts volumes where the host does not see them"
        yield Line(TIE, name, f"{host.point} is shared", cause, f"systemctl restart {PREFIX}nova-compute")
    else:
        also = "" if compute is None else " with nova-compute"
        yield Line(TIE, name, f"{host.point} is shared{also}")


def cell_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge whether Nova finds this host."""
    name, host, cells = "cell mapping", settings["hotstack_os_host_name"], facts.cells
    if cells is None:
        cause = f"the database can't be asked: {facts.errors.get('cells', 'nothing was read')}"
        yield unknown(TIE, name, cause, next_of(facts, "mariadb"), follow(settings, facts, "mariadb"))
        return
    cell = cells.hosts.get(host)
    seen = f"{host} in {cell or 'no cell'}, cells {', '.join(cells.enabled) or 'none'}"
    discover = f"podman exec {PREFIX}nova-conductor nova-manage cell_v2 discover_hosts"
    if "cell0" not in cells.enabled or len(cells.enabled) < 2:
        yield Line(TIE, name, seen, "Nova's cells are incomplete", log_of("nova-db-sync"))
    elif cell is None:
        yield Line(TIE, name, seen, "no guest can run here, for the host is in no cell", discover)
    elif not cells.enabled.get(cell, False):
        command = f"podman exec {PREFIX}nova-conductor nova-manage cell_v2 list_cells"
        yield Line(TIE, name, seen, f"the cell {cell} is disabled", command)
    else:
        yield Line(TIE, name, seen)


def agent_lines(settings: Settings, facts: Facts) -> Iterator[Line]:
    """Judge the workers by the word of their APIs."""
    host = settings["hotstack_os_host_name"]
    if "agents" in facts.errors:
        yield unreached(settings, facts, "token", "keystone", facts.errors["agents"])
        return
    for kind, binaries in WORKERS.items():
        name = f"workers of {kind}"
        if kind not in facts.agents:
            yield unreached(settings, facts, name, API[kind], facts.errors.get(f"agents of {kind}", "it was not asked"))
            continue
        listed = facts.agents[kind]
        bad = False
        for binary in binaries:
            mine = [agent for agent in listed if agent.binary == binary and agent.host == host]
            if not any(agent.up and agent.enabled for agent in mine):
                bad = True
                yield absent_agent(settings, facts, kind, binary, mine)
        for agent in listed:
            twin = any(other.binary == agent.binary and other.host == host and other.up for other in listed)
            if agent.host != host or (not agent.up and twin):
                bad = True
                yield stale_agent(kind, agent)
        if not bad:
            yield Line(TIE, name, f"{', '.join(sorted({agent.binary for agent in listed}))} up on {host}")


def unreached(settings: Settings, facts: Facts, name: str, api: str, error: str) -> Line:
    """Return the line of an API that gave no answer."""
    blamed = next((need for need in ("haproxy", "keystone", api) if follow(settings, facts, need)), "")
    if blamed:
        need = follow(settings, facts, blamed)
        return unknown(TIE, name, error, next_of(facts, need), need)
    entry = next((line for line in name_lines(settings, facts) if line.cause and not line.follows), None)
    if entry:
        return unknown(TIE, name, error, entry.command, entry.name)
    return unknown(TIE, name, error, log_of(api))


def absent_agent(settings: Settings, facts: Facts, kind: str, binary: str, mine: list[Agent]) -> Line:
    """Return the line of a worker that does not work."""
    if mine and any(agent.up for agent in mine):
        command = {
            "nova": f"openstack compute service set --enable {mine[0].host} {binary}",
            "neutron": f"openstack network agent set --enable {mine[0].id}",
            "cinder": f"openstack volume service set --enable {mine[0].host} {binary}",
        }[kind]
        reason = next((agent.reason for agent in mine if agent.reason), "")
        session = next((line for line in session_lines(settings, facts) if line.cause), None)
        # Nova does so itself while libvirt is away, and takes it back.
        if session and reason.startswith("AUTO"):
            return Line(TIE, binary, "disabled", f"{kind} does not use it: {reason}", session.command, session.name)
        cause = f"{kind} was told not to use it" + (f": {reason}" if reason else "")
        return Line(TIE, binary, "disabled", cause, as_admin(command))
    seen, cause = ("down", "it has not reported of late") if mine else ("missing", f"{kind} has never heard of it")
    need = follow(settings, facts, binary)
    return Line(TIE, binary, seen, cause, next_of(facts, need or binary), follows=need)


def stale_agent(kind: str, agent: Agent) -> Line:
    """Return the line of a worker that should not be listed any more."""
    command = {
        "nova": f"openstack compute service delete {agent.id}",
        "neutron": f"openstack network agent delete {agent.id}",
        "cinder": f"podman exec {PREFIX}cinder-api cinder-manage service remove {agent.binary} {agent.id}",
    }[kind]
    seen = f"on {agent.host}, {'up' if agent.up else 'down'}"
    return Line(TIE, agent.binary, seen, f"{kind} still lists this one of a former host or start", as_admin(command))


def as_admin(command: str) -> str:
    """Return a command of OpenStack's client for the administrator."""
    return command.replace("openstack ", "openstack --os-cloud hotstack-os-admin ", 1)


# --- what is behind it


def causes(report_: Report, services: Mapping[str, Any]) -> list[tuple[Line, list[str]]]:
    """Return the bad lines that follow from no other, the most probable cause first, each with what follows from it."""
    bad = [line for line in report_.lines if not line.good]
    own = {line.name for line in bad if not line.follows}
    found = []
    for line in bad:
        if not line.follows or line.follows not in own:
            behind = [other.name for other in bad if other.follows == line.name]
            found.append((line, sorted(set(behind))))
    return sorted(found, key=lambda item: (ORDER.index(item[0].area), -len(item[1]), depth(services, item[0].name)))


def depth(services: Mapping[str, Any], name: str) -> int:
    """Return how many levels of needs are below a service."""
    return 1 + max((depth(services, need) for need in services.get(name, {}).get("needs", [])), default=-1)
