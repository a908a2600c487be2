# SPDX-License-Identifier: Apache-2.0
"""A cloud as openstacksdk shows it, in memory: as much of it as the program calls."""

from __future__ import annotations

import hashlib
import itertools
from types import SimpleNamespace
from typing import Any

NUMBERS = itertools.count(1)
CREATED = "2026-01-01T00:00:00Z"


class Refused(Exception):  # noqa: N818
    """An answer that is an error."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Refused: {status}")
        self.http_status = status


class Resource:
    """Something with values, by the API's names."""

    def __init__(self, **values: Any) -> None:
        self.values = {"id": f"id{next(NUMBERS)}", **values}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def to_dict(self, original_names: bool) -> dict[str, Any]:
        assert original_names
        return dict(self.values)


class Store:
    """What all services keep, and every call that changed something."""

    def __init__(self) -> None:
        self.kinds: dict[str, list[Resource]] = {}
        self.calls: list[str] = []
        self.quotas: dict[str, dict[str, Any]] = {}
        self.default_quotas: dict[str, dict[str, int]] = {}
        self.used: set[str] = set()
        self.hosts = [{"VCPU": 4, "MEMORY_MB": 8192, "DISK_GB": 100}]
        self.down: set[str] = set()
        self.upload_status = 204

    def add(self, kind: str, **values: Any) -> Resource:
        self.kinds.setdefault(kind, []).append(Resource(**values))
        return self.kinds[kind][-1]

    def find(self, kind: str, name: str) -> Resource:
        return next(item for item in self.kinds[kind] if item.values.get("name") == name)

    def names(self, kind: str) -> list[str]:
        return [item.name for item in self.kinds.get(kind, [])]


