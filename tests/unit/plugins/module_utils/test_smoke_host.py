# SPDX-License-Identifier: Apache-2.0
"""What the smoke test does on the host, with a server of noVNC and programs that only pretend."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import smoke_host
from ansible_collections.hotstack.os.plugins.module_utils.smoke_checks import SmokeError
from ansible_collections.hotstack.os.plugins.module_utils.smoke_host import Host, Screen

KEYGEN = """#!/bin/sh
for last; do :; done
echo private > "$last"
echo "ssh-ed25519 AAAA test" > "$last.pub"
"""
SSH = '#!/bin/sh\ncase "$*" in *@slow*) echo begun; exec sleep 5;; esac\nsh -s\n'
PING = '#!/bin/sh\nfor last; do :; done\n[ "$last" = 127.0.0.1 ]\n'


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"ssh-keygen": KEYGEN, "ssh": SSH, "ping": PING}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return Host(str(tmp_path), "cirros")


def test_the_key_is_of_this_run(host: Host, tmp_path: Path) -> None:
    assert host.public_key() == "ssh-ed25519 AAAA test"
    command = host.ssh("192.0.2.1")
    assert command[-1] == "cirros@192.0.2.1"
    assert str(tmp_path / "key") in command
    for option in ("IdentitiesOnly=yes", "IdentityAgent=none", "UserKnownHostsFile=/dev/null", "BatchMode=yes"):
        assert f"-o{option}" in command
    assert command[1:3] == ["-F", "/dev/null"]


def test_a_host_without_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SmokeError, match="no program ssh on this host"):
        Host(str(tmp_path), "cirros")


def test_run(host: Host) -> None:
    assert host.run("192.0.2.1", "echo out; echo err >&2; exit 3", 10) == (3, "out\nerr\n")
    status, output = host.run("slow", "", 0.5)
    assert status == 255
    assert "no end within" in output


def test_ping(host: Host) -> None:
    assert host.has_ping()
    assert host.answers_ping("127.0.0.1")
    assert not host.answers_ping("192.0.2.1")


@pytest.mark.parametrize(
    ("url", "screen"),
    [
        ("http://nova.lab:6080/vnc_lite.html?path=%3Ftoken%3Dabc", Screen("nova.lab", 6080, "/?token=abc")),
        ("http://nova.lab/vnc_lite.html?path=websockify", Screen("nova.lab", 80, "/websockify")),
    ],
)
def test_screen_of(url: str, screen: Screen) -> None:
    assert smoke_host.screen_of(url) == screen


def test_a_url_without_a_websocket() -> None:
    with pytest.raises(SmokeError, match="names no websocket"):
        smoke_host.screen_of("http://nova.lab:6080/vnc_lite.html")


# The example of RFC 6455.
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("answer", "opened"),
    [
        (f"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}", True),
        ("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: other", False),
        (f"HTTP/1.1 403 Forbidden\r\nSec-WebSocket-Accept: {ACCEPT}", False),
        ("", False),
    ],
)
def test_upgraded(answer: str, opened: bool) -> None:
    assert smoke_host.upgraded(answer, KEY) == opened


@pytest.mark.parametrize(
    ("frame", "carried"),
    [(b"\x82\x04RFB more", b"RFB "), (b"\x88\x02\x03\xe8", b""), (b"", b""), (b"\x82\x00", b"")],
)
def test_payload(frame: bytes, carried: bytes) -> None:
    assert smoke_host.payload(frame) == carried


class Proxy:
    """Serves one page, then opens websockets that greet."""

    def __init__(self, page: bytes, greeting: bytes) -> None:
        self.page, self.greeting = page, greeting
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/vnc_lite.html?path=%3Ftoken%3Dabc"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _address = self.listener.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(4096).decode()
                key = re.search(r"Sec-WebSocket-Key: (\S+)", asked)
                if not key:
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.page)}\r\nConnection: close\r\n\r\n"
                    connection.sendall(head.encode() + self.page)
                elif not self.greeting:
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                else:
                    accept = base64.b64encode(hashlib.sha1((key[1] + smoke_host.WEBSOCKET).encode()).digest())
                    head_line = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept
                    frame = bytes([0x82, len(self.greeting)]) + self.greeting
                    connection.sendall(head_line + b"\r\n\r\n" + frame)


@pytest.fixture
def proxies() -> Iterator[list[Proxy]]:
    made: list[Proxy] = []
    yield made
    for proxy in made:
        proxy.listener.close()


def test_see(host: Host, proxies: list[Proxy]) -> None:
    proxies.append(Proxy(b"<!DOCTYPE html><html></html>", b"RFB 003.008\n"))
    assert host.see(proxies[0].url) == "RFB 003.008\n"


def test_see_goes_by_no_proxy(host: Host, proxies: list[Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    proxies.append(Proxy(b"<html></html>", b"RFB 003.008\n"))
    assert host.see(proxies[0].url) == "RFB 003.008\n"


@pytest.mark.parametrize(
    ("page", "greeting", "said"),
    [
        (b"no page", b"RFB 003.008\n", "something else than a page"),
        (b"<html></html>", b"", "'HTTP/1.1 403 Forbidden' where a websocket should open"),
    ],
)
def test_see_says_what_is_wrong(host: Host, proxies: list[Proxy], page: bytes, greeting: bytes, said: str) -> None:
    proxies.append(Proxy(page, greeting))
    with pytest.raises(SmokeError, match=re.escape(said)):
        host.see(proxies[0].url)
