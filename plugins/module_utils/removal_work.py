# SPDX-License-Identifier: Apache-2.0
"""Remove from a host what was decided, and put back what was there before."""

from __future__ import annotations

import itertools
import os
import pwd
import re
import shutil
import signal
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import (
    apparmor,
    file_capabilities,
    ovs_external_ids,
    removal_facts,
    removal_processes,
    removal_traces,
    service_units,
)
from ansible_collections.hotstack.os.plugins.module_utils.container_plan import PREFIX
from ansible_collections.hotstack.os.plugins.module_utils.files import acting_as, write_text
from ansible_collections.hotstack.os.plugins.module_utils.removal_facts import run
from ansible_collections.hotstack.os.plugins.module_utils.removal_plan import Removal

# How long processes have to end, in seconds.
PATIENCE = 30.0


class RemovalError(Exception):
    """Something could not be removed; the text says what."""


def must(*command: str) -> str:
    """Run a command that has to succeed."""
    done = run(*command)
    if done.returncode:
        raise RemovalError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def names_of(removals: Iterable[Removal]) -> list[str]:
    """Return the names."""
    return [removal.name for removal in removals]


def stop_units(removals: list[Removal]) -> None:
    """Stop and disable units; where data goes too, containers need no time to end well."""
    names = names_of(removals)
    run("systemctl", "disable", "--", *names)
    if any(removal.data == "at once" for removal in removals):
        run("systemctl", "stop", "--no-block", "--", *names)
        ours = run("podman", "ps", "--filter", f"name=^{PREFIX}", "--format", "{{.Names}}").stdout.split()
        if ours:
            run("podman", "kill", "--", *ours)
    loaded = [name for name, unit in removal_facts.unit_states(names).items() if unit.active]
    if loaded:
        must("systemctl", "stop", "--", *loaded)
    run("systemctl", "reset-failed", "--", *names)


def remove_containers(removals: list[Removal]) -> None:
    """Remove containers that are left."""
    must("podman", "rm", "--force", "--ignore", "--time=0", "--", *names_of(removals))


def kill(pids: Iterable[int]) -> None:
    """End processes at once, and wait until they are gone."""
    pids = list(pids)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + PATIENCE
    while any(running(pid) for pid in pids):
        if time.monotonic() > end:
            raise RemovalError(f"Processes do not end: {', '.join(map(str, pids))}.")
        time.sleep(0.1)


def running(pid: int) -> bool:
    """Tell whether a process still runs; one that only waits to be collected does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def stop_session(removals: list[Removal]) -> None:
    """Stop our session's libvirt for good, whether or not its user is still there."""
    for removal in removals:
        with suppress(KeyError):
            manager = service_units.Manager(pwd.getpwnam(removal.data))
            if manager.reachable():
                manager.command("disable", "--now", removal.name)
    kill(pid for pid, guest in removal_processes.session().items() if not guest)


def kill_guests(removals: list[Removal]) -> None:
    """End guests; their files go with the data."""
    kill(removal.data for removal in removals if removal_processes.session().get(removal.data) == removal.name)


def write_lines(removals: list[Removal]) -> None:
    """Write shared files without our lines, with no more rights than their owner's."""
    for removal in removals:
        former, status = removal.data["former"], os.lstat(removal.name)
        user = pwd.getpwuid(status.st_uid) if status.st_uid else None
        known = former or {"mode": f"{stat.S_IMODE(status.st_mode):04o}", "uid": status.st_uid, "gid": status.st_gid}
        with acting_as(user):
            restore_text(removal.name, removal.data["text"], known)


def restore_text(path: str, text: str, known: Mapping[str, Any]) -> None:
    """Give a file this text, its mode, its owner and its extended attributes.

    It is written in place where something is mounted over it, or where only its owner's rights are at hand and its
    group is one that these can't give.
    """
    mode, attributes = int(known["mode"], 8), known.get("xattrs") or removal_facts.attributes(path)
    allowed = os.geteuid() == 0 or known["gid"] in (os.getegid(), *os.getgroups())
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        if removal_facts.mounts([path]) or not allowed or any("\udc80" <= letter <= "\udcff" for letter in text):
            with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                os.fchown(file.fileno(), known["uid"], known["gid"] if allowed else -1)
                os.fchmod(file.fileno(), mode)
                file.write(text)
        else:
            write_text(path, text, mode, known["uid"], known["gid"])
    except OSError as error:
        error.filename = path
        raise
    for name, value in attributes.items():
        # What the system gives by itself, and a file system without such things.
        with suppress(OSError):
            os.setxattr(path, name, bytes.fromhex(value))


