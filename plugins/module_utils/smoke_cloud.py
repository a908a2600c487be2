# SPDX-License-Identifier: Apache-2.0
"""What the smoke test asks of the cloud, as a program: a line of JSON is a request, a line of JSON its answer.

It runs where openstacksdk is, and ends when its input does.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TextIO

from .smoke_checks import GUESTS, SmokeError, choose, one_line

POLL_SECONDS = 1.0
# For so long Heat may show what was before it began.
BEGIN_SECONDS = 30.0


class SmokeCloud:
    """The requests."""

    def __init__(self, cloud: Any, name: str) -> None:
        """Ask the cloud of an openstacksdk connection."""
        self.cloud = cloud
        self.name = name

    def names(self, image: str, flavor: str, external_network: str) -> dict[str, Any]:
        """Return the ids of what the guests are made of, and the sizes of their flavor."""
        compute, network = self.cloud.compute, self.cloud.network
        flavors = list(compute.flavors())
        chosen = choose("flavor", flavor, _named(flavors), "smoke_test_flavor")
        sizes = next(item for item in flavors if item.id == chosen)
        images = (item for item in self.cloud.image.images(limit=1000) if item.status == "active")
        networks = network.networks(is_router_external=True)
        return {
            "image": choose("image", image, _named(images), "smoke_test_image"),
            "flavor": chosen,
            "external_network": choose(
                "external network", external_network, _named(networks), "smoke_test_external_network"
            ),
            "sizes": {"name": sizes.name, "vcpus": sizes.vcpus, "ram": sizes.ram, "disk": sizes.disk},
        }

    def delete(self, stack: str, keypair: str, timeout: float) -> bool:
        """Delete the stack and the keypair, and return whether there was a stack."""
        found = self.find(stack)
        if found is not None:
            self.cloud.orchestration.delete_stack(found.id)
            self.wait(stack, "DELETE", timeout, former=str(found.status))
        self.cloud.compute.delete_keypair(keypair, ignore_missing=True)
        return found is not None

    def create(
        self,
        *,
        stack: str,
        keypair: str,
        public_key: str,
        template: str,
        parameters: Mapping[str, str],
        timeout: float,
    ) -> dict[str, Any]:
        """Create the keypair and the stack; return its outputs and the seconds until each server was ACTIVE."""
        self.cloud.compute.create_keypair(name=keypair, public_key=public_key)
        made = self.cloud.orchestration.create_stack(
            name=stack, template=template, parameters=dict(parameters), timeout_mins=int(timeout // 60) + 1
        )
        self.wait(stack, "CREATE", timeout)
        ready = self.cloud.orchestration.get_stack(made.id)
        facts = {output["output_key"]: output["output_value"] for output in ready.outputs}
        servers = {guest: self.cloud.compute.get_server(facts[f"{guest}_id"]) for guest in GUESTS}
        facts["active"] = {guest: _seconds(server) for guest, server in servers.items()}
        facts["launched"] = {guest: _moment(server.launched_at).timestamp() for guest, server in servers.items()}
        return facts

    def find(self, stack: str) -> Any:
        """Return the stack of this name; its name is free again a moment after it is DELETE_COMPLETE."""
        return next(iter(self.cloud.orchestration.stacks(name=stack)), None)

    def wait(self, stack: str, action: str, timeout: float, former: str = "") -> None:
        """Wait until the stack has done it. A former failure is none of this time, until it is seen for long."""
        begin = time.monotonic()
        end = begin + timeout
        while True:
            found = self.find(stack)
            status = "no stack" if found is None else str(found.status)
            if status == "CREATE_COMPLETE" if action == "CREATE" else found is None:
                return
            late = time.monotonic() > end
            if status != former or time.monotonic() > begin + BEGIN_SECONDS:
                former = ""
            if (status == f"{action}_FAILED" and not former) or late:
                raise SmokeError(self.stack_failure(stack, action, status, timeout if late else None))
            time.sleep(POLL_SECONDS)

    def stack_failure(self, stack: str, action: str, status: str, timeout: float | None) -> str:
        """Return the text for a stack that did not become what it should."""
        within = f" within {timeout:.0f} s" if timeout else ""
        found = self.find(stack)
        parts = list(self.cloud.orchestration.resources(found)) if found else []
        unfinished = [part for part in parts if str(part.status) not in (f"{action}_COMPLETE", "INIT_COMPLETE")]
        lines = [f"    {part.name}: {part.status}, {one_line(part.status_reason or '')}" for part in unfinished]
        openstack = f"openstack --os-cloud {self.name}"
        look = [f"{openstack} stack failures list {stack}", f"{openstack} stack resource list {stack}"]
        look += [f"{openstack} server show {part.physical_resource_id}" for part in unfinished if part.name in GUESTS]
        look.append("journalctl -u hotstack-os-heat-engine")
        if any(part.name in GUESTS for part in unfinished):
            look += [f"journalctl -u hotstack-os-{service}" for service in ("nova-compute", "nova-scheduler")]
        return "\n".join(
            [
                f"The stack: expected {action}_COMPLETE of the stack {stack}{within}.",
                f"Seen: {status}" + (", with" if lines else ""),
                *lines,
                "Look at:",
                *(f"    {line}" for line in look),
            ]
        )

    def guest(self, server: str) -> dict[str, str]:
        """Return a server's status and the end of its console."""
        found = self.cloud.compute.get_server(server)
        console = self.cloud.compute.get_server_console_output(server, length=200)
        return {"status": str(found.status), "console": str(console.get("output") or "")}

    def screen(self, server: str) -> str:
        """Return the URL of a server's screen in a browser."""
        return str(self.cloud.compute.create_server_remote_console(server, protocol="vnc", type="novnc").url)


def _named(resources: Iterable[Any]) -> list[dict[str, Any]]:
    return [{"id": item.id, "name": item.name} for item in resources]


def _moment(text: str) -> datetime:
    """Return a time of Nova's, which is UTC with or without saying so."""
    plain = text.rstrip("Z").partition(".")[0]
    return datetime.fromisoformat(plain + "+00:00")


def _seconds(server: Any) -> float:
    return (_moment(server.launched_at) - _moment(server.created_at)).total_seconds()


def connect(name: str) -> Any:
    """Return a connection to a cloud of clouds.yaml."""
    import openstack

    names = openstack.config.OpenStackConfig().get_cloud_names()
    if name not in names:
        there = f"there are: {', '.join(sorted(names))}" if names else "there is none at all"
        raise SmokeError(f"clouds.yaml has no cloud '{name}', which smoke_test_cloud names; {there}.")
    return openstack.connect(name, status_code_retries=5, retriable_status_codes=[502, 503], api_timeout=120)


def serve(name: str, requests: Iterable[str], answers: TextIO, open_cloud: Callable[[str], Any] = connect) -> None:
    """Answer requests, each a name and arguments."""
    cloud: SmokeCloud | None = None
    for line in requests:
        request = json.loads(line)
        try:
            cloud = cloud or SmokeCloud(open_cloud(name), name)
            answer = {"result": getattr(cloud, request["call"])(**request["arguments"])}
        except SmokeError as error:
            answer = {"error": str(error)}
        except Exception as error:
            # The client's own errors say what they are.
            kind = type(error).__name__
            answer = {"error": str(error) if str(error).startswith(kind) else f"{kind}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Run as a program; its argument is the cloud's name."""
    serve(sys.argv[1], sys.stdin, sys.stdout)


if __name__ == "__main__":
    main()
