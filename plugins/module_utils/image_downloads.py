# SPDX-License-Identifier: Apache-2.0
"""Image files on this host: downloads that go on where they stopped, and are only used once they are verified."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import http.client
import json
import os
import posixpath
import re
import shutil
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .files import write_text

ATTEMPTS = 5
TIMEOUT = 60
BLOCK = 1 << 20
MIB = 1 << 20
# How often a download that takes long is told again.
TELL_SECONDS = 5
PARALLEL = 2

Tell = Callable[[str], object]


class DownloadError(Exception):
    """An image that is not usable, and why."""


class InterruptedDownloadError(Exception):
    """A transfer that ended early and may go on."""


# --- decisions


def cache_name(url: str, checksum: str) -> str:
    """Return the name of a file in the cache: another URL or checksum is another file."""
    base = re.sub(r"[^A-Za-z0-9._-]", "_", posixpath.basename(urllib.parse.urlsplit(url).path))[-100:]
    return f"{hashlib.sha256(f'{url} {checksum}'.encode()).hexdigest()[:16]}-{base}"


def public_url(url: str) -> str:
    """Return what of a URL everybody may read: neither a password nor a signature."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def request_of(url: str, headers: Mapping[str, str]) -> urllib.request.Request:
    """Return the request for a URL; user and password in it become a header, for this server alone."""
    parts = urllib.parse.urlsplit(url)
    who, _at, where = parts.netloc.rpartition("@")
    plain = urllib.parse.urlunsplit(parts._replace(netloc=where))
    request = urllib.request.Request(plain, headers={"User-Agent": "hotstack.os", **headers})  # noqa: S310
    if who:
        user, _colon, password = map(urllib.parse.unquote, who.partition(":"))
        word = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {word}")
    return request


def listed_digest(text: str, name: str) -> str | None:
    """Return the digest of a file from a file of checksums, in the form of sha256sum or of BSD; one alone is it."""
    digests = []
    for line in text.splitlines():
        bsd = re.fullmatch(r"\w+ \((.+)\) = ([0-9A-Fa-f]{32,128})", line.strip())
        plain = re.fullmatch(r"([0-9A-Fa-f]{32,128})(?:\s+[*]?(\S+))?", line.strip())
        found = (bsd[1], bsd[2]) if bsd else (plain[2] or "", plain[1]) if plain else None
        if found and posixpath.basename(found[0]) == name:
            return found[1].lower()
        if found:
            digests.append(found[1].lower())
    return digests[0] if len(digests) == 1 else None


def range_headers(have: int, known: Mapping[str, str], verifiable: bool) -> dict[str, str]:
    """Return the headers that ask for the rest; none if it is not certain that it belongs to what is there."""
    validator = known.get("etag", "") if not known.get("etag", "").startswith("W/") else known.get("last_modified", "")
    if not have or not (validator or verifiable):
        return {}
    return {"Range": f"bytes={have}-", **({"If-Range": validator} if validator else {})}


def space_problem(needed: int, free: int, folder: str) -> str | None:
    """Return the sentence that says that there is not enough space, if so."""
    if needed <= free:
        return None
    return f"it needs {mib(needed)} MiB in {folder}, where only {mib(free)} MiB are free"


