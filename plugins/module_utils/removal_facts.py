# SPDX-License-Identifier: Apache-2.0
"""What of ours is on a host: read, and nothing changed. Every tool may be missing."""

from __future__ import annotations

import glob
import grp
import html
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Container, Iterable
from contextlib import suppress
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import (
    apparmor,
    cloud_secrets,
    clouds,
    file_capabilities,
    image_builds,
    ovs_bridges,
    removal_processes,
    removal_traces,
    service_units,
)
from ansible_collections.hotstack.os.plugins.module_utils.container_plan import PREFIX
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import (
    Account,
    Bridge,
    Host,
    Record,
    Subject,
    Switch,
    Unit,
)

# Files that are recorded with what is in them; even a long /etc/hosts does not come near.
LARGEST = 32 * 1024 * 1024
# What a shell returns for a command that is not there.
ABSENT = 127
# What firewall-cmd returns while firewalld does not run.
NOT_RUNNING = 252
# Units of the distribution that a deployment starts.
SWITCH_UNITS = ("openvswitch-switch.service", "openvswitch.service")
OVS_QUERY = (
    ["--columns=name,datapath_type,external_ids,ports", "list", "Bridge"],
    ["--columns=_uuid,name,external_ids", "list", "Port"],
    ["--columns=name,external_ids,mtu_request", "list", "Interface"],
    ["--columns=external_ids,other_config", "list", "Open_vSwitch"],
)
ZONES = ("hotstack-os", "hotstack-external")


class FactsError(Exception):
    """A tool is there and does not answer; the text says what to do."""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in English, whatever it returns; a tool that is not there fails too."""
    env = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, ABSENT, "", f"{command[0]} is not installed")


def answer(*command: str, none: Container[int] = ()) -> str:
    """Return what a command prints; nothing if its tool is not there, or if its status stands for that.

    A tool that fails is no answer: what it knows of ours would stay for ever.
    """
    done = run(*command)
    if done.returncode and done.returncode != ABSENT and done.returncode not in none:
        said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise FactsError(
            f"`{' '.join(command)}` failed ({said}), and nothing was changed: run that until it works, then this again."
        )
    return "" if done.returncode else done.stdout


def rows(*command: str) -> list[dict[str, Any]]:
    """Return the list that a command prints as JSON; none if its tool is not there."""
    found: list[dict[str, Any]] = json.loads(answer(*command) or "[]") or []
    return found


def describe(path: str) -> dict[str, Any] | None:
    """Return what the record keeps of a path: None if it is not there."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    known: dict[str, Any] = {"mode": f"{stat.S_IMODE(status.st_mode):04o}", "uid": status.st_uid, "gid": status.st_gid}
    if stat.S_ISLNK(status.st_mode):
        known["link"] = os.readlink(path)
    elif stat.S_ISDIR(status.st_mode):
        known["entries"] = sorted(os.listdir(path))
    elif stat.S_ISREG(status.st_mode):
        if status.st_size <= LARGEST:
            with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
                known["content"] = file.read()
        known.update({"xattrs": found} if (found := attributes(path)) else {})
    return known


def attributes(path: str) -> dict[str, str]:
    """Return the extended attributes of a file, access lists among them, where its file system has such things."""
    try:
        return {name: os.getxattr(path, name).hex() for name in sorted(os.listxattr(path))}
    except OSError:
        return {}


def account_of(name: str) -> Account | None:
    """Return a user; None if there is none."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = sorted(group.gr_name for group in grp.getgrall() if name in group.gr_mem)
    return Account(
        uid=found.pw_uid,
        comment=found.pw_gecos,
        shell=found.pw_shell,
        groups=tuple(groups),
        lingers=os.path.exists(f"{removal_traces.LINGER_FOLDER}/{name}"),
        runs=os.path.exists(f"/run/user/{found.pw_uid}"),
    )


def group_number(name: str) -> int | None:
    """Return the number of a group; None if there is none."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def unit_states(names: Iterable[str]) -> dict[str, Unit]:
    """Return the units that systemd knows of these."""
    names = list(names)
    if not names:
        return {}
    shown = answer("systemctl", "show", f"--property={','.join(service_units.PROPERTIES)}", "--", *names)
    states = service_units.parse_states(shown)
    return {
        name: Unit(state.active not in ("inactive", "failed", ""), state.enabled)
        for name, state in states.items()
        if state.loaded or state.active not in ("inactive", "")
    }


