# SPDX-License-Identifier: Apache-2.0
"""What is asked of APIs and databases, on servers of the test's own."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import status_cloud, status_facts
from ansible_collections.hotstack.os.plugins.module_utils.status_cloud import CloudError


class Handler(BaseHTTPRequestHandler):
    """A cloud with one worker."""

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""

    def reply(self, status: int, text: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["auth"]["identity"]["password"]["user"]["password"] != "right":
            return self.reply(401, "{}")
        url = f"http://{self.headers['Host']}"
        endpoints = [{"interface": "admin", "url": "http://wrong"}, {"interface": "public", "url": f"{url}/v2.1/"}]
        catalog = [{"type": "compute", "endpoints": endpoints}]
        return self.reply(201, json.dumps({"token": {"catalog": catalog}}), x_subject_token="token")

    def do_GET(self) -> None:
        if self.headers["X-Auth-Token"] != "token":
            return self.reply(401, "")
        if self.path != "/v2.1/os-services":
            return self.reply(200, "no JSON")
        worker = {"binary": "nova-compute", "host": "node", "state": "up", "status": "enabled", "id": 1}
        return self.reply(200, json.dumps({"services": [worker]}))


class Server(ThreadingHTTPServer):
    """Says nothing of clients that have heard enough."""

    def handle_error(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def cloud() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_workers(cloud: str) -> None:
    session = status_cloud.Session(f"{cloud}/v3", "right", 5)
    assert session.agents("nova") == [status_facts.Agent("nova-compute", "node", True, True, "1")]
    with pytest.raises(CloudError, match="catalogue has no network"):
        session.agents("neutron")


def test_port_that_speaks(cloud: str) -> None:
    assert status_cloud.speaks("127.0.0.1", int(cloud.rpartition(":")[2]), 5)


def test_refused(cloud: str) -> None:
    with pytest.raises(CloudError, match="answered with status 401"):
        status_cloud.Session(f"{cloud}/v3", "wrong", 5)
    with pytest.raises(CloudError, match="no JSON"):
        status_cloud.request("GET", f"{cloud}/other", 5, token="token")


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_nobody_there() -> None:
    with pytest.raises(CloudError, match="gave no answer: Connection refused"):
        status_cloud.request("GET", f"http://127.0.0.1:{closed_port()}/", 5)
    assert not status_cloud.speaks("127.0.0.1", closed_port(), 5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not status_cloud.speaks("127.0.0.1", server.getsockname()[1], 0.05)
        with pytest.raises(CloudError, match="the time was over"):
            status_cloud.request("GET", f"http://127.0.0.1:{server.getsockname()[1]}/", 0.05)


@pytest.fixture
def database() -> Iterator[Callable[[list[bytes]], str]]:
    """Return what starts a server that sends these parts to the first client."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = []

        def start(parts: list[bytes]) -> str:
            def serve() -> None:
                client, _address = server.accept()
                with client:
                    client.recv(4096)
                    for part in parts:
                        client.sendall(part)

            threads.append(threading.Thread(target=serve))
            threads[-1].start()
            return f"tcp:127.0.0.1:{server.getsockname()[1]}"

        yield start
        for thread in threads:
            thread.join()


def test_database(database: Callable[[list[bytes]], str]) -> None:
    answer = json.dumps({"result": [{"rows": []}]}).encode()
    assert status_cloud.ask_ovsdb(database([answer[:7], answer[7:]]), 5) == {"result": [{"rows": []}]}


def test_database_that_breaks_off(database: Callable[[list[bytes]], str]) -> None:
    with pytest.raises(CloudError, match="no whole answer"):
        status_cloud.ask_ovsdb(database([b'{"result"']), 5)


@pytest.mark.parametrize(
    ("remote", "said"),
    [("", "the remote of OVN is none of TCP"), ("unix:/run/x", "none of TCP"), ("tcp:127.0.0.1:1", "gave no answer")],
)
def test_no_database(remote: str, said: str) -> None:
    with pytest.raises(CloudError, match=said):
        status_cloud.ask_ovsdb(remote, 1)


def test_no_dns() -> None:
    # A name server's port that nothing listens on answers at once; one that drops the question does not.
    assert status_cloud.resolve("127.0.0.200", "a.example", 0.2).startswith("no answer: ")


def test_reason_of_an_error_without_words() -> None:
    assert status_cloud.reason(OSError()) == "OSError"