def mib(size: float) -> int:
    """Return a size in MiB, rounded up."""
    return int(-(-size // MIB))


def progress(name: str, done: int, total: int, seconds: float) -> str:
    """Return the line that says how a download gets on."""
    share = f" of {mib(total)} MiB ({done * 100 // total} %)" if total else " MiB"
    return f"{name}: {mib(done)}{share}, {seconds:.0f} s"


# --- files


def digests(path: str, *algorithms: str) -> dict[str, str]:
    """Return digests of a file, all from one reading."""
    hashes = {name: hashlib.new(name) for name in algorithms}
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            for one in hashes.values():
                one.update(block)
    return {name: one.hexdigest() for name, one in hashes.items()}


def remembered_digest(path: str, cache: str) -> str:
    """Return the SHA-512 of a file, read again only if the file has changed."""
    status = os.stat(path)
    mark = f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"
    memory = os.path.join(cache, hashlib.sha256(path.encode()).hexdigest()[:16] + ".sha512")
    known, digest = (read_json(memory) or {}).get("mark"), (read_json(memory) or {}).get("sha512", "")
    if known != mark or not digest:
        digest = digests(path, "sha512")["sha512"]
        os.makedirs(cache, mode=0o700, exist_ok=True)
        write_text(memory, json.dumps({"path": path, "mark": mark, "sha512": digest}), 0o600)
    return str(digest)


def read_json(path: str) -> dict[str, Any] | None:
    """Return what a file of ours holds; None for one that is not there or was only half written."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def check_format(path: str, disk_format: str) -> None:
    """Refuse what is no image of its format, such as the page of a portal."""
    with open(path, "rb") as file:
        begin = file.read(4)
    if not begin:
        raise DownloadError("the file is empty")
    if disk_format == "qcow2" and begin != b"QFI\xfb":
        raise DownloadError("the file is no qcow2 image")


# --- the network


class Downloader:
    """Downloads into a folder."""

    def __init__(self, cache: str, proxy: str, ca_bundle: str, tell: Tell) -> None:
        """Download through a proxy, and with certificates of a file beside the system's, where they are given."""
        self.cache = cache
        self.tell = tell
        context = ssl.create_default_context()
        if ca_bundle:
            context.load_verify_locations(ca_bundle)
        handlers: list[Any] = [urllib.request.HTTPSHandler(context=context)]
        if proxy:
            handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
        self.locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self.opener = urllib.request.build_opener(*handlers)

    def open(self, url: str, headers: Mapping[str, str]) -> Any:
        """Return an answer of the server; its refusal is final, its absence is not."""
        try:
            return self.opener.open(request_of(url, headers), timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code in (304, 416):
                return error
            if error.code >= 500 or error.code == 429:
                raise InterruptedDownloadError(f"the server answers {error.code} {error.reason}") from None
            raise DownloadError(f"{public_url(url)} answers {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            raise InterruptedDownloadError(str(getattr(error, "reason", error))) from None

    def text_of(self, url: str) -> str:
        """Return a text of a server."""
        with self.open(url, {}) as answer:
            try:
                return str(answer.read(MIB).decode(errors="replace"))
            except (OSError, http.client.HTTPException) as error:
                raise InterruptedDownloadError(f"the connection broke: {error}") from None

    def expected(self, url: str, checksum: str) -> tuple[str, str]:
        """Return algorithm and digest of a checksum, which may have to be looked up in a file of them."""
        algorithm, _colon, digest = checksum.partition(":")
        if "://" in digest:
            name = posixpath.basename(urllib.parse.urlsplit(url).path)
            text = self.patiently(lambda: self.text_of(digest), digest)
            found = listed_digest(text, name)
            if found is None:
                raise DownloadError(f"{public_url(digest)} has no checksum of {name}")
            digest = found
        return algorithm, digest

    def patiently(self, act: Callable[[], Any], url: str) -> Any:
        """Return what an act returns that may be interrupted a few times."""
        for attempt in range(ATTEMPTS):
            try:
                return act()
            except InterruptedDownloadError as error:
                if attempt == ATTEMPTS - 1:
                    raise DownloadError(f"{public_url(url)} can't be downloaded: {error}") from None
                time.sleep(2**attempt)
        raise AssertionError

    def fetch(self, image: Mapping[str, Any]) -> tuple[dict[str, str], bool]:
        """Return the verified file of an image with its digest, and whether something of it was downloaded."""
        path = os.path.join(self.cache, cache_name(image["url"], image["checksum"]))
        # Two images may have the same URL.
        with self.locks[path]:
            new = self.fetch_to(path, image)
            return {"path": path, "sha512": remembered_digest(path, self.cache)}, new

    def fetch_to(self, path: str, image: Mapping[str, Any]) -> bool:
        """Fetch to this path, which nobody else does meanwhile; return whether something was downloaded."""
        url = image["url"]
        algorithm, digest = self.expected(url, image["checksum"])
        note = read_json(path + ".json") or {}
        if os.path.exists(path) and (note.get("digest") == digest if digest else not image["refresh"]):
            return False
        new = self.patiently(lambda: self.transfer(image, path, note, verifiable=bool(digest)), url)
        if not new:
            return False
        part = path + ".part"
        found = digests(part, algorithm)[algorithm] if digest else ""
        try:
            if found != digest:
                raise DownloadError(f"its checksum is {algorithm}:{found}, but should be {algorithm}:{digest}")
            check_format(part, image["disk_format"])
        except DownloadError as error:
            os.unlink(part)
            raise DownloadError(f"{public_url(url)} was downloaded and removed again: {error}") from None
        os.rename(part, path)
        # The note of a partial file becomes that of the whole one, and never says of an earlier one that it is right.
        write_text(path + ".json", json.dumps({**(read_json(part + ".json") or {}), "digest": digest}), 0o600)
        os.unlink(part + ".json")
        return True

    def transfer(self, image: Mapping[str, Any], path: str, note: Mapping[str, str], *, verifiable: bool) -> bool:
        """Complete the partial file; return False where the server says that the whole one is still right."""
        part = path + ".part"
        have = os.path.getsize(part) if os.path.exists(part) else 0
        headers = range_headers(have, read_json(part + ".json") or {}, verifiable)
        if not headers and os.path.exists(path) and not verifiable and note.get("etag"):
            headers = {"If-None-Match": note["etag"]}
        with self.open(image["url"], headers) as answer:
            if answer.status == 304:
                return False
            if answer.status == 416:
                # Nothing is left to send, or what is there is longer than it should be.
                if answer.headers.get("Content-Range", "").endswith(f"/{have}"):
                    return True
                os.unlink(part)
                raise InterruptedDownloadError("the server has another file now")
            go_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            have = have if go_on else 0
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else 0
            problem = space_problem(total - have, shutil.disk_usage(self.cache).free, self.cache)
            if problem:
                raise DownloadError(problem)
            note = {"url": public_url(image["url"])}
            for key, header in (("etag", "ETag"), ("last_modified", "Last-Modified")):
                note[key] = answer.headers.get(header) or ""
            write_text(part + ".json", json.dumps(note), 0o600)
            self.receive(image["name"], answer, part, have, total)
        return True

    def receive(self, name: str, answer: Any, part: str, have: int, total: int) -> None:
        """Write what the server sends."""
        begin = told = time.monotonic()
        self.tell(f"{name}: {'going on' if have else 'downloading'}" + (f", {mib(total - have)} MiB" if total else ""))
        with open(part, "ab" if have else "wb") as file:
            while True:
                try:
                    block = answer.read(BLOCK)
                except (OSError, http.client.HTTPException) as error:
                    raise InterruptedDownloadError(f"the connection broke after {mib(have)} MiB: {error}") from None
                if not block:
                    break
                file.write(block)
                have += len(block)
                if time.monotonic() - told >= TELL_SECONDS:
                    told = time.monotonic()
                    self.tell(progress(name, have, total, told - begin))
        if total and have != total:
            raise InterruptedDownloadError(f"the connection ended after {have} of {total} bytes")
        self.tell(progress(name, have, total, time.monotonic() - begin))


def local_file(image: Mapping[str, Any], cache: str) -> dict[str, Any]:
    """Return path and digest of an image that is a file of this host."""
    path = image["file"]
    if not os.path.isfile(path):
        raise DownloadError(f"there is no file {path} on this host")
    check_format(path, image["disk_format"])
    sha512 = remembered_digest(path, cache)
    algorithm, _colon, digest = image["checksum"].partition(":")
    if "://" in digest:
        raise DownloadError(f"the checksum of {path} must be a digest itself, not a URL")
    if digest:
        found = sha512 if algorithm == "sha512" else digests(path, algorithm)[algorithm]
        if found != digest:
            raise DownloadError(f"the checksum of {path} is {algorithm}:{found}, but should be {algorithm}:{digest}")
    return {"path": path, "sha512": sha512}


def fetch_all(images: list[dict[str, Any]], downloader: Downloader) -> dict[str, Any]:
    """Fetch images, a few at a time; one that fails does not stop the others."""

    def fetch(image: dict[str, Any]) -> tuple[dict[str, Any] | None, str, bool]:
        try:
            if image["file"]:
                return local_file(image, downloader.cache), "", False
            file, new = downloader.fetch(image)
            return file, "", new
        except DownloadError as error:
            reason = str(error)
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        downloader.tell(f"{image['name']}: failed, {reason}")
        return None, reason, False

    os.makedirs(downloader.cache, mode=0o700, exist_ok=True)
    with open(os.path.join(downloader.cache, "lock"), "w", encoding="ascii") as lock:
        # Another run of this may download the same.
        fcntl.flock(lock, fcntl.LOCK_EX)
        with ThreadPoolExecutor(PARALLEL) as pool:
            done = dict(zip((image["name"] for image in images), pool.map(fetch, images)))
    return {
        "changed": any(new for _file, _reason, new in done.values()),
        "files": {name: file for name, (file, _reason, _new) in done.items() if file},
        "failures": {name: reason for name, (_file, reason, _new) in done.items() if reason},
    }
