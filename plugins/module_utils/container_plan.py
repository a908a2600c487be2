# SPDX-License-Identifier: Apache-2.0
"""What has to happen so that the wanted containers run: a decision about texts and digests, without a host."""

from __future__ import annotations

from dataclasses import dataclass, field

PREFIX = "hotstack-os-"
UNIT_DIRECTORY = "/etc/containers/systemd"
DIGEST_LABEL = "hotstack-os.digest"


def unit_file(name: str, directory: str = UNIT_DIRECTORY) -> str:
    """Return the path of a container's unit."""
    return f"{directory}/{PREFIX}{name}.container"


def service_unit(name: str) -> str:
    """Return the name by which systemd knows a container."""
    return f"{PREFIX}{name}.service"


@dataclass(frozen=True)
class File:
    """A file with what is in it and who may read it."""

    path: str
    content: str
    mode: int
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Directory:
    """A directory and who may use it."""

    path: str
    mode: int
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Wanted:
    """A container as it should run."""

    name: str
    unit: File
    digest: str
    image: str
    config: tuple[File, ...] = ()
    directories: tuple[Directory, ...] = ()
    needs: tuple[str, ...] = ()
    start_timeout: int = 300  # seconds on this host
    stamp: str | None = None  # the mark that this very one-shot is done; only one-shots have one


@dataclass(frozen=True)
class OnDisk:
    """What of interest lies on the disk: the files and directories found, by path, and the stamps."""

    files: dict[str, File] = field(default_factory=dict)
    directories: dict[str, Directory] = field(default_factory=dict)
    stamps: frozenset[str] = frozenset()
    leftovers: tuple[str, ...] = ()  # paths in the folders of wanted containers that nobody wants


@dataclass(frozen=True)
class Running:
    """What systemd and podman say of a container: the state of its unit, and what it was started from."""

    state: str = "inactive"
    digest: str | None = None


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are done."""

    directories: tuple[Directory, ...] = ()
    files: tuple[File, ...] = ()  # configuration first, so that a unit never names what is not there yet
    units: tuple[File, ...] = ()
    delete: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.directories or self.files or self.units or self.delete or self.restart or self.start)


def plan(wanted: list[Wanted], on_disk: OnDisk, running: dict[str, Running]) -> Plan:
    """Decide what to write, to delete, to start and to restart.

    A container is restarted when the running or starting one comes from something else: its digest differs,
    or the disk it was started from does. It is started when it does not run, a one-shot when it is not done.
    """
    directories = {
        directory.path: directory
        for container in wanted
        for directory in container.directories
        if on_disk.directories.get(directory.path) != directory
    }
    files = [file for container in wanted for file in container.config if on_disk.files.get(file.path) != file]
    units = [container.unit for container in wanted if on_disk.files.get(container.unit.path) != container.unit]
    rewritten = {file.path for file in [*files, *units]}

    restart, start, unchanged = [], [], []
    for container in wanted:
        state = running.get(container.name, Running())
        same_disk = rewritten.isdisjoint({container.unit.path, *(file.path for file in container.config)})
        current = state.digest == container.digest and same_disk
        if container.stamp is not None and container.stamp in on_disk.stamps:
            unchanged.append(container.name)
        elif state.state not in ("active", "activating", "reloading", "deactivating"):
            start.append(container.name)
        elif not current:
            restart.append(container.name)
        elif state.state == "active":
            unchanged.append(container.name)
        else:
            start.append(container.name)
    return Plan(
        directories=tuple(directories.values()),
        files=tuple(files),
        units=tuple(units),
        delete=on_disk.leftovers,
        restart=tuple(restart),
        start=tuple(start),
        unchanged=tuple(unchanged),
    )


def in_order(wanted: list[Wanted]) -> list[Wanted]:
    """Return the containers with each behind those of them that it needs."""
    by_name = {container.name: container for container in wanted}
    ordered: dict[str, Wanted] = {}

    def add(container: Wanted, above: tuple[str, ...]) -> None:
        if container.name in ordered or container.name in above:
            return
        for need in container.needs:
            if need in by_name:
                add(by_name[need], (*above, container.name))
        ordered[container.name] = container

    for container in wanted:
        add(container, ())
    return list(ordered.values())