def our_units() -> dict[str, Unit]:
    """Return our units: those on the disk, and those that systemd still has."""
    # Without a pattern, as systemctl fails where no file matches one.
    listed = [
        word
        for kind in (("list-units", "--all"), ("list-unit-files",))
        for line in answer("systemctl", *kind, "--plain", "--no-legend", "--no-pager").splitlines()
        for word in line.split()[:1]
        if word.startswith("hotstack-os")
    ]
    return unit_states(sorted(set(listed)))


def installed_packages() -> tuple[str, ...]:
    """Return the names of all packages."""
    if shutil.which("dpkg-query"):
        lines = answer("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n").splitlines()
        return tuple(sorted({line.split()[1] for line in lines if line.startswith("installed ")}))
    return tuple(sorted(set(answer("rpm", "--query", "--all", "--queryformat", "%{NAME}\\n").split())))


def containers(
    subject: Subject, listed: list[dict[str, Any]]
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, str]]:
    """Return our containers, those of others that use our network or images, and the images that others use."""
    abandoned = image_builds.abandoned_containers(listed)
    ours, others, used = list(abandoned), [], {}
    for line in listed:
        names = line.get("Names") or [line["Id"]]
        if line["Id"] in abandoned:
            continue
        if any(name.startswith(PREFIX) for name in names):
            ours.append(names[0])
        else:
            used[str(line.get("ImageID", ""))] = names[0]
            mine = str(line.get("Image", "")).startswith(image_builds.REPOSITORY)
            if mine or subject.network in (line.get("Networks") or []):
                others.append(names[0])
    return tuple(sorted(ours)), tuple(sorted(others)), used


def images(listed: list[dict[str, Any]], used: Container[str]) -> tuple[str, ...]:
    """Return our images, children before parents, without those that containers of others use."""
    ours = image_builds.superseded_images(listed, set())
    return tuple((line.get("Names") or [line["Id"]])[0] for line in ours if line["Id"] not in used)


def tables(output: str) -> list[list[dict[str, Any]]]:
    """Return the rows of the tables that ovs-vsctl printed one after the other, as dicts."""
    decoder, rest, found = json.JSONDecoder(), output.strip(), []
    while rest:
        table, end = decoder.raw_decode(rest)
        rest = rest[end:].lstrip()
        found.append([dict(zip(table["headings"], row)) for row in table["data"]])
    return found


def members(cell: Any) -> list[Any]:
    """Return the elements of a database cell: a set, or a single one."""
    return list(cell[1]) if isinstance(cell, list) and cell[0] == "set" else [cell]


def switch_of(output: str) -> Switch:
    """Return what the commands of OVS_QUERY printed. Ports of OVN carry its keys, or those of a guest's interface."""
    if not output.strip():
        return Switch()
    bridges, ports, interfaces, roots = tables(output)
    taps = {line["name"]: ovs_bridges.value(line["external_ids"]) for line in interfaces}
    sizes = {line["name"]: ovs_bridges.value(line["mtu_request"]) for line in interfaces}
    of_ovn = {
        line["_uuid"][1]: line["name"]
        for line in ports
        if any(key.startswith("ovn-") for key in ovs_bridges.value(line["external_ids"]))
        or "iface-id" in taps.get(line["name"], {})
    }
    found = {
        line["name"]: Bridge(
            marked=ovs_bridges.MARK in ovs_bridges.value(line["external_ids"]),
            datapath=line["datapath_type"] or "system",
            mtu=sizes.get(line["name"]),
            ports=tuple(sorted(of_ovn[port[1]] for port in members(line["ports"]) if port[1] in of_ovn)),
        )
        for line in bridges
    }
    root = roots[0] if roots else {"external_ids": ["map", []], "other_config": ["map", []]}
    return Switch(found, ovs_bridges.value(root["external_ids"]), ovs_bridges.value(root["other_config"]))