def restore_files(removals: list[Removal]) -> None:
    """Put back files and links that were there before."""
    for removal in removals:
        if "link" in removal.data:
            restore_link(removal.name, removal.data)
        else:
            restore_text(removal.name, removal.data["content"], removal.data)


def restore_link(path: str, known: Mapping[str, Any]) -> None:
    """Put back a link, in one step."""
    temporary = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(known["link"], temporary)
    os.lchown(temporary, known["uid"], known["gid"])
    os.rename(temporary, path)


def delete_files(removals: list[Removal]) -> None:
    """Remove files, and folders of ours with what is in them."""
    for path in names_of(removals):
        if os.path.isdir(path) and not os.path.islink(path):
            delete_tree(path)
        else:
            with suppress(FileNotFoundError):
                os.unlink(path)


def delete_tree(path: str, entries: Iterable[str] = (), folder: bool = True) -> None:
    """Remove what is below a folder but for these entries, and then perhaps the folder.

    What is mounted below stays with all the folders above it.
    """
    mounts = removal_facts.mounts([path])
    if delete_below(path, set(mounts) - {path}, frozenset(entries)) and folder and path not in mounts:
        with suppress(FileNotFoundError):
            os.rmdir(path)


def delete_below(path: str, barriers: set[str], entries: frozenset[str] = frozenset()) -> bool:
    """Remove what is in a folder but for mounts and these entries, without following links; tell if that was all."""
    empty = True
    with suppress(FileNotFoundError):
        with os.scandir(path) as found:
            inside = list(found)
        for entry in inside:
            if entry.name in entries or entry.path in barriers:
                empty = False
            elif entry.is_dir(follow_symlinks=False):
                if any(barrier.startswith(entry.path + "/") for barrier in barriers):
                    if not delete_below(entry.path, barriers):
                        empty = False
                        continue
                    os.rmdir(entry.path)
                else:
                    shutil.rmtree(entry.path)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(entry.path)
    return empty


def delete_data(removals: list[Removal]) -> None:
    """Remove data; the record goes last, so that a run that is cut short still has it."""
    for removal in removals:
        path, former, names = removal.name, removal.data["former"], removal.data["names"]
        keep = set() if names is None or not os.path.isdir(path) else set(os.listdir(path)) - set(names)
        record = removal.data["record"]
        if record.startswith(path + "/"):
            delete_below(path, {*removal_facts.mounts([path]), record} - {path}, frozenset(keep))
        delete_tree(path, keep, folder=former is None)
        if former is not None and os.path.isdir(path):
            os.chown(path, former["uid"], former["gid"])
            os.chmod(path, int(former["mode"], 8))


def delete_folders(removals: list[Removal]) -> None:
    """Remove folders that are empty now."""
    for path in names_of(removals):
        with suppress(OSError):
            os.rmdir(path)


def tell_switch(commands: Iterable[list[str]]) -> None:
    """Tell Open vSwitch everything in one transaction."""
    words = ["ovs-vsctl", "--timeout=30"]
    for command in commands:
        words += ["--", *command]
    if len(words) > 2:
        must(*words)


def delete_ports(removals: list[Removal]) -> None:
    """Remove ports of OVN from bridges of others."""
    tell_switch(["--if-exists", "del-port", removal.data, removal.name] for removal in removals)


def delete_bridges(removals: list[Removal]) -> None:
    """Remove bridges."""
    tell_switch(["--if-exists", "del-br", removal.name] for removal in removals)


