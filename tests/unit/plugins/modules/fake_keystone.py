# SPDX-License-Identifier: Apache-2.0
"""A Keystone of a hundred lines, with its state in memory and real HTTP."""

from __future__ import annotations

import http.server
import json
import threading
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeKeystone:
    """Objects by collection, role assignments and what to fail with."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, dict[str, Any]]] = {
            name: {} for name in ("regions", "domains", "roles", "projects", "users", "services", "endpoints")
        }
        self.grants: set[tuple[str, str, str, str]] = set()
        self.requests: list[str] = []
        self.failures: list[int] = []
        self.lose_next_answer = False
        domain = self.add("domains", {"id": "default", "name": "Default", "description": "", "enabled": True})
        for role in ("admin", "member", "service"):
            self.add("roles", {"name": role})
        self.add("projects", {"name": "admin", "domain_id": domain["id"], "description": "", "enabled": True})
        self.add("users", {"name": "admin", "domain_id": domain["id"], "password": "root", "enabled": True})

    def add(self, collection: str, values: dict[str, Any]) -> dict[str, Any]:
        item = {"id": uuid.uuid4().hex, **values}
        self.objects[collection][item["id"]] = item
        return item

    def find(self, collection: str, name: str) -> dict[str, Any]:
        return next(item for item in self.objects[collection].values() if item["name"] == name)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any, token: str) -> tuple[int, Any]:
        if self.failures:
            return self.failures.pop(0), {"error": {"message": "later"}}
        parts = path.strip("/").split("/")[1:]
        if parts == ["auth", "tokens"]:
            return self.log_in(body["auth"]["identity"]["password"]["user"])
        if token != "token":
            return 401, {"error": {"message": "Who are you?"}}
        if parts[0] == "role_assignments":
            return 200, {"role_assignments": self.assignments(query["user.id"][0])}
        if method == "PUT":
            self.grants.add((parts[3], parts[5], parts[0][:-1], parts[1]))
            return 204, None
        items, kind = self.objects[parts[0]], parts[0][:-1]
        if method == "GET":
            wanted = {name: values[0] for name, values in query.items()}
            found = [item for item in items.values() if all(item.get(name) == wanted[name] for name in wanted)]
            return 200, {parts[0]: [self.public(item) for item in found]}
        if method == "PATCH":
            items[parts[1]].update(body[kind])
            return 200, {kind: self.public(items[parts[1]])}
        if any(item.get("name", item["id"]) == body[kind].get("name", "-") for item in items.values()):
            return 409, {"error": {"message": "Duplicate entry."}}
        return 201, {kind: self.public(self.add(parts[0], body[kind]))}

    def public(self, item: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in item.items() if name != "password"}

    def log_in(self, user: dict[str, Any]) -> tuple[int, Any]:
        for item in self.objects["users"].values():
            domain = self.objects["domains"][item["domain_id"]]["name"]
            if (domain, item["name"], item["password"]) == (user["domain"]["name"], user["name"], user["password"]):
                return 201, {"token": {}}
        return 401, {"error": {"message": "The request you have made requires authentication."}}

    def assignments(self, user: str) -> list[dict[str, Any]]:
        return [
            {"user": {"id": user}, "role": {"id": role}, "scope": {kind: {"id": target}}}
            for owner, role, kind, target in self.grants
            if owner == user
        ] + [{"user": {"id": user}, "role": {"id": "x"}, "scope": {"system": {"all": True}}}]


class Server(http.server.ThreadingHTTPServer):
    """The fake behind a port."""

    daemon_threads = True

    def __init__(self) -> None:
        self.keystone = FakeKeystone()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v3"


class Handler(http.server.BaseHTTPRequestHandler):
    """Hands requests to the fake."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def handle_any(self) -> None:
        keystone, url = self.server.keystone, urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        keystone.requests.append(f"{self.command} {self.path}")
        token = self.headers.get("X-Auth-Token") or ""
        status, content = keystone.answer(self.command, url.path, parse_qs(url.query), body, token)
        if keystone.lose_next_answer and self.command == "POST" and status == 201 and "tokens" not in self.path:
            keystone.lose_next_answer = False
            self.close_connection = True
            return
        data = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        if "tokens" in self.path and status == 201:
            self.send_header("X-Subject-Token", "token")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_PUT = handle_any  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Stay silent."""
