# SPDX-License-Identifier: Apache-2.0
"""Downloads from a server that can do all that servers do to a download."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import image_downloads
from ansible_collections.hotstack.os.plugins.module_utils.image_downloads import Downloader

CONTENT = b"QFI\xfb" + bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves one file, and misbehaves as it is told."""

    server: Server

    def do_GET(self) -> None:
        state = self.server
        asked = self.headers.get("Range")
        state.requests.append(f"{self.path} {asked or ''}".strip())
        state.authorizations.append(self.headers.get("Authorization", ""))
        if state.failures:
            self.send_response(state.failures.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = state.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        if state.etag and self.headers.get("If-None-Match") == state.etag:
            self.send_response(304)
            self.end_headers()
            return
        start = 0
        if asked and self.headers.get("If-Range", state.etag) == state.etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        if asked and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        if state.etag:
            self.send_header("ETag", state.etag)
        self.end_headers()
        end = state.breaks.pop(0) if state.breaks else len(content)
        self.wfile.write(content[start:end])
        self.close_connection = True

    def log_message(self, *_arguments: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/cirros.img": CONTENT}
        self.requests: list[str] = []
        self.authorizations: list[str] = []
        # After how many bytes the next answers break off, and which errors come before anything else.
        self.breaks: list[int] = []
        self.failures: list[int] = []
        self.etag = '"one"'

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Fetch:
    """Fetches images into a folder, and keeps what is told."""

    def __init__(self, server: Server, cache: Path) -> None:
        self.server, self.cache = server, cache
        self.told: list[str] = []

    def image(self, **values: Any) -> dict[str, Any]:
        line = {"name": "cirros", "url": f"{self.server.url}/cirros.img", "file": "", "checksum": f"sha256:{DIGEST}"}
        return {**line, "disk_format": "qcow2", "refresh": False, **values}

    def __call__(self, *images: dict[str, Any]) -> dict[str, Any]:
        self.server.requests.clear()
        downloader = Downloader(str(self.cache), "", "", self.told.append)
        return image_downloads.fetch_all(list(images) or [self.image()], downloader)

    def failure(self, *images: dict[str, Any]) -> str:
        result = self(*images)
        assert result["files"] == {}
        return str(result["failures"]["cirros"])


@pytest.fixture
def fetch(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return Fetch(server, tmp_path / "cache")


def test_download_and_a_second_run(fetch: Fetch) -> None:
    result = fetch()
    assert (result["changed"], result["failures"]) == (True, {})
    found = result["files"]["cirros"]
    assert Path(found["path"]).read_bytes() == CONTENT
    assert found["sha512"] == hashlib.sha512(CONTENT).hexdigest()
    assert fetch.told[-1] == "cirros: 1 of 1 MiB (100 %), 0 s"
    assert fetch() == {"changed": False, "files": result["files"], "failures": {}}
    assert fetch.server.requests == []


@pytest.mark.parametrize("checksum", [f"sha256:{DIGEST}", ""])
def test_a_broken_download_goes_on(fetch: Fetch, checksum: str) -> None:
    fetch.server.breaks = [4000, 8000]
    result = fetch(fetch.image(checksum=checksum))
    assert Path(result["files"]["cirros"]["path"]).read_bytes() == CONTENT
    assert fetch.server.requests == ["/cirros.img", "/cirros.img bytes=4000-", "/cirros.img bytes=8000-"]


def test_the_next_run_goes_on(fetch: Fetch) -> None:
    fetch.server.breaks = [4000] * image_downloads.ATTEMPTS
    assert "the connection ended after 4000 of 10244 bytes" in fetch.failure()
    assert fetch()["failures"] == {}
    assert fetch.server.requests == ["/cirros.img bytes=4000-"]


def test_a_file_that_changed_meanwhile_begins_anew(fetch: Fetch) -> None:
    fetch.server.breaks = [4000] * image_downloads.ATTEMPTS
    fetch(fetch.image(checksum=""))
    other = b"QFI\xfb" + b"other" * 2000
    fetch.server.files["/cirros.img"], fetch.server.etag = other, '"two"'
    result = fetch(fetch.image(checksum=""))
    assert Path(result["files"]["cirros"]["path"]).read_bytes() == other


def test_without_proof_that_it_is_the_same_file_it_begins_anew(fetch: Fetch) -> None:
    fetch.server.breaks, fetch.server.etag = [4000], ""
    assert fetch(fetch.image(checksum=""))["failures"] == {}
    assert fetch.server.requests == ["/cirros.img", "/cirros.img"]


@pytest.mark.parametrize("partial", [CONTENT, CONTENT + b"more"])
def test_a_part_that_is_whole_or_too_long(fetch: Fetch, partial: bytes) -> None:
    fetch.cache.mkdir()
    name = image_downloads.cache_name(fetch.image()["url"], fetch.image()["checksum"])
    (fetch.cache / f"{name}.part").write_bytes(partial)
    (fetch.cache / f"{name}.part.json").write_text("{}")
    result = fetch()
    assert Path(result["files"]["cirros"]["path"]).read_bytes() == CONTENT


def test_a_server_that_is_down_for_a_moment(fetch: Fetch) -> None:
    fetch.server.failures = [503, 429]
    assert fetch()["failures"] == {}


def test_a_server_that_stays_down(fetch: Fetch) -> None:
    fetch.server.failures = [503] * 10
    assert fetch.failure().endswith("/cirros.img can't be downloaded: the server answers 503 Service Unavailable")


def test_no_server(fetch: Fetch) -> None:
    assert "can't be downloaded: " in fetch.failure(fetch.image(url="http://127.0.0.1:9/cirros.img"))


def test_a_failing_one_does_not_stop_the_others(fetch: Fetch) -> None:
    result = fetch(fetch.image(name="gone", url=f"{fetch.server.url}/gone.img"), fetch.image())
    assert result["failures"] == {"gone": f"{fetch.server.url}/gone.img answers 404 Not Found"}
    assert list(result["files"]) == ["cirros"]
    assert any(line.startswith("gone: failed, ") for line in fetch.told)
    assert len(fetch.server.requests) == 2


def test_a_wrong_checksum(fetch: Fetch) -> None:
    checksum = "sha256:" + "0" * 64
    failure = fetch.failure(fetch.image(checksum=checksum))
    assert f"removed again: its checksum is sha256:{DIGEST}, but should be {checksum}" in failure
    assert not list(fetch.cache.glob("*.part"))


@pytest.mark.parametrize(("content", "reason"), [(b"<html>", "no qcow2 image"), (b"", "the file is empty")])
def test_what_is_no_image(fetch: Fetch, content: bytes, reason: str) -> None:
    fetch.server.files["/cirros.img"] = content
    failure = fetch.failure(fetch.image(checksum=""))
    assert reason in failure


@pytest.mark.parametrize(
    "sums",
    [
        f"{'1' * 64}  other.img\n{DIGEST}  cirros.img\n",
        f"{DIGEST.upper()} *cirros.img\n{'1' * 64} *other.img\n",
        f"# cirros.img: 10244 bytes\nSHA256 (cirros.img) = {DIGEST}\n",
        f"{DIGEST}\n",
    ],
)
def test_a_file_of_checksums(fetch: Fetch, sums: str) -> None:
    fetch.server.files["/SUMS"] = sums.encode()
    line = fetch.image(checksum=f"sha256:{fetch.server.url}/SUMS")
    assert fetch(line)["failures"] == {}
    fetch.server.files["/SUMS"] = b"1" * 64 + b"  cirros.img\n"
    assert "but should be sha256:1111" in fetch.failure(line)


def test_a_file_of_checksums_without_ours(fetch: Fetch) -> None:
    fetch.server.files["/SUMS"] = f"{DIGEST} a\n{DIGEST} b\n".encode()
    assert fetch.failure(fetch.image(checksum=f"sha256:{fetch.server.url}/SUMS")).endswith(
        "has no checksum of cirros.img"
    )


def test_a_file_of_checksums_whose_server_breaks_off(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    read, broken = http.client.HTTPResponse.read, [ConnectionResetError(104, "Connection reset by peer")]

    def breaking(self: http.client.HTTPResponse, amount: int | None = None) -> bytes:
        if broken:
            raise broken.pop()
        return read(self, amount)

    monkeypatch.setattr(http.client.HTTPResponse, "read", breaking)
    fetch.server.files["/SUMS"] = f"{DIGEST}\n".encode()
    assert fetch(fetch.image(checksum=f"sha256:{fetch.server.url}/SUMS"))["failures"] == {}


def test_a_password_in_a_url_goes_to_its_server_alone(fetch: Fetch) -> None:
    url = fetch.image()["url"].replace("http://", "http://me:s%40crt@")
    assert fetch(fetch.image(url=url))["failures"] == {}
    assert fetch.server.authorizations == ["Basic bWU6c0BjcnQ="]
    # Without a port, a client that knows no passwords takes it for one.
    failure = fetch.failure(fetch.image(url="http://me:secret@name.invalid/cirros.img"))
    assert failure.startswith("http://name.invalid/cirros.img can't be downloaded: ")
    assert "secret" not in failure


@pytest.mark.parametrize("end", [".img", ".img.json"])
@pytest.mark.parametrize("sums", [True, False])
def test_a_run_killed_at_its_end_leaves_no_earlier_file_for_right(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch, sums: bool, end: str
) -> None:
    line = fetch.image(checksum=f"sha256:{fetch.server.url}/SUMS" if sums else "", refresh=not sums)
    fetch.server.files["/SUMS"] = f"{DIGEST}\n".encode()
    fetch(line)
    newer, rename = b"QFI\xfbnewer", os.rename
    fetch.server.files.update({"/cirros.img": newer, "/SUMS": hashlib.sha256(newer).hexdigest().encode()})
    fetch.server.etag = '"two"'

    def kill(source: str, path: str) -> None:
        if path.endswith(end):
            raise KeyboardInterrupt
        rename(source, path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", kill)
        with pytest.raises(KeyboardInterrupt):
            fetch(line)
    assert Path(fetch(line)["files"]["cirros"]["path"]).read_bytes() == newer


def test_refresh(fetch: Fetch) -> None:
    line = fetch.image(checksum="", refresh=True)
    assert fetch(line)["changed"] is True
    assert fetch(line)["changed"] is False
    assert fetch.server.requests == ["/cirros.img"]
    fetch.server.files["/cirros.img"], fetch.server.etag = b"QFI\xfbnew", '"two"'
    result = fetch(line)
    assert result["changed"] is True
    assert Path(result["files"]["cirros"]["path"]).read_bytes() == b"QFI\xfbnew"


def test_two_images_of_one_url(fetch: Fetch) -> None:
    result = fetch(fetch.image(), fetch.image(name="rescue"))
    assert result["files"]["cirros"] == result["files"]["rescue"]
    assert fetch.server.requests == ["/cirros.img"]


def test_no_space(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=100))
    assert fetch.failure() == f"it needs 1 MiB in {fetch.cache}, where only 1 MiB are free"


def test_a_folder_that_cannot_be_written(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device", "/cache/x")

    monkeypatch.setattr(image_downloads, "write_text", full)
    assert fetch.failure() == "/cache/x: No space left on device"


# --- local files


def test_a_local_file(fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "local.img"
    path.write_bytes(CONTENT)
    line = fetch.image(url="", file=str(path))
    result = fetch(line)
    sha512 = hashlib.sha512(CONTENT).hexdigest()
    assert result == {"changed": False, "files": {"cirros": {"path": str(path), "sha512": sha512}}, "failures": {}}
    assert fetch(fetch.image(url="", file=str(path), checksum=f"sha512:{sha512}"))["failures"] == {}
    path.write_bytes(CONTENT + b"1")
    failure = fetch.failure(line)
    assert f"the checksum of {path} is sha256:" in failure
    unread = fetch.image(url="", file=str(path), checksum=f"sha256:{fetch.server.url}/SUMS")
    assert fetch.failure(unread) == f"the checksum of {path} must be a digest itself, not a URL"
    assert fetch.failure(fetch.image(url="", file="/nowhere")) == "there is no file /nowhere on this host"


def test_a_digest_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    cache = str(tmp_path / "cache")
    first = image_downloads.remembered_digest(str(path), cache)
    monkeypatch.setattr(image_downloads, "digests", lambda *_arguments: {"sha512": "new"})
    assert image_downloads.remembered_digest(str(path), cache) == first
    os.utime(path, ns=(1, 1))
    assert image_downloads.remembered_digest(str(path), cache) == "new"
    memory = next((tmp_path / "cache").glob("*.sha512"))
    assert json.loads(memory.read_text())["path"] == str(path)
    memory.write_text("{half")
    assert image_downloads.remembered_digest(str(path), cache) == "new"


@pytest.mark.parametrize(
    ("have", "known", "verifiable", "headers"),
    [
        (0, {"etag": '"a"'}, True, {}),
        (5, {"etag": '"a"'}, False, {"Range": "bytes=5-", "If-Range": '"a"'}),
        (5, {"etag": 'W/"a"', "last_modified": "then"}, False, {"Range": "bytes=5-", "If-Range": "then"}),
        (5, {}, True, {"Range": "bytes=5-"}),
        (5, {}, False, {}),
    ],
)
def test_range_headers(have: int, known: dict[str, str], verifiable: bool, headers: dict[str, str]) -> None:
    assert image_downloads.range_headers(have, known, verifiable) == headers


def test_names_and_words() -> None:
    assert image_downloads.cache_name("http://x/a b.img?sig=1", "") != image_downloads.cache_name(
        "http://x/a b.img", ""
    )
    assert image_downloads.cache_name("http://x/a%20b.img", "").endswith("-a_20b.img")
    assert image_downloads.public_url("https://u:p@x:8/a.img?sig=1#f") == "https://x:8/a.img"
    assert image_downloads.progress("a", 3 << 20, 0, 4.2) == "a: 3 MiB, 4 s"
