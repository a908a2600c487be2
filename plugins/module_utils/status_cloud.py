# SPDX-License-Identifier: Apache-2.0
"""What `status` asks the cloud: its APIs with one token, OVN's database, and the DNS server.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from . import status_facts

# The APIs that list workers, by the type of their service in the catalogue, and the path of the list.
WORKERS = {
    "nova": ("compute", "/os-services"),
    "neutron": ("network", "/v2.0/agents"),
    "cinder": ("volumev3", "/os-services"),
}
CHASSIS = ["OVN_Southbound", {"op": "select", "table": "Chassis", "where": [], "columns": ["name", "hostname"]}]


class CloudError(Exception):
    """The cloud gave no usable answer; the text says which and why."""


def request(
    method: str, url: str, patience: float, body: Any = None, token: str = ""
) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Return the content and the headers of an answer; proxies change the case of their names, so that is lower."""
    parts = urlsplit(url)
    headers = {"Content-Type": "application/json", "Connection": "close"}
    if token:
        headers["X-Auth-Token"] = token
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=patience)
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise CloudError(f"{url} gave no answer: {reason(error)}") from error
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise CloudError(f"{url} answered with status {answer.status}")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise CloudError(f"{url} gave an answer that is no JSON") from error
    return content, {name.lower(): value for name, value in answer.getheaders()}


def reason(error: Exception) -> str:
    """Return an error as a phrase."""
    if isinstance(error, TimeoutError):
        return "the time was over"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__


class Session:
    """The administrator's token, and where the APIs are."""

    def __init__(self, auth_url: str, password: str, patience: float) -> None:
        """Log in."""
        self.patience = patience
        domain = {"name": "Default"}
        user = {"name": "admin", "domain": domain, "password": password}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": "admin", "domain": domain}}
        body = {"auth": {"identity": identity, "scope": scope}}
        content, headers = request("POST", f"{auth_url}/auth/tokens", patience, body)
        self.token = headers.get("x-subject-token", "")
        self.urls = public_urls(content)

    def get(self, service: str, path: str) -> Mapping[str, Any]:
        """Return what an API has at a path, by the type of its service in the catalogue."""
        if service not in self.urls:
            raise CloudError(f"Keystone's catalogue has no {service}")
        return request("GET", self.urls[service] + path, self.patience, token=self.token)[0]

    def agents(self, kind: str) -> list[status_facts.Agent]:
        """Return the workers of an API."""
        return status_facts.parse_agents(kind, self.get(*WORKERS[kind]))


def public_urls(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the public URL of each type of service in the catalogue of a token."""
    return {
        service["type"]: endpoint["url"].rstrip("/")
        for service in content["token"]["catalog"]
        for endpoint in service["endpoints"]
        if endpoint["interface"] == "public"
    }


def ask_ovsdb(remote: str, patience: float) -> Mapping[str, Any]:
    """Return what the database at a remote such as tcp:192.0.2.1:6642 knows of chassis."""
    protocol, _colon, rest = remote.partition(":")
    host, _colon, port = rest.rpartition(":")
    if protocol != "tcp" or not port.isdigit():
        raise CloudError(f"the remote {remote or 'of OVN'} is none of TCP")
    end = time.monotonic() + patience
    question = {"method": "transact", "params": CHASSIS, "id": 0}
    data, decoder = "", json.JSONDecoder()
    try:
        with socket.create_connection((host, int(port)), patience) as connection:
            connection.sendall(json.dumps(question).encode())
            while time.monotonic() < end:
                part = connection.recv(65536)
                data += part.decode()
                try:
                    answer: Mapping[str, Any] = decoder.raw_decode(data)[0]
                except ValueError:
                    if not part:
                        break
                else:
                    return answer
    except OSError as error:
        raise CloudError(f"{remote} gave no answer: {reason(error)}") from error
    raise CloudError(f"{remote} gave no whole answer")


def resolve(server: str, name: str, patience: float) -> str:
    """Return the address that a DNS server has for a name, or why it has none."""
    question = status_facts.dns_question(name, secrets.randbelow(65536))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(patience)
        try:
            asking.sendto(question, (server, 53))
            return status_facts.dns_answer(question, asking.recv(4096))
        except OSError as error:
            return f"no answer: {reason(error)}"


def speaks(address: str, port: int, patience: float) -> bool:
    """Return whether a port speaks HTTP. Podman itself listens on published ports, even if nothing gets through."""
    try:
        with socket.create_connection((address, port), patience) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
    except OSError:
        return False
