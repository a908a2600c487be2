# SPDX-License-Identifier: Apache-2.0
"""What to remove from a host and what to put back: a decision about what was found and recorded, without a host."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import apparmor, ovs_bridges, ovs_external_ids
from ansible_collections.hotstack.os.plugins.module_utils.removal_texts import shared_text
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import (
    BRIDGES,
    CAPABILITIES,
    CAPABILITY,
    COMMENT,
    DATA_MARKS,
    DATA_NAMES,
    EXTERNAL_IDS,
    FAMILIES,
    FOLDER_NAMES,
    FORWARDING,
    GROUPS,
    GUEST,
    HOME_FOLDERS,
    HOME_TREES,
    HOST_FOLDERS,
    IMAGES,
    LINGER_FOLDER,
    OTHER_CONFIG,
    OVN_OTHER_CONFIG,
    OWN_OTHER_CONFIG,
    PACKAGES,
    PATHS,
    PODMAN_TABLE,
    SESSION_UNIT,
    SETTINGS,
    SETTINGS_FILE,
    SYSTEM_FOLDERS,
    TABLE,
    TABLES,
    UNITS,
    USERS,
    Host,
    Record,
    Subject,
    above,
    below,
    cleaning,
    drop_in_folders,
    matches_any,
)


@dataclass(frozen=True)
class Removal:
    """One thing to remove or put back."""

    kind: str
    name: str
    detail: str = ""
    data: Any = None

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{KINDS[self.kind]} {self.name}" + (f": {self.detail}" if self.detail else "")


# Every kind, with what a person calls it; `removal_work` has a function for each.
KINDS = {
    "unit": "unit",
    "container": "container",
    "session": "session",
    "guest": "guest",
    "lingering": "lingering of",
    "manager": "service manager of",
    "lines": "our lines in",
    "file": "file",
    "tree": "folder",
    "folder": "empty folder",
    "former": "file",
    "port": "port",
    "bridge": "bridge",
    "former bridge": "bridge",
    "switch key": "Open vSwitch's",
    "address": "address",
    "network": "podman network",
    "image": "image",
    "table": "nftables table",
    "profile": "AppArmor profile",
    "zones": "firewalld's zones",
    "trusted": "firewalld's trusted source",
    "forwarding": "kernel setting",
    "state": "unit",
    "capability": "capability of",
    "mount": "mount",
    "package": "package",
    "user": "user",
    "account": "user",
    "data": "data in",
    "reload": "reload",
}


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are done, and what stays although it looks like ours, with the reason."""

    removals: tuple[Removal, ...] = ()
    kept: tuple[str, ...] = ()


def plan(subject: Subject, host: Host, record: Record) -> Plan:
    """Decide what to remove, in which order, and what to keep."""
    removals = [*services(subject, host), *shared(host, record)]
    kept: list[str] = []
    if subject.everything:
        removals += session(subject, host, record)
        removals += switch(subject, host, record)
    if subject.network in host.networks and not host.others:
        removals.append(Removal("network", subject.network))
    if host.profile:
        removals.append(Removal("profile", apparmor.PROFILE))
    files = list(system_files(subject, host, record))
    removals += files
    if subject.everything:
        removals += network(subject, host, record, files)
        removals += account(subject, host, record)
        removals += capabilities(host, record)
        removals += images(subject, host, record) if subject.images else []
        found = data_of(subject, host, record)
        removals += found.removals
        kept += found.kept
    doomed = {removal.name for removal in removals if removal.kind in ("file", "tree", "data")}
    removals += empty_folders(subject, host, record, doomed)
    if subject.everything and kept_home(subject, host, record):
        gone = {removal.name for removal in removals}
        home = record.get(PATHS, {}).get(subject.home)
        names = {name for name in host.entries.get(subject.home, ()) if f"{subject.home}/{name}" in gone}
        kept += strangers(subject.home, host, home, names) if home else []
    removals += reloads(removals)
    if subject.everything:
        removals += states(subject, host, record)
        removals += packages(subject, host, record) if subject.packages else []
        kept += unknown(subject, host, record)
    else:
        there = tops(host.paths, subject.data_dirs)
        kept += [f"data in {path}" for path in there]
        kept += [f"it goes with `{cleaning(subject, host.node)}`"] if there else []
    kept += [f"container {name}, which is not ours, with what it uses of ours" for name in host.others]
    return Plan(tuple(in_order(removals)), tuple(kept))


