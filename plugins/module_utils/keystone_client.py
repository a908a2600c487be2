# SPDX-License-Identifier: Apache-2.0
"""The few calls of Keystone's API that registering needs, over one connection and with one token."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from ansible_collections.hotstack.os.plugins.module_utils import time_factor
from ansible_collections.hotstack.os.plugins.module_utils.identity import Name, State, Step, Thing

# The name of a kind in a path; in a body it is the kind itself.
COLLECTIONS = {
    "region": "regions",
    "domain": "domains",
    "role": "roles",
    "project": "projects",
    "user": "users",
    "service": "services",
    "endpoint": "endpoints",
}


class KeystoneError(Exception):
    """An answer that can't be worked with."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class KeystoneUnreachableError(KeystoneError):
    """No answer, or none but server errors, for as long as was allowed."""


class KeystoneClient:
    """A connection to Keystone."""

    def __init__(self, auth_url: str, patience: float) -> None:
        """Prepare for the API at `auth_url`, whose absence is borne for `patience` seconds in all."""
        url = urlsplit(auth_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise KeystoneError(f"'{auth_url}' is not a URL of http or https.")
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(url.hostname, url.port, timeout=60 * time_factor.current())
        self._url, self._path = auth_url, url.path.rstrip("/")
        self._deadline = time.monotonic() + patience
        self._token = ""

    def request(self, method: str, path: str, body: Any = None, accept: tuple[int, ...] = ()) -> tuple[int, Any]:
        """Return status and content of an answer of 2xx or `accept`, trying again while the server can't answer."""
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["X-Auth-Token"] = self._token
        data = None if body is None else json.dumps(body).encode()
        while True:
            try:
                self._connection.request(method, self._path + path, body=data, headers=headers)
                response = self._connection.getresponse()
                status, content = response.status, response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                status, content = 0, str(error).encode()
            if not (status == 0 or status >= 500):
                break
            if time.monotonic() >= self._deadline:
                reason = f"status {status}" if status else content.decode()
                raise KeystoneUnreachableError(f"{method} {self._url}{path} has no good answer: {reason}", status)
            time.sleep(0.5)
        if not (200 <= status < 300 or status in accept):
            raise KeystoneError(f"{method} {self._url}{path}: {_message(content)} (status {status})", status)
        if status == 201 and path == "/auth/tokens" and not self._token:
            self._token = response.getheader("X-Subject-Token") or ""
        return status, _content(content)

    def authenticate(self, user: str, password: str, project: str) -> None:
        """Get the token for all further calls."""
        scope = {"project": {"name": project, "domain": {"name": "Default"}}}
        body = {"auth": {"identity": _identity("Default", user, password), "scope": scope}}
        try:
            self.request("POST", "/auth/tokens", body)
        except KeystoneError as error:
            if error.status == 401:
                raise KeystoneError(f"Keystone refuses the user {user} on the project {project}.", 401) from None
            raise

    def password_is_right(self, domain: str, user: str, password: str) -> bool:
        """Tell whether the user can log in with this password."""
        body = {"auth": {"identity": _identity(domain, user, password), "scope": "unscoped"}}
        status, _content = self.request("POST", "/auth/tokens", body, accept=(401,))
        return status == 201

    def list(self, kind: str, **filters: str) -> list[dict[str, Any]]:
        """Return all objects of a kind that pass the filters."""
        collection = COLLECTIONS[kind]
        path = f"/{collection}?{urlencode(filters)}" if filters else f"/{collection}"
        found: list[dict[str, Any]] = self.request("GET", path)[1][collection]
        return found


def _identity(domain: str, user: str, password: str) -> dict[str, Any]:
    return {
        "methods": ["password"],
        "password": {"user": {"name": user, "domain": {"name": domain}, "password": password}},
    }


def _content(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None


def _message(content: bytes) -> str:
    """Return Keystone's own words."""
    try:
        return str(_content(content)["error"]["message"])
    except (KeyError, TypeError):
        return content.decode(errors="replace")[:200]


def read_state(client: KeystoneClient, wanted: list[Thing]) -> State:
    """Return what is there of what is wanted, and of what that refers to."""
    kinds = {thing.kind for thing in wanted}
    state: State = {("domain", (item["name"],)): item for item in client.list("domain")}
    state.update({("region", (item["id"],)): item for item in client.list("region")})
    if kinds & {"role", "grant"}:
        state.update({("role", (item["name"],)): item for item in client.list("role")})
    if "service" in kinds:
        _read_catalog(client, wanted, state)
    for name in _names_inside_domains(wanted):
        _read_inside_domain(client, name, state)
    for thing in wanted:
        if thing.kind == "user" and thing.name in state:
            user, (domain, own_name) = state[thing.name], thing.key
            user["verified"] = user.get("enabled", False) and client.password_is_right(domain, own_name, thing.password)
            _read_grants(client, thing, wanted, state)
    return state


def _read_catalog(client: KeystoneClient, wanted: list[Thing], state: State) -> None:
    """Read services, of two with the same type the one with the wanted name, and their endpoints."""
    names = {thing.values["name"] for thing in wanted if thing.kind == "service"}
    types = {}
    for item in sorted(client.list("service"), key=lambda item: item.get("name") not in names, reverse=True):
        state["service", (item["type"],)] = item
    for (kind, key), item in state.items():
        if kind == "service":
            types[item["id"]] = key[0]
    for item in client.list("endpoint"):
        if item["service_id"] in types:
            state["endpoint", (types[item["service_id"]], item.get("region_id") or "", item["interface"])] = item


def _names_inside_domains(wanted: list[Thing]) -> list[Name]:
    """Return the projects and users that are wanted or referred to."""
    names = [name for thing in wanted for name in (thing.name, *thing.references.values())]
    return sorted({name for name in names if name[0] in ("project", "user")})


def _read_inside_domain(client: KeystoneClient, name: Name, state: State) -> None:
    kind, (domain, own_name) = name
    present = state.get(("domain", (domain,)))
    if present is None:
        return
    for item in client.list(kind, name=own_name, domain_id=present["id"]):
        state[name] = item


def _read_grants(client: KeystoneClient, user: Thing, wanted: list[Thing], state: State) -> None:
    """Find out which of the user's wanted roles it has."""
    found = client.request("GET", f"/role_assignments?{urlencode({'user.id': state[user.name]['id']})}")[1]
    held = {
        (item["role"]["id"], scope, item["scope"][scope]["id"])
        for item in found["role_assignments"]
        for scope in ("project", "domain")
        if scope in item["scope"] and "OS-INHERIT:inherited_to" not in item["scope"]
    }
    for thing in wanted:
        if thing.kind == "grant" and thing.references["user"] == user.name:
            role, target = state.get(thing.references["role"]), state.get(thing.references["target"])
            if role and target and (role["id"], thing.references["target"][0], target["id"]) in held:
                state[thing.name] = {}


def carry_out(client: KeystoneClient, step: Step, state: State) -> None:
    """Do one step and note its result in the state, so that later steps find the new id."""
    thing = step.thing
    try:
        ids = {role: state[name]["id"] for role, name in thing.references.items()}
    except KeyError as error:
        kind, key = error.args[0]
        raise KeystoneError(
            f"There is no {kind} '{' '.join(key)}' for the {thing.kind} '{' '.join(thing.key)}'."
        ) from None
    if thing.kind == "grant":
        target = COLLECTIONS[thing.references["target"][0]]
        client.request("PUT", f"/{target}/{ids['target']}/users/{ids['user']}/roles/{ids['role']}")
        state[thing.name] = {}
    elif step.verb == "create":
        body = {thing.kind: {**step.values, **ids}}
        state[thing.name] = client.request("POST", f"/{COLLECTIONS[thing.kind]}", body)[1][thing.kind]
    else:
        path = f"/{COLLECTIONS[thing.kind]}/{state[thing.name]['id']}"
        state[thing.name].update(client.request("PATCH", path, {thing.kind: dict(step.values)})[1][thing.kind])