def switch() -> Switch:
    """Return what Open vSwitch has; nothing if it is not there."""
    words = ["ovs-vsctl", "--timeout=30", "--format=json"]
    for command in OVS_QUERY:
        words += ["--", *command]
    done = run(*words)
    if done.returncode not in (0, ABSENT):
        said = done.stderr.strip() or f"exit status {done.returncode}"
        unit = next(iter(unit_states(SWITCH_UNITS)), SWITCH_UNITS[0])
        raise FactsError(
            f"Open vSwitch does not answer ({said}), so nobody can tell what it has of ours, and nothing was changed:"
            f" run `systemctl start {unit}`, then this again."
        )
    return switch_of("" if done.returncode else done.stdout)


def told_switch(subject: Subject, record: Record, found: Iterable[str]) -> bool:
    """Tell whether a deployment may have told Open vSwitch anything: by the record or, without one, by its files."""
    if removal_traces.PATHS in record:
        return removal_traces.BRIDGES in record or removal_traces.EXTERNAL_IDS in record
    return deployed(subject) or any(removal_traces.matches_any(path, removal_traces.SYSTEM_FILES) for path in found)


def mounts_below(text: str, folders: Iterable[str]) -> dict[str, str]:
    """Return the mounts at or below these folders, each with its root in its file system, from mountinfo."""
    found = {}
    for line in text.splitlines():
        fields = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), word) for word in line.split()]
        root, path = fields[3:5]
        if any(path == folder or path.startswith(folder + "/") for folder in folders):
            found[path] = root
    return found


def mounts(folders: Iterable[str]) -> dict[str, str]:
    """Return the mounts at or below these folders."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return mounts_below(file.read(), folders)


def homes() -> list[str]:
    """Return the homes in which a client's files may lie."""
    return sorted({user.pw_dir for user in pwd.getpwall()})


def client_files(home: str) -> tuple[str, ...]:
    """Return the files that a client may have in a home."""
    return tuple(f"{home}/{removal_traces.OPENSTACK_DIRECTORY}/{name}" for name in ("clouds.yaml", "cloud-secret.yaml"))


def is_ours(text: str) -> bool:
    """Tell whether a client's file has something of ours."""
    return clouds.BEGIN in text or cloud_secrets.HEAD in text


def readable(path: str) -> str:
    """Return the text of a file; nothing if it is none, or only a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else ""
    except OSError:
        return ""


def clients(subject: Subject, record: Record) -> list[str]:
    """Return the files of clients beside those in system folders."""
    found = {path for home in homes() for path in client_files(home)} | set(record.get(removal_traces.CLIENT_FILES, {}))
    named = (*removal_traces.SYSTEM_FILES, removal_traces.CLOUDS)
    return sorted(path for path in found if subject.everything and not removal_traces.matches_any(path, named))


def texts(subject: Subject, record: Record) -> dict[str, str]:
    """Return the files shared with others in which lines of ours are."""
    named = {removal_traces.HOSTS: removal_traces.HOSTS_MARKS[0], removal_traces.CLOUDS: clouds.BEGIN}
    named.update(dict.fromkeys(clients(subject, record), clouds.BEGIN))
    found = {path: readable(path) for path in named}
    return {path: text for path, text in found.items() if named[path] in text}


def secrets(subject: Subject, record: Record) -> tuple[str, ...]:
    """Return the files with our credential outside of system folders."""
    return tuple(path for path in clients(subject, record) if cloud_secrets.HEAD in readable(path))


def our_paths(subject: Subject) -> tuple[str, ...]:
    """Return what of ours lies on the disk; links count as themselves."""
    found = {path for pattern in subject.patterns() for path in glob.glob(pattern)}
    # A link that leads nowhere is found by its name only.
    found |= {pattern for pattern in subject.patterns() if os.path.lexists(pattern)}
    for folder in glob.glob("/etc/systemd/system/*.wants"):
        found |= {f"{folder}/{name}" for name in os.listdir(folder) if name.startswith("hotstack-os")}
    places = (subject.home, *subject.data_dirs, subject.build_cache) if subject.everything else subject.data_dirs
    found |= {path for path in places if path and os.path.isdir(path)}
    found -= {path for path, mark in removal_traces.MARKS.items() if path in found and mark not in readable(path)}
    return tuple(sorted(found))


def definitions(subject: Subject) -> tuple[str, ...]:
    """Return what others defined in the libvirt of the user."""
    found = (path for pattern in subject.at_home(removal_traces.DEFINITIONS) for path in glob.glob(pattern))
    return tuple(sorted(path for path in found if not os.path.basename(path).startswith(removal_traces.GUEST)))


def foreign(subject: Subject, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the domains and the containers of others, those of other users too."""
    others = [home for home in homes() if home != subject.home]
    patterns = [*removal_traces.DOMAINS, *(f"{home}/{removal_traces.DEFINITIONS[0]}" for home in others)]
    domains = {os.path.basename(path).removesuffix(".xml") for pattern in patterns for path in glob.glob(pattern)}
    rootless = {
        f"of {home}"
        for home in others
        for path in glob.glob(f"{home}/{removal_traces.ROOTLESS}")
        if readable(path).strip() not in ("", "[]", "null")
    }
    domains |= {os.path.basename(path).removesuffix(".xml") for path in definitions(subject)}
    return {"domain": tuple(sorted(domains)), "container": tuple(sorted({*names, *rootless}))}