class Proxy:
    """One service: lists, creates, updates and deletes by the names of the calls."""

    def __init__(self, store: Store, service: str, project: str) -> None:
        self.store, self.service, self.project = store, service, project

    def __getattr__(self, call: str) -> Any:
        verb, _underscore, kind = call.partition("_")
        if verb == "create":
            return lambda *_parents, **values: self.create(kind, values)
        if verb == "update":
            return lambda item, **values: self.update(kind, item, values)
        if verb == "delete":
            return lambda *items: self.delete(kind, items[-1])
        return lambda *_parents, **query: self.listed(call.removesuffix("s"), query)

    def listed(self, kind: str, query: dict[str, Any]) -> list[Resource]:
        filters = {key: value for key, value in query.items() if key not in ("limit", "domain_id", "user_id")}
        return [
            item
            for item in self.store.kinds.get(kind, [])
            if all(item.values.get(key) == value for key, value in filters.items())
        ]

    def create(self, kind: str, values: dict[str, Any]) -> Resource:
        self.store.calls.append(f"create {kind} {values.get('name', '')}".strip())
        if self.service == "network" and kind in ("network", "subnet", "router"):
            values = {"project_id": self.project, **values}
        if kind == "keypair":
            values = {**values, "id": values["name"]}
        return self.store.add(kind, **values)

    def update(self, kind: str, item: Any, values: dict[str, Any]) -> Resource:
        self.store.calls.append(f"update {kind} {' '.join(sorted(values))}")
        if kind in ("quota", "quota_set"):
            self.store.quotas.setdefault(self.service, {}).update(values)
            return Resource(**values)
        found = next(one for one in self.store.kinds[kind] if one.id == getattr(item, "id", item))
        found.values.update(values)
        return found

    def delete(self, kind: str, item: str) -> None:
        self.store.calls.append(f"delete {kind}")
        self.store.kinds[kind] = [one for one in self.store.kinds[kind] if one.id != item]

    # --- what is special of a service

    def create_application_credential(self, _user: str, name: str, **values: Any) -> Resource:
        return self.create("application_credential", {"name": name, "secret": "told-once", **values})

    def get_quota(self, _project: str) -> Resource:
        return Resource(**self.store.quotas.get(self.service, {}))

    get_quota_set = get_quota

    def get_quota_default(self, _project: str) -> Resource:
        assert self.service == "network"
        return Resource(**self.store.default_quotas.get(self.service, {}))

    def get_quota_set_defaults(self, _project: str) -> Resource:
        assert self.service != "network"
        return Resource(**self.store.default_quotas.get(self.service, {}))

    def role_assignments(self, user_id: str, scope_project_id: str, role_id: str) -> list[Resource]:
        query = {"user": user_id, "project": scope_project_id, "role": role_id}
        return self.listed("role_assignment", query)

    def assign_project_role_to_user(self, project: str, user: str, role: str) -> None:
        self.store.calls.append("assign")
        self.store.add("role_assignment", project=project, user=user, role=role)

    def add_interface_to_router(self, router: str, subnet_id: str) -> None:
        self.store.calls.append("add interface")
        self.store.add("port", device_id=router, fixed_ips=[{"subnet_id": subnet_id}])

    def security_groups(self, project_id: str, name: str) -> list[Resource]:
        """Neutron makes the group when it is asked for."""
        query = {"project_id": project_id, "name": name}
        return self.listed("security_group", query) or [self.store.add("security_group", **query)]

    def resource_providers(self) -> list[dict[str, int]]:
        return self.store.hosts

    def resource_provider_inventories(self, host: dict[str, int]) -> list[SimpleNamespace]:
        return [SimpleNamespace(resource_class=name, max_unit=most) for name, most in host.items()]

    def servers(self, image: str = "", flavor: str = "", **query: Any) -> list[str]:
        assert query["all_projects"] is True
        return ["a server"] if image + flavor in self.store.used else []

    def images(self, is_hidden: bool = False, **query: Any) -> list[Resource]:
        return [one for one in self.listed("image", query) if one.values.get("os_hidden", False) == is_hidden]

    def image(self, path: str) -> Resource:
        return next(item for item in self.store.kinds["image"] if item.id == path.split("/")[2])

    def patch(self, path: str, json: list[dict[str, Any]], headers: dict[str, str]) -> SimpleNamespace:
        assert headers["Content-Type"] == "application/openstack-images-v2.1-json-patch"
        self.store.calls.append("update image " + " ".join(change["path"] for change in json))
        self.image(path).values.update({change["path"][1:]: change["value"] for change in json})
        return SimpleNamespace(status_code=200)

    def post(self, _path: str, json: dict[str, Any]) -> SimpleNamespace:
        self.store.calls.append(f"create image {json['name']}")
        made = self.store.add("image", owner=self.project, status="queued", created_at=CREATED, **json)
        return SimpleNamespace(status_code=201, json=lambda: {"id": made.id})

    def put(self, path: str, data: Any, headers: dict[str, str]) -> SimpleNamespace:
        if self.store.upload_status == 204:
            digest = hashlib.sha512(data.read()).hexdigest()
            self.image(path).values.update(status="active", os_hash_value=digest)
        return SimpleNamespace(status_code=self.store.upload_status, text="<title>413</title> 413 Full")


class FakeCloud:
    """A connection of a user to a project."""

    def __init__(self, store: Store | None = None, project: str = "") -> None:
        self.store = store or Store()
        if not store:
            project = self.store.add("project", name="admin", domain_id="default").id
            self.store.add("role", name="member")
        self.current_project_id = project
        self.session = SimpleNamespace(get=self.get, get_token=lambda: "token")

    def __getattr__(self, service: str) -> Proxy:
        return Proxy(self.store, service, self.current_project_id)

    def endpoint_for(self, service: str) -> str | None:
        return None if f"no {service}" in self.store.down else f"http://{service}"

    def get(self, url: str, **_patience: Any) -> SimpleNamespace:
        down = url.removeprefix("http://") in self.store.down
        return SimpleNamespace(status_code=503 if down else 200, reason="Service Unavailable" if down else "OK")

    def connect_as(self, username: str, password: str, **_names: str) -> FakeCloud:
        user = self.store.find("user", username)
        other = FakeCloud(self.store, self.store.find("project", "hotstack").id)

        def get_token() -> str:
            if user.values.get("password") != password:
                raise Refused(401)
            return "token"

        other.session = SimpleNamespace(get_token=get_token)
        return other