def restore_bridges(removals: list[Removal]) -> None:
    """Give bridges of others back what they had."""
    for removal in removals:
        mtu = removal.data["mtu"]
        size = (
            ["set", "Interface", removal.name, f"mtu_request={mtu}"]
            if mtu
            else ["clear", "Interface", removal.name, "mtu_request"]
        )
        tell_switch([["set", "Bridge", removal.name, f"datapath_type={removal.data['datapath']}"], size])


def restore_keys(removals: list[Removal]) -> None:
    """Give keys of Open vSwitch back what they were."""
    commands = []
    for removal in removals:
        column, key, text = removal.data
        for command in ovs_external_ids.commands({key: text}):
            commands.append(
                [column if word == "external_ids" else re.sub("^external_ids:", f"{column}:", word) for word in command]
            )
    tell_switch(commands)


def delete_addresses(removals: list[Removal]) -> None:
    """Remove our addresses from a bridge of somebody else."""
    for removal in removals:
        must("ip", "address", "delete", removal.name, "dev", removal.data)


def delete_networks(removals: list[Removal]) -> None:
    """Remove the podman network."""
    must("podman", "network", "rm", "--", *names_of(removals))


def delete_images(removals: list[Removal]) -> None:
    """Remove images, children before parents."""
    must("podman", "rmi", "--ignore", "--", *names_of(removals))


def delete_tables(removals: list[Removal]) -> None:
    """Remove tables of rules."""
    for removal in removals:
        must("nft", "delete", "table", *removal.name.split())


def unload_profiles(removals: list[Removal]) -> None:
    """Unload AppArmor's profiles."""
    for name in names_of(removals):
        with open(apparmor.REMOVE, "w", encoding="ascii") as file:
            file.write(name)


def reload_zones(removals: list[Removal]) -> None:
    """Let firewalld forget our zones; what others told it for the time being, it must not."""
    before = trusted() - {removal.data for removal in removals}
    must("firewall-cmd", "--reload")
    for source in sorted(before - trusted()):
        must("firewall-cmd", f"--zone={removal_traces.TRUSTED}", f"--add-source={source}")


def trusted() -> set[str]:
    """Return the sources that firewalld trusts at the moment."""
    return set(must("firewall-cmd", f"--zone={removal_traces.TRUSTED}", "--list-sources").split())


def distrust(removals: list[Removal]) -> None:
    """Take back what podman told firewalld about our network."""
    for removal in removals:
        must("firewall-cmd", f"--zone={removal_traces.TRUSTED}", f"--remove-source={removal.name}")


def stop_forwarding(removals: list[Removal]) -> None:
    """Give the kernel its former setting."""
    for name in names_of(removals):
        with open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as file:
            file.write("0\n")


def restore_states(removals: list[Removal]) -> None:
    """Stop or disable units of the distribution that did not run before."""
    for removal in removals:
        if not removal.data["active"]:
            must("systemctl", "stop", "--", removal.name)
        if not removal.data["enabled"]:
            must("systemctl", "disable", "--", removal.name)


def remove_capabilities(removals: list[Removal]) -> None:
    """Take a capability away from programs."""
    for removal in removals:
        file_capabilities.ensure(removal.name, "absent", [removal.detail], True, dry=False)


def unmount(removals: list[Removal]) -> None:
    """Undo mounts, the inner ones first."""
    for removal in removals:
        if removal_facts.mounts([removal.name]).get(removal.name) is not None:
            must("umount", "--", removal.name)


def stop_lingering(removals: list[Removal]) -> None:
    """Let the user's service manager go."""
    for name in names_of(removals):
        run("loginctl", "disable-linger", name)
        with suppress(FileNotFoundError):
            os.unlink(f"{removal_traces.LINGER_FOLDER}/{name}")
        # It fails for a user who has none.
        if not run("loginctl", "show-user", "--property=Sessions", "--value", name).stdout.strip():
            with suppress(KeyError):
                run("systemctl", "stop", f"user@{pwd.getpwnam(name).pw_uid}.service")


def stop_managers(removals: list[Removal]) -> None:
    """Stop a user's service manager, and end what is left of its sessions.

    The number alone tells nothing: processes in containers of others may have the same.
    """
    for removal in removals:
        uid = removal.data
        run("systemctl", "stop", f"user@{uid}.service", f"user-runtime-dir@{uid}.service", f"user-{uid}.slice")
        kill(removal_processes.user_processes(uid))