def addresses(subject: Subject) -> tuple[str, ...]:
    """Return our addresses on the bridge that has them."""
    if not os.path.exists(f"/sys/class/net/{subject.bridges[-1]}"):
        return ()
    shown = rows("ip", "-json", "-4", "address", "show", "dev", subject.bridges[-1])
    found = [f"{line['local']}/{line['prefixlen']}" for device in shown for line in device.get("addr_info", [])]
    return tuple(address for address in found if address.split("/")[0] in subject.addresses)


def other_networks(listed: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return what else may need the host to forward: containers of others in networks, and libvirt's networks."""
    found = [
        f"container {(line.get('Names') or [line['Id']])[0]}"
        for line in listed
        if line.get("State") == "running"
        and line.get("Networks")
        and not any(name.startswith(PREFIX) for name in line.get("Names") or [])
    ]
    return (*found, *(f"interface {os.path.basename(path)}" for path in glob.glob("/sys/class/net/virbr*")))


def forwarding() -> str:
    """Return whether the host forwards, as the kernel says it; nothing if it does not say."""
    return readable("/proc/sys/" + removal_traces.FORWARDING.replace(".", "/")).strip()


def nft_tables() -> tuple[str, ...]:
    """Return the tables of rules."""
    return tuple(line.removeprefix("table ") for line in answer("nft", "list", "tables").splitlines())


def our_zones(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of firewalld's zones in effect that are ours: a file of somebody else says otherwise."""
    files = {zone: f"/etc/firewalld/zones/{zone}.xml" for zone in ZONES if zone in names}
    return tuple(
        zone for zone, path in files.items() if not os.path.exists(path) or removal_traces.MARKS[path] in readable(path)
    )


def capabilities() -> dict[str, str]:
    """Return the capabilities of the distribution's libvirt daemons."""
    found = {}
    for path in removal_traces.DAEMONS:
        with suppress(file_capabilities.CapabilityError, OSError), file_capabilities.opened(path) as descriptor:
            found[path] = str(file_capabilities.read(descriptor))
    return found


def image_id(reference: str) -> str:
    """Return the id of the image that podman has by this name; nothing if it has none."""
    if not reference or run("podman", "image", "exists", reference).returncode == 1:
        return ""
    return answer("podman", "image", "inspect", "--format={{.Id}}", reference).strip()


def entries(paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return what lies in each of these folders that is there."""
    return {path: tuple(sorted(os.listdir(path))) for path in paths if os.path.isdir(path) and not os.path.islink(path)}


def check_settings(subject: Subject) -> None:
    """Refuse settings under which the data of this host's deployment would be missed."""
    try:
        found = json.loads(readable(removal_traces.SETTINGS_FILE) or "{}")
    except ValueError:
        found = {}
    text = removal_traces.elsewhere(subject, found)
    # After `uninstall` only the guests can tell.
    if text := text or (removal_traces.stray(subject, disks(subject)) if subject.everything and not found else ""):
        raise FactsError(text)


def disks(subject: Subject) -> dict[str, list[str]]:
    """Return the disks that are there of our guests, as the libvirt of the user has them."""
    paths = (path for each in subject.at_home((removal_traces.GUESTS,)) for path in glob.glob(each))
    found = {path: re.findall(r"<source file='([^']+)'", readable(path)) for path in paths}
    return {
        os.path.basename(path).removesuffix(".xml"): [
            name for name in map(html.unescape, names) if os.path.exists(name)
        ]
        for path, names in found.items()
    }


def read(subject: Subject, record: Record) -> Host:
    """Return all of it."""
    listed = rows("podman", "ps", "--all", "--external", "--format", "json")
    ours, others, used = containers(subject, listed)
    host: dict[str, Any] = {
        "node": os.uname().nodename,
        "units": our_units(),
        "containers": ours,
        "others": others,
        "networks": tuple(line["name"] for line in rows("podman", "network", "ls", "--format", "json")),
        "paths": our_paths(subject),
        "profile": apparmor.enabled() and apparmor.PROFILE in apparmor.loaded(),
        "entries": entries(subject.folders()),
        "files": {path: known for path in record.get(removal_traces.PATHS, {}) if (known := describe(path))},
        "texts": texts(subject, record),
        "secrets": secrets(subject, record),
    }
    folders = [folder for path in (*host["texts"], *host["secrets"]) for folder in removal_traces.above(path)]
    host["entries"].update(entries([*folders, *removal_traces.drop_in_folders(host["paths"])]))
    if not subject.everything:
        return Host(**host)
    base, ours_running = image_id(subject.base_image), removal_processes.session()
    asked = subject.packages or told_switch(subject, record, host["paths"])
    account = account_of(subject.user)
    manager = service_units.Manager(pwd.getpwnam(subject.user) if account else None)
    firewall = answer("firewall-cmd", "--get-zones", none={NOT_RUNNING}).split()
    trusted = answer("firewall-cmd", f"--zone={removal_traces.TRUSTED}", "--list-sources").split() if firewall else []
    return Host(
        **host,
        images=images(rows("podman", "images", "--format", "json"), used),
        base_image=bool(base),
        base_user=used.get(base, ""),
        session=ours_running,
        orphans=() if account else removal_processes.session_owners(ours_running),
        account=account,
        definitions=definitions(subject),
        session_enabled=bool(
            account
            and manager.reachable()
            and manager.states([removal_traces.SESSION_UNIT])[removal_traces.SESSION_UNIT].enabled
        ),
        switch=switch() if asked else Switch(),
        addresses=addresses(subject),
        tables=nft_tables(),
        firewall=bool(firewall),
        zones=our_zones(firewall),
        trusted=tuple(trusted),
        forwarding=forwarding() == "1",
        running=other_networks(listed),
        states=unit_states(record.get(removal_traces.UNITS, {})),
        mounts=mounts(subject.data_dirs),
        capabilities=capabilities(),
        archives=tuple(sorted(glob.glob(removal_traces.ARCHIVES))),
        packages=installed_packages() if subject.packages else (),
        foreign=foreign(subject, used.values()) if subject.packages else {},
    )


def deployed(subject: Subject) -> bool:
    """Tell whether there was a deployment already: then nobody knows any more what was there before."""
    target = f"/etc/systemd/system/{removal_traces.TARGET}"
    return os.path.lexists(target) or bool(
        set(removal_traces.DEPLOYMENT_MARKS) & set(entries(subject.data_dirs).get(subject.data_dirs[0], ()))
    )
