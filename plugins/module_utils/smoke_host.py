# SPDX-License-Identifier: Apache-2.0
"""What the smoke test does on the host itself: a key, ping, SSH, and a look at a guest's screen."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import urllib.request
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from .smoke_checks import SmokeError

# RFC 6455.
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BINARY_FRAME = 0x82


class Screen(NamedTuple):
    """Where the websocket of a noVNC page is."""

    host: str
    port: int
    path: str


def screen_of(url: str) -> Screen:
    """Return the websocket that the page at this URL opens."""
    parts = urlsplit(url)
    path = parse_qs(parts.query).get("path", [""])[0]
    if not parts.hostname or not path:
        raise SmokeError(f"the URL {url}, which names no websocket")
    return Screen(parts.hostname, parts.port or 80, "/" + path.lstrip("/"))


def upgrade(screen: Screen, key: str) -> str:
    """Return the request that turns a connection into a websocket."""
    lines = [
        f"GET {screen.path} HTTP/1.1",
        f"Host: {screen.host}:{screen.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: binary",
    ]
    return "\r\n".join([*lines, "", ""])


def upgraded(answer: str, key: str) -> bool:
    """Return whether the answer to the request is that of a websocket."""
    accept = base64.b64encode(hashlib.sha1((key + WEBSOCKET).encode()).digest()).decode()  # noqa: S324
    lines = answer.split("\r\n")
    headers = {name.lower(): value.strip() for name, _colon, value in (line.partition(":") for line in lines[1:])}
    return lines[0].startswith("HTTP/1.1 101 ") and headers.get("sec-websocket-accept") == accept


def payload(frame: bytes) -> bytes:
    """Return what a short frame of a server carries."""
    return frame[2 : 2 + frame[1]] if len(frame) >= 2 and frame[0] == BINARY_FRAME else b""


class Host:
    """The host, with a key for this run alone."""

    def __init__(self, folder: str, user: str) -> None:
        """Keep the key in a folder, and log in as this user of the guests."""
        for program in ("ssh", "ssh-keygen"):
            if not shutil.which(program):
                raise SmokeError(f"There is no program {program} on this host: install OpenSSH's client.")
        self.key = os.path.join(folder, "key")
        self.user = user
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hotstack-smoke-test", "-f", self.key]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)

    def public_key(self) -> str:
        """Return the public half."""
        with open(f"{self.key}.pub", encoding="utf-8") as file:
            return file.read().strip()

    def ssh(self, address: str) -> list[str]:
        """Return the command that logs in, with nothing of the caller's own keys and known hosts."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "LogLevel": "ERROR",
            "ServerAliveInterval": "15",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        given = [f"-o{name}={value}" for name, value in options.items()]
        return ["ssh", "-F", "/dev/null", "-i", self.key, *given, f"{self.user}@{address}"]

    def run(self, address: str, script: str, timeout: float) -> tuple[int, str]:
        """Run a script in a guest and return its exit status and all that it printed."""
        command = [*self.ssh(address), "sh -s"]
        try:
            done = subprocess.run(
                command,
                check=False,
                input=script,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            printed = error.stdout or b""
            text = printed.decode(errors="replace") if isinstance(printed, bytes) else printed
            return 255, f"{text}\nno end within {timeout:.0f} s"
        return done.returncode, done.stdout

    def answers_ping(self, address: str) -> bool:
        """Return whether an address answers a ping within a second."""
        command = ["ping", "-n", "-q", "-c", "1", "-W", "1", address]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def has_ping(self) -> bool:
        """Return whether this user can ping on this host at all."""
        return bool(shutil.which("ping")) and self.answers_ping("127.0.0.1")

    def see(self, url: str, timeout: float = 20) -> str:
        """Fetch the page of a guest's screen, open its websocket, and return what the screen says first."""
        # It is on this host, which no proxy knows.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=timeout) as page:
            if b"<html" not in page.read().lower():
                raise SmokeError(f"something else than a page at {url}")
        screen, key = screen_of(url), base64.b64encode(secrets.token_bytes(16)).decode()
        with socket.create_connection((screen.host, screen.port), timeout) as connection:
            connection.sendall(upgrade(screen, key).encode())
            with connection.makefile("rb") as answers:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = answers.readline()
                    if not line:
                        break
                    head += line
                text = head.decode(errors="replace")
                if not upgraded(text.rstrip("\r\n"), key):
                    raise SmokeError(f"'{text.partition(chr(13))[0]}' where a websocket should open")
                start = answers.read(2)
                return payload(start + answers.read(start[1] if len(start) == 2 else 0)).decode(errors="replace")