def delete_users(removals: list[Removal]) -> None:
    """Remove a user, and its group unless that was there before."""
    for removal in removals:
        must("userdel", removal.name)
        if not removal.data and run("getent", "group", removal.name).returncode == 0:
            must("groupdel", removal.name)


def restore_accounts(removals: list[Removal]) -> None:
    """Make a user what it was."""
    for removal in removals:
        former = removal.data
        must(
            *("usermod", "--comment", former["comment"], "--shell", former["shell"]),
            *("--groups", ",".join(former["groups"]), removal.name),
        )


def remove_packages(removals: list[Removal]) -> None:
    """Remove packages, without what others installed since and that needs them."""
    names = names_of(removals)
    if shutil.which("apt-get"):
        options = [
            "--yes",
            "--quiet",
            "--option=DPkg::Lock::Timeout=300",
            "--option=APT::AutoRemove::SuggestsImportant=false",
        ]
        extra = would_remove(must("apt-get", *options, "--simulate", "purge", "--", *names)) - set(names)
        if extra:
            names = [
                name
                for name in names
                if would_remove(must("apt-get", *options, "--simulate", "purge", "--", name)) <= set(names)
            ]
            extra = would_remove(must("apt-get", *options, "--simulate", "purge", "--", *names)) - set(names)
        if extra:
            raise RemovalError(f"Packages stay, because these need some of them: {', '.join(sorted(extra))}.")
        if not names:
            return
        must("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options, "purge", "--", *names)
    else:
        while names and (wanted := needed_by_others(run("rpm", "--erase", "--test", *names).stderr)):
            providers = [run("rpm", "--query", "--whatprovides", "--queryformat=%{NAME}\\n", what) for what in wanted]
            stay = {name for found in providers if found.returncode == 0 for name in found.stdout.split()}
            if not stay & set(names):
                raise RemovalError(f"Packages stay, because others need some of them: {', '.join(sorted(wanted))}.")
            names = [name for name in names if name not in stay]
        if names:
            must("rpm", "--erase", *names)


def needed_by_others(text: str) -> set[str]:
    """Return what packages that stay need of those that would go, from what rpm says in a test."""
    return set(re.findall(r"^\t(\S+).* is needed by ", text, re.MULTILINE))


def would_remove(text: str) -> set[str]:
    """Return the packages that apt-get would remove, from what it says in a simulation."""
    return {name.split(":")[0] for name in re.findall(r"^(?:Remv|Purg) (\S+)", text, re.MULTILINE)}


def reload(removals: list[Removal]) -> None:
    """Let services read their files again."""
    for name in names_of(removals):
        if name == "systemd":
            must("systemctl", "daemon-reload")
        elif run("systemctl", "is-active", name).returncode == 0:
            must("systemctl", "reload", name)


ACTIONS: Mapping[str, Callable[[list[Removal]], None]] = {
    "unit": stop_units,
    "container": remove_containers,
    "session": stop_session,
    "guest": kill_guests,
    "lingering": stop_lingering,
    "manager": stop_managers,
    "lines": write_lines,
    "file": delete_files,
    "tree": delete_files,
    "folder": delete_folders,
    "former": restore_files,
    "port": delete_ports,
    "bridge": delete_bridges,
    "former bridge": restore_bridges,
    "switch key": restore_keys,
    "address": delete_addresses,
    "network": delete_networks,
    "image": delete_images,
    "table": delete_tables,
    "profile": unload_profiles,
    "zones": reload_zones,
    "trusted": distrust,
    "forwarding": stop_forwarding,
    "state": restore_states,
    "capability": remove_capabilities,
    "mount": unmount,
    "package": remove_packages,
    "user": delete_users,
    "account": restore_accounts,
    "data": delete_data,
    "reload": reload,
}


def act(removals: Iterable[Removal]) -> None:
    """Do it, in the order of the plan; neighbours of one kind together."""
    for kind, group in itertools.groupby(removals, key=lambda removal: removal.kind):
        ACTIONS[kind](list(group))
