# SPDX-License-Identifier: Apache-2.0
"""The engine's work on a host: read, decide, act and wait."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils import container_host as host
from ansible_collections.hotstack.os.plugins.module_utils.container_health import STANDSTILL, Watch
from ansible_collections.hotstack.os.plugins.module_utils.container_plan import (
    PREFIX,
    UNIT_DIRECTORY,
    Directory,
    File,
    OnDisk,
    Plan,
    Wanted,
    in_order,
    plan,
    service_unit,
    unit_file,
)
from ansible_collections.hotstack.os.plugins.module_utils.container_text import mask, mask_former

POLL = 0.3


@dataclass(frozen=True)
class Job:
    """All that the controller sends: finished texts, where they go, and what must not be shown."""

    wanted: list[Wanted]
    config_dir: str
    stamps_dir: str
    unit_dir: str = UNIT_DIRECTORY
    needs: dict[str, list[str]] = field(default_factory=dict)  # of every service on the map
    secrets: tuple[str, ...] = ()
    time_factor: int = 1

    @staticmethod
    def parse(texts: str) -> Job:
        """Return the job that the controller's half wrote as JSON."""
        data = json.loads(texts)
        unit_dir = data.get("unit_dir", UNIT_DIRECTORY)
        wanted = [
            Wanted(
                name=item["name"],
                unit=File(unit_file(item["name"], unit_dir), item["unit"], 0o644, *_owner()),
                digest=item["digest"],
                image=item["image"],
                config=tuple(File(**file) for file in item["config"]),
                directories=tuple(Directory(**directory) for directory in item["directories"]),
                needs=tuple(data["needs"].get(item["name"], [])),
                start_timeout=item["start_timeout"],
                stamp=item["stamp"],
            )
            for item in data["containers"]
        ]
        return Job(
            wanted=in_order(wanted),
            config_dir=data["config_dir"],
            stamps_dir=data["stamps_dir"],
            unit_dir=unit_dir,
            needs=data["needs"],
            secrets=tuple(data["secrets"]),
            time_factor=data["time_factor"],
        )


def _owner() -> tuple[int, int]:
    """Return who owns units: root, which is who runs this on a host."""
    return os.geteuid(), os.getegid()


def differences(job: Job, on_disk: OnDisk, todo: Plan) -> list[dict[str, str]]:
    """Return what `--diff` shows, without secrets: who starts again first, then the texts."""
    shown = []
    verbs = {"Restarts": todo.restart, "Starts": todo.start}
    summary = [f"{verb}: {', '.join(names)}" for verb, names in verbs.items() if names]
    if summary:
        shown.append({"prepared": "\n".join(summary) + "\n"})
    for directory in todo.directories:
        found = on_disk.directories.get(directory.path)
        shown.append(
            {
                "before_header": directory.path,
                "after_header": directory.path,
                "before": f"{found.uid}:{found.gid} {found.mode:04o}\n" if found else "",
                "after": f"{directory.uid}:{directory.gid} {directory.mode:04o}\n",
            }
        )
    for file in (*todo.files, *todo.units):
        former = on_disk.files.get(file.path)
        before, after = former.content if former else "", mask(file.content, job.secrets)
        before = mask_former(before, file.content, job.secrets)
        headers = [file.path, file.path]
        if former and (former.mode, former.uid, former.gid) != (file.mode, file.uid, file.gid):
            headers = [f"{file.path} ({it.uid}:{it.gid} {it.mode:04o})" for it in (former, file)]
        elif former and before == after:
            after += "(a secret in this file differs)\n"
        shown.append({"before_header": headers[0], "after_header": headers[1], "before": before, "after": after})
    for path in todo.delete:
        shown.append({"before_header": path, "after_header": path, "before": "(removed)\n", "after": ""})
    return shown


def act(job: Job, todo: Plan, run: host.Runner) -> None:
    """Do what was decided, up to the point where systemd has been told to start what must start."""
    pending = [container for container in job.wanted if container.name in (*todo.restart, *todo.start)]
    host.check_units(run, todo.units)
    host.check_images(run, pending)
    for directory in todo.directories:
        host.make_directory(directory)
    for file in (*todo.files, *todo.units):
        host.write_file(file)
    for path in todo.delete:
        host.delete(path)
    if todo.units or pending:
        host.systemctl(run, "daemon-reload")
    if todo.restart:
        host.systemctl(run, "restart", "--no-block", *(service_unit(name) for name in todo.restart))
    if todo.start:
        host.systemctl(run, "start", "--no-block", *(service_unit(name) for name in todo.start))


def closure(names: list[str], needs: dict[str, list[str]]) -> list[str]:
    """Return the names and everything they need, directly or not."""
    found = list(names)
    for name in found:
        found += [need for need in needs.get(name, []) if need not in found]
    return found


def failure(job: Job, run: host.Runner, name: str, reason: str) -> str:
    """Return the one message that ends the play when a service does not become healthy."""
    said = host.last_health(run, name)
    one_shot = any(container.name == name and container.stamp for container in job.wanted)
    parts = [f"{PREFIX}{name} did not {'succeed' if one_shot else 'become healthy'} {reason}."]
    if said:
        parts.append(f"Its health command said: {said}")
    parts.append(f"Its last log lines:\n{host.last_lines(run, name)}\nSee more with: journalctl -u {PREFIX}{name}")
    return mask("\n".join(parts), job.secrets)


