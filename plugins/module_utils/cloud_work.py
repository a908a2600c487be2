# SPDX-License-Identifier: Apache-2.0
"""Bring a cloud to what is wanted, in one process: a JSON document on standard input, a JSON result on standard output.

The module `cloud_resources` starts it where openstacksdk is: in the container image of the services.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from . import cloud_plan as plan
from .cloud_plan import CloudError

# What is listed at once before anything is decided, and the attribute of the connection that lists it.
LISTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "project": ("identity", "projects", {}),
    "role": ("identity", "roles", {}),
    "user": ("identity", "users", {"domain_id": "default"}),
    "flavor": ("compute", "flavors", {}),
    "network": ("network", "networks", {}),
    "subnet": ("network", "subnets", {}),
    "router": ("network", "routers", {}),
    "image": ("image", "images", {"limit": 1000}),
}


# The calls that return what a quota is where nobody set it.
DEFAULT_QUOTAS = {"quota": "get_quota_default", "quota_set": "get_quota_set_defaults"}

# What can be there twice under one name. A service that has just started may answer before it knows who may see what.
UNNOTICED = ("network", "router", "subnet")

# For about half a minute a service may be down.
PATIENCE: dict[str, Any] = {"connect_retries": 6, "status_code_retries": 6, "retriable_status_codes": [502, 503, 504]}


def plain(resource: Any) -> dict[str, Any]:
    """Return a resource by the names of the API, an image with its properties beside its other values."""
    values = dict(resource.to_dict(original_names=True))
    properties = values.pop("properties", None)
    known = {key: value for key, value in values.items() if value is not None}
    return {**(properties if isinstance(properties, Mapping) else {}), **known, "id": resource.id}


class Work:
    """One run: what it finds, and what it does."""

    def __init__(self, cloud: Any, document: Mapping[str, Any]) -> None:
        """Work on the cloud of an openstacksdk connection."""
        self.cloud = cloud
        self.wanted = document
        self.dry: bool = document["check"]
        self.steps: list[plan.Step] = []
        self.result: dict[str, Any] = {"lacking": [], "failed": {}, "too_large": [], "kept": [], "credential": None}
        self.found: dict[str, list[dict[str, Any]]] = {}
        self.ids: dict[str, str | None] = {}
        self.user_cloud: Any = None

    def run(self) -> dict[str, Any]:
        """Do everything that the document asks for."""
        self.read()
        self.refuse()
        if self.wanted["project"]:
            self.identity()
            self.quotas()
        self.flavors()
        self.networks()
        self.routers()
        self.rules()
        if self.wanted["project"]:
            self.log_in()
            self.keypair()
            self.credential()
        self.images()
        return self.result

    # --- reading and settling

    def read(self) -> None:
        """List what is there, from all services at the same time.

        Each service gets one request at a time: Neutron hides everything from those that come together as its first.
        """
        prune = self.wanted["prune"]
        needs = {
            **dict.fromkeys(("project", "role", "user"), self.wanted["project"]),
            "flavor": self.wanted["flavors"] or prune,
            **dict.fromkeys(("network", "subnet", "router"), self.wanted["networks"] or self.wanted["routers"]),
            "image": self.wanted["images"] or prune,
        }
        kinds = [kind for kind, lines in needs.items() if lines]
        services = {LISTS[kind][0] for kind in kinds}
        services |= {"placement"} if self.wanted["flavors"] else set()
        quotas = plan.QUOTAS if prune and self.wanted["project"] else self.wanted["quotas"]
        services |= {plan.QUOTAS[name][0] for name in quotas}
        self.admin = self.cloud.current_project_id

        def listed(service: str) -> dict[str, list[dict[str, Any]]]:
            self.await_service(service)
            return {kind: self.listed(kind) for kind in kinds if LISTS[kind][0] == service}

        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(listed, services):
                self.found.update(found)

    def listed(self, kind: str, **query: Any) -> list[dict[str, Any]]:
        """Return what there is of a kind."""
        service, plural, always = LISTS[kind]
        return [plain(item) for item in getattr(getattr(self.cloud, service), plural)(**always, **query)]

    def await_service(self, service: str) -> None:
        """Wait for a service that was just restarted.

        The client would guess the URL of one that does not say its version, and take the answer for an empty list.
        """
        url = self.cloud.endpoint_for(service.replace("_", "-"))
        if url is None:
            raise CloudError(f"The catalog of the cloud has no service '{service.replace('_', '-')}'.")
        answer = self.cloud.session.get(url, raise_exc=False, **PATIENCE)
        if answer.status_code >= 500:
            raise CloudError(f"{url} answers {answer.status_code} {answer.reason}.")

    def refuse(self) -> None:
        """Refuse what belongs to another project, before anything is changed."""
        for kind, lines in (("network", "networks"), ("router", "routers"), ("image", "images")):
            for line in self.wanted[lines]:
                self.own(kind, line["name"])
        for line in self.wanted["networks"]:
            self.own("subnet", line["subnet"])
            if line["physical_network"]:
                plan.refuse_taken(line, self.found["network"])

    def own(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """Return the administrator's own one of this name, if there is one."""
        found = self.found.get(kind, [])
        if any(item.get("name") == name and plan.owner(item) != self.admin for item in found):
            self.found.setdefault("project", [plain(item) for item in self.cloud.identity.projects()])
        projects = {item["id"]: item["name"] for item in self.found.get("project", [])}
        return plan.own(kind, name, found, self.admin, projects)

    def named(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """Return the one of this name where there can be only one."""
        return next((item for item in self.found[kind] if item.get("name") == name), None)

    def settle(self, kind: str, wanted: Mapping[str, Any], found: Mapping[str, Any] | None, proxy: Any) -> str | None:
        """Bring one thing to what is wanted and return its id, which a thing that would be made does not have."""
        step = plan.decide(kind, wanted, found)
        if step is None:
            return str(found["id"]) if found else None

        def act() -> str:
            if found is not None and step.verb == "update":
                self.update(kind, proxy, found["id"], step.after)
                return str(found["id"])
            if found is not None:
                getattr(proxy, f"delete_{kind}")(found["id"])
            elif kind in UNNOTICED:
                self.look_again(kind, step.name)
            return str(getattr(proxy, f"create_{kind}")(**wanted, **plan.MARKS.get(kind, {})).id)

        made: str | None = self.do(step, act)
        return made or (str(found["id"]) if found else None)

    def update(self, kind: str, proxy: Any, key: str, values: Mapping[str, Any]) -> None:
        """Update these values of one thing, and no other."""
        if kind == "image":
            # The client would remove every property that is not among the values.
            patch = [{"op": "add", "path": f"/{name}", "value": value} for name, value in values.items()]
            headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
            self.call(proxy.patch, f"/images/{key}", json=patch, headers=headers)
        else:
            getattr(proxy, f"update_{kind}")(key, **values)

    def look_again(self, kind: str, name: str) -> None:
        """Refuse to make what was only hidden at first."""
        if any(plan.owner(item) == self.admin for item in self.listed(kind, name=name)):
            raise CloudError(f"The {kind} '{name}' was not there a moment ago; run this again.")

    def prune(self, kind: str, found: Iterable[Mapping[str, Any]], proxy: Any) -> None:
        """Remove what was made here and is not described any more, unless servers were made from it."""
        for item in plan.leftovers(kind, self.wanted[f"{kind}s"], found):
            if not item.get("protected") and not self.in_use(kind, item):
                step = plan.Step("remove", kind, str(item["name"]), {"id": item["id"]})
                self.do(step, partial(getattr(proxy, f"delete_{kind}"), item["id"]))
            elif not item.get("os_hidden"):
                self.result["kept"].append(f"{kind} {item['name']}")

    def in_use(self, kind: str, item: Mapping[str, Any]) -> bool:
        """Return whether a server of any project was made from an image or a flavor."""
        servers = self.cloud.compute.servers(details=False, all_projects=True, limit=1, **{kind: item["id"]})
        return any(True for _server in servers)

    def do(self, step: plan.Step, act: Callable[[], Any]) -> Any:
        """Do a step, unless nothing may be done, and note it."""
        made = None if self.dry else act()
        self.steps.append(step)
        return made

    # --- project and user

    def identity(self) -> None:
        """Make the project and its user, and give the user its roles."""
        identity, project, user = self.cloud.identity, self.wanted["project"], self.wanted["user"]
        values = {"name": project["name"], "description": project["description"], "enabled": True}
        project_id = self.settle("project", {**values, "domain_id": "default"}, self.in_default(project), identity)
        found = self.in_default(user, "user")
        values = {"name": user["name"], "enabled": True, "domain_id": "default", "default_project_id": project_id}
        if found is None:
            step = plan.Step("create", "user", user["name"], {}, values)
            made = self.do(step, lambda: identity.create_user(**values, password=user["password"]))
            user_id = str(made.id) if made else None
        else:
            user_id = self.settle("user", values, found, identity)
        self.ids = {"project": project_id, "user": user_id}
        for name in user["roles"]:
            self.grant(name, user["name"], project["name"])

    def in_default(self, line: Mapping[str, Any], kind: str = "project") -> Mapping[str, Any] | None:
        """Return the project or user of this name in the domain Default."""
        named = (item for item in self.found[kind] if item.get("name") == line["name"])
        return next((item for item in named if item.get("domain_id") == "default"), None)

    def grant(self, name: str, user: str, project: str) -> None:
        """Give the user a role on its project."""
        role = self.named("role", name)
        if role is None:
            raise CloudError(f"There is no role '{name}' for the user '{user}'.")
        identity, ids = self.cloud.identity, self.ids
        if ids["project"] and ids["user"]:
            query = {"user_id": ids["user"], "scope_project_id": ids["project"], "role_id": role["id"]}
            if list(identity.role_assignments(**query)):
                return
        step = plan.Step("create", "role", f"{name} of the user {user} on the project {project}")
        self.do(step, lambda: identity.assign_project_role_to_user(ids["project"], ids["user"], role["id"]))

    def log_in(self) -> None:
        """Connect as the user, whose password is mended if it is another one."""
        user, project = self.wanted["user"], self.wanted["project"]
        if not self.ids["user"] or not self.ids["project"]:
            return
        names = {"username": user["name"], "password": user["password"], "project_name": project["name"]}
        domains = {"user_domain_name": "Default", "project_domain_name": "Default"}

        def connect() -> Any:
            cloud = self.cloud.connect_as(**names, **domains)
            cloud.session.get_token()
            return cloud

        try:
            self.user_cloud = connect()
        except Exception as error:
            if getattr(error, "http_status", None) != 401:
                raise
            step = plan.Step("update", "user", user["name"], {"password": "(another one)"}, {"password": "(hidden)"})
            self.do(step, lambda: self.cloud.identity.update_user(self.ids["user"], password=user["password"]))
            self.user_cloud = None if self.dry else connect()

    def quotas(self) -> None:
        """Set the quotas of the project in each service that has one; others go back to the default, if asked for."""
        project_id, name = self.ids["project"], self.wanted["project"]["name"]
        for service in ("compute", "network", "block_storage"):
            kind = "quota" if service == "network" else "quota_set"
            wanted: dict[str, Any] = plan.quotas_of(service, self.wanted["quotas"])
            others = plan.other_quotas(service, self.wanted["quotas"]) if self.wanted["prune"] else []
            # A project that is yet to be made has all of them by default.
            if others and project_id:
                defaults = self.quota(service, DEFAULT_QUOTAS[kind])
                wanted.update({key: defaults[key] for key in others if key in defaults})
            found = self.quota(service, f"get_{kind}") if wanted and project_id else {}
            after = {key: value for key, value in wanted.items() if found.get(key) != value}
            if after:
                step = plan.Step("update", f"{service} quota", name, {key: found.get(key) for key in after}, after)
                self.do(step, partial(self.set_quota, service, kind, after))

    def quota(self, service: str, call: str) -> dict[str, Any]:
        """Return what a service says of the project's quotas."""
        return dict(getattr(getattr(self.cloud, service), call)(self.ids["project"]).to_dict(original_names=True))

    def set_quota(self, service: str, kind: str, values: Mapping[str, int]) -> None:
        """Set quotas of one service."""
        getattr(getattr(self.cloud, service), f"update_{kind}")(self.ids["project"], **values)

    # --- what guests are made of

    def flavors(self) -> None:
        """Make the flavors; one that differs is replaced, and servers keep their copy of it."""
        for line in self.wanted["flavors"]:
            wanted = plan.flavor_values(line)
            self.settle("flavor", wanted, self.named("flavor", line["name"]), self.cloud.compute)
        if self.wanted["prune"]:
            self.prune("flavor", self.found["flavor"], self.cloud.compute)
        if not self.wanted["flavors"]:
            return
        hosts = [
            {item.resource_class: item.max_unit for item in self.cloud.placement.resource_provider_inventories(host)}
            for host in self.cloud.placement.resource_providers()
        ]
        self.result["too_large"] = plan.too_large(self.wanted["flavors"], hosts)

    def networks(self) -> None:
        """Make each network with its subnet."""
        for line in self.wanted["networks"]:
            neutron = self.cloud.network
            network_id = self.settle("network", plan.network_values(line), self.own("network", line["name"]), neutron)
            self.ids[f"network {line['name']}"] = network_id
            found = self.own("subnet", line["subnet"])
            subnet_id = self.settle("subnet", plan.subnet_values(line, network_id), found, neutron)
            self.ids[f"subnet {line['subnet']}"] = subnet_id

    def routers(self) -> None:
        """Make each router with its gateway and its interfaces."""
        for line in self.wanted["routers"]:
            neutron = self.cloud.network
            outside = self.ids[f"network {line['network']}"]
            wanted = {"name": line["name"], "external_gateway_info": {"network_id": outside}}
            router_id = self.settle("router", wanted, self.own("router", line["name"]), neutron)
            ports = neutron.ports(device_id=router_id) if router_id else []
            attached = {address["subnet_id"] for port in ports for address in port.fixed_ips}
            for subnet in line["subnets"]:
                subnet_id = self.ids[f"subnet {subnet}"]
                if subnet_id not in attached:
                    step = plan.Step("create", "router interface", f"{line['name']} in {subnet}")
                    self.do(step, partial(neutron.add_interface_to_router, router_id, subnet_id=subnet_id))

    def rules(self) -> None:
        """Let in what the rules say, by the group `default` of the administrator's project and of the user's."""
        if not self.wanted["rules"]:
            return
        projects = {"admin": self.admin}
        if self.wanted["project"]:
            projects[self.wanted["project"]["name"]] = self.ids["project"]
        for name, project_id in projects.items():
            group, rules = None, []
            if project_id:
                # To ask for a project's groups makes its group `default`, if it has none yet.
                groups = list(self.cloud.network.security_groups(project_id=project_id, name="default"))
                group = str(groups[0].id)
                rules = [plain(rule) for rule in self.cloud.network.security_group_rules(security_group_id=group)]
            for line in self.wanted["rules"]:
                wanted = plan.rule_values(line, group)
                if not plan.has_rule(wanted, rules):
                    what = f"{line['protocol']} {line['port'] or ''}".strip()
                    step = plan.Step("create", "security group rule", f"{what} in default of the project {name}")
                    self.do(step, partial(self.cloud.network.create_security_group_rule, **wanted))

    def keypair(self) -> None:
        """Give the user its key."""
        line = self.wanted["keypair"]
        if not line:
            return
        keypairs = self.cloud.compute.keypairs(user_id=self.ids["user"]) if self.ids["user"] else []
        found = next((plain(item) for item in keypairs if item.name == line["name"]), None)
        nova = self.user_cloud.compute if self.user_cloud else None
        self.settle("keypair", {"name": line["name"], "public_key": line["public_key"]}, found, nova)

    def credential(self) -> None:
        """Issue the application credential, if there is none whose secret is known."""
        line = self.wanted["credential"]
        if not line:
            return
        user = self.ids["user"]
        listed = self.cloud.identity.application_credentials(user) if user else []
        found = next((item for item in listed if item.name == line["name"]), None)
        if found and found.id == line["known_id"] and not line["reissue"]:
            return

        def issue() -> Any:
            # Only the user may.
            identity = self.user_cloud.identity
            if found:
                identity.delete_application_credential(user, found.id)
            values = {"description": line["description"], "unrestricted": True}
            return identity.create_application_credential(user, line["name"], **values)

        made = self.do(plan.Step("replace" if found else "create", "application credential", line["name"]), issue)
        if made:
            self.result["credential"] = {"id": made.id, "secret": made.secret}

    # --- images

    def images(self) -> None:
        """Upload the images whose content is at hand, name those that lack it, and update the others."""
        for line in self.wanted["images"]:
            found = self.own("image", line["name"])
            if found is not None and found.get("status") != "active":
                found = None
            try:
                if not plan.lacks_content(line, found) or (found and line["path"] and self.has_content(line, found)):
                    self.settle("image", plan.image_values(line), found, self.cloud.image)
                elif line["path"]:
                    self.upload(line, found)
                else:
                    self.result["lacking"].append(line["name"])
            except CloudError as error:
                self.result["failed"][line["name"]] = str(error)
        if self.wanted["prune"]:
            # Those that were put away are listed only by those who ask for them.
            hidden = self.listed("image", is_hidden=True)
            ours = [item for item in self.found["image"] + hidden if plan.owner(item) == self.admin]
            self.prune("image", ours, self.cloud.image)

    @staticmethod
    def has_content(line: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
        """Return whether an image has the content that is at hand, whatever is noted on it."""
        return bool(found.get("os_hash_value") == line["sha512"] and found.get("disk_format") == line["disk_format"])

    def upload(self, line: Mapping[str, Any], found: Mapping[str, Any] | None) -> None:
        """Upload the content that is at hand."""
        values = plan.image_values(line)
        step = plan.Step("replace" if found else "create", "image", line["name"], {}, values)
        self.do(step, partial(self.upload_whole, line, found, values))

    def upload_whole(self, line: Mapping[str, Any], found: Mapping[str, Any] | None, values: Mapping[str, Any]) -> None:
        """Upload under another name, and give the image its name once it is whole."""
        glance = self.cloud.image
        temporary = plan.UPLOADING.format(name=line["name"])
        for item in self.found["image"]:
            unfinished = item["name"] == line["name"] and item.get("status") != "active"
            if plan.owner(item) == self.admin and (item["name"] == temporary or unfinished):
                glance.delete_image(item["id"])
        content = {"disk_format": line["disk_format"], "container_format": "bare"}
        made = self.call(
            glance.post,
            "/images",
            json={**values, **plan.MARKS["image"], "name": temporary, **content},
        ).json()
        try:
            with open(line["path"], "rb") as file:
                headers = {"Content-Type": "application/octet-stream", "Accept": ""}
                self.call(glance.put, f"/images/{made['id']}/file", data=file, headers=headers)
        except Exception:
            glance.delete_image(made["id"])
            raise
        if found:
            self.put_away(found)
        self.update("image", glance, made["id"], {"name": line["name"]})

    @staticmethod
    def call(method: Callable[..., Any], path: str, **arguments: Any) -> Any:
        """Return a good answer of Glance."""
        answer = method(path, **arguments)
        if answer.status_code >= 400:
            words = " ".join(re.sub("<[^>]*>", " ", answer.text).split())
            raise CloudError(f"Glance refuses it: {words[:300] or answer.reason}")
        return answer

    def put_away(self, image: Mapping[str, Any]) -> None:
        """Remove the earlier content; where servers were made from it, hide it instead, for they can be rebuilt.

        One that is protected can't be removed.
        """
        if image.get("protected") or self.in_use("image", image):
            self.update("image", self.cloud.image, image["id"], {"name": plan.replaced_name(image), "os_hidden": True})
        else:
            self.cloud.image.delete_image(image["id"])


def connect(name: str) -> Any:
    """Return a connection to a cloud of clouds.yaml."""
    import openstack

    return openstack.connect(name, api_timeout=600, **PATIENCE)


def work(document: Mapping[str, Any], open_cloud: Callable[[str], Any] = connect) -> dict[str, Any]:
    """Work, and return what was done, also where it ended early."""
    run: Work | None = None
    result: dict[str, Any] = {}
    try:
        run = Work(open_cloud(document["cloud"]), document)
        run.run()
    except CloudError as error:
        result["error"] = str(error)
    except Exception as error:
        # The client's own errors say what they are.
        kind = type(error).__name__
        result["error"] = str(error) if str(error).startswith(kind) else f"{kind}: {error}"
    if run:
        result = {**run.result, **result, "steps": [vars(step) for step in run.steps]}
    return result


def main() -> None:
    """Run as a program."""
    json.dump(work(json.load(sys.stdin)), sys.stdout, default=str)


if __name__ == "__main__":
    main()
