# SPDX-License-Identifier: Apache-2.0
"""Collects what `diagnose` is to have, takes secrets out of it and packs it.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

import io
import json
import os
import pwd
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, BinaryIO

from . import diagnosis, status_cloud, status_readers, status_text
from .diagnosis import Item, Outcome
from .secret_masks import Masker, secrets_in_clouds
from .status_report import Report, causes

WORKERS = 4
# The most seconds for all of it together, whatever hangs.
TOTAL = 90.0
LAST_WORDS = 12
NO_TIME = "no time was left for it"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class DiagnosisError(Exception):
    """There can be no archive; the text says why."""


def read_secrets(settings: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Return every secret of the deployment by a name that may be shown, and why these are not all of them, if so."""
    path, unknown = settings["hotstack_os_credentials_file"], ""
    try:
        with open(path, encoding="utf-8") as file:
            found = {str(name): str(value) for name, value in json.load(file).items()}
    except (OSError, ValueError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or "it is no JSON"
        found, unknown = {}, f"{path} can't be read: {reason}."
    clients = status_readers.client_files(settings["hotstack_os_record_file"])
    for path in [*files_below(os.path.dirname(settings["clouds_file"])), *clients]:
        with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            found.update(secrets_in_clouds(file.read(), path))
    for key in status_readers.KEY_FILES:
        for path in files_below(os.path.join(settings["hotstack_os_data_dir"], key)):
            with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
                found[path] = file.read().strip()
    return found, unknown


def files_below(path: str) -> list[str]:
    """Return a file, or all files in a folder, in order."""
    if os.path.isfile(path):
        return [path]
    return sorted(os.path.join(folder, name) for folder, _folders, names in os.walk(path) for name in names)


def tail(stream: BinaryIO, limit: int) -> tuple[str, str]:
    """Return the end of a file as a text, and a remark if that is not all."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - limit))
    text = stream.read().decode("utf-8", errors="replace")
    return text, f"the first {(size - limit) // 1024} KiB were left out" if size > limit else ""


def run(item: Item, seconds: float) -> tuple[str, str]:
    """Return what a command prints, and a remark on what went wrong. Nothing that it prints gets a name on the disk."""
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                item.command, stdin=subprocess.DEVNULL, stdout=printed, stderr=errors, env=ENVIRONMENT, cwd="/"
            )
        except OSError as error:
            return "", f"{item.command[0]}: {error.strerror}"
        try:
            status = process.wait(seconds)
            problem = f"it ended with status {status}" if status else ""
        except subprocess.TimeoutExpired:
            process.kill()
            # One that waits for a file system does not end even then.
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            problem = f"it did not end within {seconds:.0f} s"
        said = tail(errors, 2000)[0].strip()
        text, cut = tail(printed, item.limit)
    if problem and said:
        problem += f": {said.splitlines()[-1]}"
    return text + (f"\n--- errors\n{said}\n" if said else ""), "; ".join(part for part in (problem, cut) if part)


def read(item: Item) -> tuple[str, str]:
    """Return what is in a file, and a remark on what went wrong."""
    try:
        with open(item.path, "rb") as file:
            return tail(file, item.limit)
    except OSError as error:
        return "", error.strerror or "it can't be read"


class Archive:
    """A tar file of texts without secrets."""

    def __init__(self, tar: tarfile.TarFile, folder: str, mask: Callable[[str], str]) -> None:
        self.outcomes: list[Outcome] = []
        self._tar, self._folder, self._mask = tar, folder, mask
        self._lock = threading.Lock()

    def add(self, name: str, text: str, remark: str = "") -> None:
        """Add a text."""
        name = diagnosis.member(name)
        data = self._mask(text).encode()
        record = tarfile.TarInfo(f"{self._folder}/{name}")
        record.size, record.mode, record.mtime = len(data), 0o600, int(time.time())
        with self._lock:
            self.outcomes.append(Outcome(name, len(data), self._mask(remark)))
            if data:
                self._tar.addfile(record, io.BytesIO(data))


class Diagnosis:
    """Collects everything for one archive."""

    def __init__(self, settings: Mapping[str, Any], report: Report, seconds: float) -> None:
        secrets, self.unknown = read_secrets(settings)
        self.mask = Masker(secrets)
        self.settings, self.seconds = settings, seconds
        self.report = diagnosis.silent(report) if self.unknown else report
        self.end = time.monotonic() + TOTAL
        try:
            user = pwd.getpwnam(settings["hotstack_os_user"])
            self.uid, self.logs = user.pw_uid, os.path.join(user.pw_dir, ".cache/libvirt/qemu/log")
        except KeyError:
            self.uid, self.logs = -1, ""

    def write(self, folder: str) -> str:
        """Write an archive that only its owner can read; it has its name once it is complete. Return its path."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = f"hotstack-os-{self.settings['hotstack_os_host_name']}-{stamp}"
        path = os.path.join(folder, f"{name}.tar.gz")
        try:
            descriptor = os.open(f"{path}.part", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise DiagnosisError(f"{folder} takes no archive: {error.strerror}.") from None
        try:
            with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as tar:
                self.fill(Archive(tar, name, self.mask))
            os.rename(f"{path}.part", path)
        except BaseException as error:
            with suppress(FileNotFoundError):
                os.unlink(f"{path}.part")
            if isinstance(error, OSError):
                raise DiagnosisError(f"{path} can't be written: {error.strerror}.") from None
            raise
        return path

    def fill(self, archive: Archive) -> None:
        """Collect everything, several things at a time, and tell in the end what came of it."""
        now, services = time.time(), self.settings["hotstack_os_services"]
        archive.add("status.json", json.dumps(status_text.data(self.report, services, now), indent=2))
        items = diagnosis.items(self.settings, self.uid, files_below(self.settings["hotstack_os_config_dir"]))
        items += [
            Item(f"libvirt/log/{os.path.basename(path)}", path=path, limit=2**18) for path in files_below(self.logs)
        ]
        if self.unknown:
            items = diagnosis.sure(items)
        # Podman waits for one lock: if it hangs, all that asks it does, and the rest is here by then.
        items.sort(key=lambda item: item.command[:1] == ("podman",))
        with ThreadPoolExecutor(WORKERS) as pool:
            jobs = [pool.submit(self.collect, archive, item) for item in items]
            if not self.unknown:
                jobs += [pool.submit(self.ask_apis, archive), pool.submit(self.ask_guests, archive)]
            for job in jobs:
                job.result()
        outcomes = sorted(archive.outcomes, key=lambda outcome: outcome.name)
        words = {} if self.unknown else self.last_words()
        page = diagnosis.first_page(self.settings, self.report, outcomes, words, now)
        if self.unknown:
            page = f"{self.unknown}\n{diagnosis.MASKED_BY_LOOKS}{page}"
        archive.add(diagnosis.FIRST_PAGE, page)

    def collect(self, archive: Archive, item: Item) -> None:
        """Collect one thing."""
        archive.add(item.name, *(read(item) if item.path else self.run(item, self.seconds)))

    def run(self, item: Item, seconds: float) -> tuple[str, str]:
        """Run a command in the time that is left."""
        left = self.end - time.monotonic()
        return run(item, min(seconds, left)) if left > 0 else ("", NO_TIME)

    def ask_apis(self, archive: Archive) -> None:
        """Collect what the APIs list."""
        try:
            with open(self.settings["hotstack_os_credentials_file"], encoding="utf-8") as file:
                password = json.load(file)["admin_password"]
            session = status_cloud.Session(self.settings["hotstack_os_auth_url"], password, self.seconds / 2)
        except (status_cloud.CloudError, OSError, ValueError, KeyError) as error:
            archive.add("openstack", "", f"the APIs give nothing: {error}")
            return
        for name, (service, path) in diagnosis.LISTS.items():
            if time.monotonic() > self.end:
                archive.add(f"openstack/{name}.json", "", NO_TIME)
                continue
            try:
                archive.add(f"openstack/{name}.json", json.dumps(session.get(service, path), indent=2))
            except status_cloud.CloudError as error:
                archive.add(f"openstack/{name}.json", "", str(error))

    def ask_guests(self, archive: Archive) -> None:
        """Collect what libvirt knows of each guest."""
        connect = f"--connect=qemu:///session?socket=/run/user/{self.uid}/libvirt/libvirt-sock"
        names, _remark = self.run(
            Item("", command=("virsh", "--quiet", connect, "list", "--all", "--name")), self.seconds
        )
        for name in names.partition("\n--- errors")[0].split():
            self.collect(archive, Item(f"libvirt/{name}.xml", command=("virsh", connect, "dumpxml", name)))

    def last_words(self) -> dict[str, str]:
        """Return what the services said last that are the causes."""
        services = self.settings["hotstack_os_services"]
        found: dict[str, str] = {}
        for line, _followers in causes(self.report, services):
            if line.name in services and len(found) < WORKERS:
                command = (
                    "journalctl",
                    f"--unit=hotstack-os-{line.name}",
                    f"--lines={LAST_WORDS}",
                    "--output=cat",
                    "--no-pager",
                )
                text = self.run(Item("", command=(*command, "--quiet")), self.seconds / 2)[0].strip()
                if text:
                    found[line.name] = text
        return found


class Before(Diagnosis):
    """Collects what a deployment would rely on, from a host that has none."""

    def __init__(self, problems: Sequence[str], seconds: float) -> None:
        self.mask = Masker({})
        self.problems, self.seconds = problems, seconds
        self.settings = {"hotstack_os_host_name": os.uname().nodename}
        self.end = time.monotonic() + TOTAL

    def fill(self, archive: Archive) -> None:
        """Collect everything, several things at a time, and tell in the end what came of it."""
        with ThreadPoolExecutor(WORKERS) as pool:
            for job in [pool.submit(self.collect, archive, item) for item in diagnosis.before()]:
                job.result()
        outcomes = sorted(archive.outcomes, key=lambda outcome: outcome.name)
        name = self.settings["hotstack_os_host_name"]
        archive.add(diagnosis.FIRST_PAGE, diagnosis.first_page_before(name, self.problems, outcomes, time.time()))