def wait(
    job: Job,
    names: list[str],
    run: host.Runner,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until these services are healthy, or say which one will not be.

    What they need is watched too: if that is what fails, it is what the message is about.
    """
    wanted = {container.name: container for container in job.wanted}
    watches = {
        name: Watch(
            name,
            timeout=wanted[name].start_timeout if name in wanted else 300 * job.time_factor,
            one_shot=name in wanted and wanted[name].stamp is not None,
        )
        for name in reversed(closure(names, job.needs))
    }
    standstill = STANDSTILL * job.time_factor
    left, last_move = set(names), clock()
    answered = last_move
    seen: dict[str, Any] = {}
    while left:
        try:
            units = host.show_units(run, watches)
        except host.HostError:
            # It may start anew, such as after an update of itself.
            if clock() - answered > standstill:
                raise
            sleep(POLL)
            continue
        now = answered = clock()
        if units != seen:
            seen, last_move = units, now
        for name, watch in watches.items():
            unit = units.get(name, {})
            if name not in left and unit.get("ActiveState") != "activating":
                continue
            stamp = wanted[name].stamp if name in wanted else None
            verdict = watch.verdict(unit, now, stamped=bool(stamp and os.path.exists(stamp)))
            if verdict == "ready":
                left.discard(name)
            elif verdict:
                raise host.HostError(failure(job, run, name, verdict))
        moving = any(unit.get("ActiveState") in ("activating", "deactivating") for unit in units.values())
        if left and not moving and now - last_move > standstill:
            reason = f"because it waits for something that does not start ({standstill:.0f} s)"
            raise host.HostError(failure(job, run, min(left), reason))
        if left:
            sleep(POLL)


def make_present(job: Job, run: host.Runner, check_mode: bool, diff: bool) -> dict[str, Any]:
    """Make the containers run as wanted and return the module's result."""
    on_disk = host.read_disk(job.wanted, job.config_dir)
    running = host.read_running(run, [container.name for container in job.wanted])
    todo = plan(job.wanted, on_disk, running)
    result: dict[str, Any] = {
        "changed": todo.changed,
        "started": list(todo.start),
        "restarted": list(todo.restart),
        "removed": [],
        "unchanged": list(todo.unchanged),
    }
    if diff and todo.changed:
        result["diff"] = differences(job, on_disk, todo)
    if check_mode:
        host.check_units(run, todo.units)
    elif todo.changed:
        act(job, todo, run)
        wait(job, [*todo.restart, *todo.start], run)
    return result


def names_present(job: Job) -> list[str]:
    """Return the services of which a unit or a configuration folder lies on the disk."""
    names = {
        os.path.basename(path)[len(PREFIX) : -len(".container")]
        for path in host.paths_in(job.unit_dir)
        if os.path.basename(path).startswith(PREFIX) and path.endswith(".container")
    }
    return sorted(names | {os.path.basename(path) for path in host.paths_in(job.config_dir)})


def stamps_of(job: Job, name: str) -> list[str]:
    """Return the stamps of a one-shot, and not those of others whose name merely begins like its name."""
    start = f"{job.stamps_dir}/{name}-"
    return [path for path in host.paths_in(job.stamps_dir) if path.startswith(start) and "-" not in path[len(start) :]]


def make_absent(job: Job, names: list[str] | None, run: host.Runner, check_mode: bool, diff: bool) -> dict[str, Any]:
    """Remove the containers named, or all of ours, with their units, configuration and stamps, never their data."""
    present = names_present(job)
    candidates = present if names is None else sorted(set(names))
    units = host.show_units(run, candidates)
    digests = host.read_digests(run)
    doomed: dict[str, list[str]] = {}
    for name in candidates:
        paths = [unit_file(name, job.unit_dir), os.path.join(job.config_dir, name)]
        paths = [path for path in paths if os.path.lexists(path)] + stamps_of(job, name)
        loaded = units.get(name, {}).get("ActiveState", "inactive") not in ("inactive", "failed")
        if paths or loaded or name in digests:
            doomed[name] = paths
    result: dict[str, Any] = {
        "changed": bool(doomed),
        "started": [],
        "restarted": [],
        "removed": list(doomed),
        "unchanged": [name for name in candidates if name not in doomed],
    }
    if diff and doomed:
        result["diff"] = [
            {"before_header": path, "after_header": path, "before": "(present)\n", "after": ""}
            for paths in doomed.values()
            for path in paths
        ]
    if doomed and not check_mode:
        stop = [service_unit(name) for name in doomed if units.get(name, {}).get("LoadState") == "loaded"]
        if stop:
            host.systemctl(run, "stop", "--", *stop)
        left = [PREFIX + name for name in doomed if name in host.read_digests(run)]
        status, _output, errors = run(["podman", "rm", "--force", "--ignore", "--", *left]) if left else (0, "", "")
        if status != 0:
            raise host.HostError(f"podman cannot remove {', '.join(left)}: {errors.strip()}")
        for paths in doomed.values():
            for path in paths:
                host.delete(path)
        if stop:
            host.systemctl(run, "daemon-reload")
            run(["systemctl", "reset-failed", "--", *stop])
    return result
