# SPDX-License-Identifier: Apache-2.0
"""Judges what ties a cloud together: names, chassis, mounts, cells, workers.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

from collections.abc import Iterator

from .container_plan import PREFIX
from .status_facts import Agent, Facts, Switch
from .status_libvirt import session_lines
from .status_network import name_lines
from .status_report import SETUP, SITE, TIE, Line, Settings, unknown
from .status_services import first_missing, is_ready, log_of, next_of

# The workers that each API must list, by their names on the map.
WORKERS = {
    "nova": ("nova-conductor", "nova-scheduler", "nova-compute"),
    "neutron": ("ovn-controller", "neutron-ovn-agent"),
    "cinder": ("cinder-scheduler", "cinder-volume"),
}
API = {"nova": "nova-api", "neutron": "neutron-server", "cinder": "cinder-api"}


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