def tops(paths: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Return which of these folders are there, without those in another one."""
    there = [folder for folder in folders if folder in paths]
    return [folder for folder in there if not below(folder, there)]


def in_order(removals: Iterable[Removal]) -> list[Removal]:
    """Return them with the settings and the data last: a run that is cut short needs them and the record again."""
    last = os.path.dirname(SETTINGS_FILE)
    return sorted(removals, key=lambda removal: 2 if removal.kind == "data" else int(removal.name == last))


def services(subject: Subject, host: Host) -> Iterator[Removal]:
    """Yield what runs: units that can start others first."""
    for name in sorted(host.units, key=lambda name: (not name.endswith((".path", ".target")), name)):
        unit = host.units[name]
        if unit.active or unit.enabled:
            what = [text for text, holds in (("running", unit.active), ("enabled", unit.enabled)) if holds]
            yield Removal("unit", name, " and ".join(what), data="at once" if subject.everything else "")
    for name in host.containers:
        yield Removal("container", name)


def shared(host: Host, record: Record) -> Iterator[Removal]:
    """Yield the files that have lines of ours, with what they become."""
    for path in sorted(host.texts):
        former = record.get(PATHS, {}).get(path)
        text = shared_text(path, host.texts[path], former)
        if text is None:
            yield Removal("file", path)
        elif text != host.texts[path]:
            yield Removal("lines", path, data={"text": text, "former": former})


def session(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield our guests and the libvirt that they run in; of a user that was there before, only what is ours."""
    ours = not kept_user(subject, host, record)
    guests = {name: pid for pid, name in host.session.items() if name and (ours or name.startswith(GUEST))}
    if host.session or host.session_enabled:
        yield Removal("session", SESSION_UNIT, data=subject.user)
    for name in sorted(guests):
        yield Removal("guest", name, data=guests[name])


def kept_user(subject: Subject, host: Host, record: Record) -> bool:
    """Tell whether the user is somebody else's: it was there before or, without a record, is not as we make it."""
    if subject.user in record.get(USERS, {}):
        return record[USERS][subject.user] is not None
    return host.account is not None and host.account.comment != COMMENT


def kept_home(subject: Subject, host: Host, record: Record) -> bool:
    """Tell whether the home stays: its user does, or it was there before its user."""
    return kept_user(subject, host, record) or record.get(PATHS, {}).get(subject.home) is not None


def switch(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield our bridges, and the keys of Open vSwitch that become what they were."""
    former = record.get(BRIDGES, {})
    for name in subject.bridges:
        if name not in host.switch.bridges:
            continue
        found = host.switch.bridges[name]
        # ovn-controller makes one again that was removed under it, without our mark.
        if found.marked or (name in former and former[name] is None):
            yield Removal("bridge", name)
            continue
        for port in found.ports:
            yield Removal("port", port, f"of bridge {name}", data=name)
        if name == subject.bridges[-1]:
            for address in host.addresses:
                yield Removal("address", address, f"of bridge {name}", data=name)
        before = former.get(name)
        if before and (found.datapath, found.mtu) != (before["datapath"], before["mtu"]):
            yield Removal("former bridge", name, "datapath and MTU as they were", data=before)
    for column, wanted, current in (
        ("external_ids", former_ids(subject, host, record), host.switch.external_ids),
        ("other_config", former_config(subject, host, record), host.switch.other_config),
    ):
        for key, text in sorted(ovs_external_ids.differing(current, wanted).items()):
            back = "removed" if text is None else f"{text} again"
            yield Removal("switch key", f"{column}:{key}", back, data=(column, key, text))


def former_ids(subject: Subject, host: Host, record: Record) -> dict[str, str | None]:
    """Return the keys of external_ids as they were. Without a record those go that only OVN has, if it is our OVN."""
    known = record.get(EXTERNAL_IDS)
    if known is not None:
        return {ovs_bridges.OVN_DATAPATH: None, **known}
    ours = host.switch.external_ids.get("ovn-bridge") == subject.bridges[0]
    return {key: None for key in host.switch.external_ids if key.startswith("ovn-") and ours}


def former_config(subject: Subject, host: Host, record: Record) -> dict[str, str | None]:
    """Return the keys of other_config as they were."""
    known = record.get(OTHER_CONFIG)
    bridges = [host.switch.bridges[name] for name in subject.bridges if name in host.switch.bridges]
    if known is None and not any(bridge.marked for bridge in bridges):
        return {}
    names = [key for key in host.switch.other_config if key.startswith(OVN_OTHER_CONFIG)]
    return {**dict.fromkeys((*OWN_OTHER_CONFIG, *names)), **(known or {})}


def system_files(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield our files; one that was there before becomes what it was."""
    known = record.get(PATHS, {})
    ours = not kept_user(subject, host, record)
    patterns = subject.patterns()
    shared = host.definitions or any(name and not name.startswith(GUEST) for name in host.session.values())
    trees = {path for path in subject.at_home(HOME_TREES) if shared or known.get(path, "") is not None}
    named = [path for path in host.paths if matches_any(path, patterns) and path not in trees]
    for path in (*named, *host.secrets):
        # What goes with its folder, or with the user.
        if any(path.startswith(f"{folder}/") for folder in named):
            continue
        if path.startswith(LINGER_FOLDER) and (host.account or not ours):
            continue
        if path.startswith(f"{subject.home}/") and not kept_home(subject, host, record):
            continue
        former = known.get(path)
        if former is None:
            yield Removal("file", path)
        elif ("content" in former or "link" in former) and host.files.get(path) != former:
            yield Removal("former", path, "as it was", data=former)
        elif "entries" in former:
            new = set(host.files.get(path, {}).get("entries", ())) - set(former["entries"])
            yield from (Removal("file", f"{path}/{name}") for name in sorted(new))


def network(subject: Subject, host: Host, record: Record, files: Iterable[Removal]) -> Iterator[Removal]:
    """Yield what the kernel and the firewall have of ours."""
    if TABLE in host.tables:
        yield Removal("table", TABLE)
    # Of podman's table nobody knows who needs it as long as there are networks of others.
    if PODMAN_TABLE in host.tables and PODMAN_TABLE in record.get(TABLES, {}) and not host.running:
        yield Removal("table", PODMAN_TABLE)
    if host.firewall and (host.zones or any(removal.name.startswith("/etc/firewalld/") for removal in files)):
        yield Removal("zones", ", ".join(host.zones) or "on disk", data=subject.subnet)
    elif subject.subnet in host.trusted:
        yield Removal("trusted", subject.subnet)
    if host.forwarding and record.get(SETTINGS, {}).get(FORWARDING) == "0" and not host.running:
        yield Removal("forwarding", FORWARDING, "0 again")


def account(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield the user with all that it has, or what we made of a user that was there before."""
    user = subject.user
    found = host.account
    if not kept_user(subject, host, record):
        if found and found.lingers:
            yield Removal("lingering", user)
        if found and found.runs:
            yield Removal("manager", user, data=found.uid)
        yield from (Removal("manager", user, f"number {uid}", data=uid) for uid in host.orphans)
        if found:
            keep = record.get(GROUPS, {}).get(user) is not None
            yield Removal("user", user, "but not the group, which was there before" if keep else "", data=keep)
        known = (
            found
            or subject.user in record.get(USERS, {})
            or f"{subject.home}/.config/systemd/user/{SESSION_UNIT}" in host.paths
        )
        if subject.home in host.paths and known and record.get(PATHS, {}).get(subject.home) is None:
            yield Removal("tree", subject.home)
        return
    former = record.get(USERS, {}).get(user)
    if found is None or former is None:
        return
    if found.lingers and not former.get("lingers"):
        yield Removal("lingering", user)
    home = record.get(PATHS, {}).get(subject.home)
    if home and subject.home in host.files and access(host.files[subject.home]) != access(home):
        yield Removal("data", subject.home, "as it was", data=data(subject, home, []))
    wanted = (former.get("comment", ""), former.get("shell", ""), tuple(former.get("groups", ())))
    if (found.comment, found.shell, found.groups) != wanted:
        yield Removal("account", user, "comment, shell and groups as they were", data=former)


def images(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield our images, and the one that they were made from if it was not there before."""
    for name in host.images:
        yield Removal("image", name)
    if host.base_image and not host.base_user and subject.base_image in record.get(IMAGES, {}):
        yield Removal("image", subject.base_image)


def is_ours(subject: Subject, path: str, root: str) -> bool:
    """Tell whether a mount is one of Nova's volumes, or the folder of these mounted onto itself to be shared."""
    return path.startswith(subject.mounts_dir + "/") or (
        path == subject.mounts_dir and root != "/" and path.endswith(root)
    )


def data(subject: Subject, former: Mapping[str, Any] | None, names: list[str] | None) -> dict[str, Any]:
    """Return what the removal of data needs: names of what goes, or none if all of it does."""
    return {"former": former, "names": names, "record": subject.record_file}


def data_of(subject: Subject, host: Host, record: Record) -> Plan:
    """Return the data to remove, and before it mounts of ours; mounts of others stay with what is in them."""
    known = record.get(PATHS, {})
    top = subject.data_dirs[0]
    inner = {path: root for path, root in host.mounts.items() if path != top}
    ours = [path for path, root in inner.items() if is_ours(subject, path, root)]
    others = sorted(set(inner) - set(ours))
    removals = [Removal("mount", path) for path in sorted(ours, reverse=True)]
    kept = [f"{path}, a mount that somebody else made, with what is in it" for path in others]
    before = set((known.get(top) or {}).get("entries", ()))
    # The first comes last: the record is in there.
    for path in (*subject.data_dirs[1:], top):
        former, entries = known.get(path), set(host.entries.get(path, ()))
        # What was made in there goes with it.
        inside = path.startswith(top + "/") and former is None and path[len(top) + 1 :].split("/")[0] not in before
        if path not in host.paths or path in others or inside:
            continue
        mounted = {mount[len(path) + 1 :].split("/")[0] for mount in others if mount.startswith(path + "/")}
        if path in known and former is None:
            if not mounted or entries - mounted:
                removals.append(Removal("data", path, data=data(subject, None, None)))
            continue
        if former is None and not (path == top and set(DATA_MARKS) & entries):
            if path != top and entries:
                kept.append(f"{path}, as there is no record of what was in it before")
            continue
        names = own_names(subject, path, host, former)
        if former is None or set(names) - mounted or access(host.files.get(path, {})) != access(former):
            detail = "as it was" if former else ""
            removals.append(Removal("data", path, detail, data=data(subject, former, names)))
        kept += strangers(path, host, former, {*names, *mounted})
    return Plan(tuple(removals), tuple(kept))


def own_names(subject: Subject, path: str, host: Host, former: Mapping[str, Any] | None) -> list[str]:
    """Return what in a folder of data has a name of ours, and was not there before."""
    patterns: tuple[str, ...] = FOLDER_NAMES
    if path == subject.data_dirs[0]:
        below = (folder[len(path) + 1 :] for folder in subject.data_dirs if folder.startswith(path + "/"))
        patterns = (*FOLDER_NAMES, *DATA_NAMES, *(name.split("/")[0] for name in below))
    before = set((former or {}).get("entries", ()))
    return [name for name in host.entries.get(path, ()) if name not in before and matches_any(name, patterns)]


def strangers(path: str, host: Host, former: Mapping[str, Any] | None, known: set[str]) -> list[str]:
    """Return what others put into a folder since the first run, as a person reads it."""
    left = set(host.entries.get(path, ())) - set((former or {}).get("entries", ())) - known
    return [f"{path}/{name}, which a deployment did not make" for name in sorted(left)]


def access(known: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the record says of the owner and the mode of a path."""
    return (known.get("mode"), known.get("uid"), known.get("gid"))


def empty_folders(subject: Subject, host: Host, record: Record, doomed: set[str]) -> Iterator[Removal]:
    """Yield the folders that were made for what is going, and have nothing else in them."""
    gone = set(doomed)
    folders: tuple[str, ...] = (
        SYSTEM_FOLDERS if not subject.everything else (*SYSTEM_FOLDERS, LINGER_FOLDER, *HOST_FOLDERS)
    )
    known = record.get(PATHS, {})
    if subject.everything and kept_home(subject, host, record):
        folders = (*folders, *subject.at_home(HOME_FOLDERS), subject.home)
    drop_ins = drop_in_folders(doomed)
    more = {folder for path in (*host.secrets, *host.texts) for folder in above(path)} - set(folders) | drop_ins
    for folder in (*folders, *sorted(more, reverse=True)):
        left = {f"{folder}/{name}" for name in host.entries.get(folder, ())} - gone
        if folder == LINGER_FOLDER:
            left.discard(f"{folder}/{subject.user}")
        if folder == "/etc/containers/networks":
            left.discard(f"{folder}/{subject.network}.json")
        named = folder.endswith(("/hotstack-os", "/openstack")) or folder in drop_ins
        ours = known.get(folder, "") is None or (named and folder not in known)
        if folder in host.entries and folder not in gone and not left and ours:
            gone.add(folder)
            yield Removal("folder", folder)


def reloads(removals: Iterable[Removal]) -> Iterator[Removal]:
    """Yield who must be told."""
    names = [removal.name for removal in removals if removal.kind in ("file", "former")]
    if any(name.startswith(("/etc/systemd/system/", "/etc/containers/systemd/")) for name in names):
        yield Removal("reload", "systemd")
    for folder, service in (("/etc/NetworkManager/", "NetworkManager"), ("/etc/systemd/network/", "systemd-networkd")):
        if any(name.startswith(folder) for name in names):
            yield Removal("reload", service)


def states(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield units of the distribution that did not run at the first run, where nobody else needs them now."""
    foreign = foreign_bridges(subject, host, record)
    for name, former in sorted(record.get(UNITS, {}).items()):
        now = host.states.get(name)
        if now is None or former is None or foreign:
            continue
        if (now.active and not former["active"]) or (now.enabled and not former["enabled"]):
            yield Removal("state", name, "as it was", data=former)


def capabilities(host: Host, record: Record) -> Iterator[Removal]:
    """Yield the programs of the distribution that got a capability which they did not have."""
    for path, text in sorted(host.capabilities.items()):
        if CAPABILITY in text and CAPABILITY not in record.get(CAPABILITIES, {}).get(path, CAPABILITY):
            yield Removal("capability", path, CAPABILITY)


def needed(subject: Subject, host: Host, record: Record) -> dict[str, str]:
    """Return the packages that the first run installed and that others need by now, each with what needs it."""
    foreign = {**host.foreign, "bridge": foreign_bridges(subject, host, record)}
    return {
        name: f"{kind} {foreign[kind][0]}"
        for name in set(record.get(PACKAGES, {})) & set(host.packages)
        for kind, patterns in FAMILIES.items()
        if foreign.get(kind) and matches_any(name, patterns)
    }


def foreign_bridges(subject: Subject, host: Host, record: Record) -> tuple[str, ...]:
    """Return the bridges of others, as they are and as they were."""
    former = record.get(BRIDGES, {})
    return tuple(
        name
        for name, bridge in sorted(host.switch.bridges.items())
        if name not in subject.bridges or not (bridge.marked or former.get(name, "") is None)
    )


def packages(subject: Subject, host: Host, record: Record) -> Iterator[Removal]:
    """Yield the packages that the first run installed and that nobody else needs now."""
    stay = needed(subject, host, record)
    for name in sorted(set(record.get(PACKAGES, {})) & set(host.packages) - set(stay)):
        yield Removal("package", name)


def unknown(subject: Subject, host: Host, record: Record) -> Iterator[str]:
    """Yield what nobody can tell any more."""
    if kept_user(subject, host, record) and subject.user not in record.get(USERS, {}):
        yield f"user {subject.user}, who is not as a deployment makes it, as there is no record of who made it"
    if subject.build_cache in host.paths and not subject.build_cache.startswith(subject.data_dirs[0] + "/"):
        yield f"{subject.build_cache}, which was put where downloads of builds outlive a deployment"
    made = host.account and PATHS not in record and not kept_user(subject, host, record)
    if made and not set(DATA_MARKS) & set(host.entries.get(subject.data_dirs[0], ())):
        yield f"data of the deployment that made the user {subject.user}, if it is not in {subject.data_dirs[0]}"
    yield from (f"{path}, which `hotstack-os diagnose` collected" for path in host.archives)
    if subject.images and host.base_user and subject.base_image in record.get(IMAGES, {}):
        yield f"image {subject.base_image}, which container {host.base_user} uses"
    stay = needed(subject, host, record) if subject.packages else {}
    for reason in sorted(set(stay.values())):
        names = sorted(name for name in stay if stay[name] == reason)
        yield f"packages {', '.join(names)}, as {reason} of somebody else needs them"
    if subject.packages and PATHS not in record:
        yield "packages, as there is no record of those that a deployment installed"
    for path, former in sorted(record.get(PATHS, {}).items()):
        if former and not {"content", "link", "entries"} & set(former) and host.files.get(path, former) != former:
            yield f"{path} as it is now, as it was too large to be recorded"
    for path, text in sorted(host.capabilities.items()):
        if CAPABILITY in text and path not in record.get(CAPABILITIES, {}):
            yield f"{text} of {path}, as there is no record of who gave it that"
