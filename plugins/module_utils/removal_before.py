# SPDX-License-Identifier: Apache-2.0
"""What a host had before a deployment, as the record keeps it: read, and nothing changed."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import ovs_bridges, removal_facts, removal_traces
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import Record, Subject, Switch


def without_builds(known: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what the record keeps of the data directory without what a build of images made of it."""
    if known is None or known.get("entries") == ["runtime"]:
        return None
    return {**known, "entries": [name for name in known.get("entries", ()) if name != "runtime"]}


def before(subject: Subject) -> dict[str, dict[str, Any]]:
    """Return what the record keeps of a host on which nothing is deployed yet, but for what needs Open vSwitch."""
    found = removal_facts.account_of(subject.user)
    units = {
        name: {"active": unit.active, "enabled": unit.enabled}
        for name, unit in removal_facts.unit_states(removal_facts.SWITCH_UNITS).items()
    }
    user = (
        {"comment": found.comment, "shell": found.shell, "groups": found.groups, "lingers": found.lingers}
        if found
        else None
    )
    podman, top = removal_traces.PODMAN_TABLE, subject.data_dirs[0]
    paths = {path: removal_facts.describe(path) for path in subject.recorded()}
    return {
        removal_traces.PATHS: {**paths, top: without_builds(paths[top])},
        removal_traces.USERS: {subject.user: user},
        removal_traces.GROUPS: {subject.user: removal_facts.group_number(subject.user)},
        removal_traces.UNITS: units,
        removal_traces.SETTINGS: {removal_traces.FORWARDING: removal_facts.forwarding()},
        removal_traces.TABLES: {} if podman in removal_facts.nft_tables() else {podman: None},
        removal_traces.CAPABILITIES: {
            path: removal_facts.capabilities().get(path, "") for path in removal_traces.DAEMONS
        },
        removal_traces.IMAGES: {} if removal_facts.image_id(subject.base_image) else {subject.base_image: None},
        removal_traces.PACKAGES_BEFORE: dict.fromkeys(removal_facts.installed_packages()),
    }


def before_switch(subject: Subject, found: Switch) -> dict[str, dict[str, Any]]:
    """Return what the record keeps of Open vSwitch, which may run only since a package brought it."""
    bridges = {name: found.bridges.get(name) for name in subject.bridges}
    return {
        removal_traces.BRIDGES: {
            name: {"datapath": bridge.datapath, "mtu": bridge.mtu} if bridge and not bridge.marked else None
            for name, bridge in bridges.items()
        },
        removal_traces.EXTERNAL_IDS: {ovs_bridges.OVN_DATAPATH: found.external_ids.get(ovs_bridges.OVN_DATAPATH)},
        removal_traces.OTHER_CONFIG: {key: found.other_config.get(key) for key in removal_traces.OWN_OTHER_CONFIG},
    }


def before_clients(record: Record, files: Iterable[str], users: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what the record keeps of the files of clients that are about to be written, and of their folders."""
    found: dict[str, tuple[str, ...]] = {path: (os.path.dirname(path),) for path in files}
    for user in users:
        with suppress(KeyError):
            home = pwd.getpwnam(user).pw_dir
            found.update(
                {path: (os.path.dirname(path), f"{home}/.config") for path in removal_facts.client_files(home)}
            )
    new = {path: folders for path, folders in found.items() if path not in record.get(removal_traces.CLIENT_FILES, {})}
    # Of a file that has lines of ours already nobody knows any more what was there before.
    first = {path: folders for path, folders in new.items() if not removal_facts.is_ours(removal_facts.readable(path))}
    paths = {path: removal_facts.describe(path) for file, folders in first.items() for path in (file, *folders)}
    sections = {removal_traces.CLIENT_FILES: dict.fromkeys(new)}
    if removal_traces.PATHS in record:
        sections[removal_traces.PATHS] = paths
    return sections if new else {}
