# SPDX-License-Identifier: Apache-2.0
"""What the tests of consumers ask of the cloud, as a program: its arguments are a verb and what that takes.

It runs where openstacksdk is, and prints the answer as JSON. What it waits for it asks about every second.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openstack
import yaml

# Rescue and rebuild of servers whose disk is a volume.
COMPUTE = "2.93"
PATIENCE = 200.0


class Cloud:
    """The verbs."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud

    @staticmethod
    def until(get: Callable[[], Any], wanted: str, bad: str = "error") -> Any:
        """Return the resource once its status is the wanted one; None stands for `gone`."""
        end = time.monotonic() + PATIENCE
        while True:
            found = get()
            status = "gone" if found is None else str(found.status)
            if status.lower() == wanted.lower():
                return found
            reason = getattr(found, "status_reason", None) or getattr(found, "fault", None) or ""
            if bad in status.lower() or time.monotonic() > end:
                raise RuntimeError(f"expected {wanted}, seen {status} {reason} of {getattr(found, 'name', None)}")
            time.sleep(1)

    # --- stack and images

    def upload(self, name: str, path: str, disk_format: str, properties: str = "{}") -> str:
        """Upload an image and return its id."""
        image = self.cloud.image.create_image(
            name, filename=path, disk_format=disk_format, container_format="bare", wait=True, **json.loads(properties)
        )
        return str(image.id)

    def create_stack(self, name: str, template: str, parameters: str) -> dict[str, Any]:
        """Create a stack by application credential, as scenarios do; return its outputs and its seconds."""
        begin = time.monotonic()
        heat = by_credential().orchestration
        made = heat.create_stack(name=name, template=template, parameters=json.loads(parameters), timeout_mins=5)
        try:
            self.until(lambda: heat.get_stack(made.id), "CREATE_COMPLETE", "failed")
        except RuntimeError as error:
            parts = [f"{part.name}: {part.status} {part.status_reason}" for part in heat.resources(made.id)]
            open_ = [part for part in parts if "CREATE_COMPLETE" not in part]
            raise RuntimeError("\n".join([str(error), *open_])) from None
        outputs = {item["output_key"]: item["output_value"] for item in heat.get_stack(made.id).outputs}
        return {**outputs, "seconds": time.monotonic() - begin}

    def remove(self, stack: str, keypair: str, prefix: str) -> list[str]:
        """Delete the stack and all else whose name has the prefix; return the names that are left."""
        heat, compute, storage = self.cloud.orchestration, self.cloud.compute, self.cloud.block_storage
        servers = [item for item in compute.servers(details=False) if item.name.startswith(prefix)]
        for server in servers:
            compute.delete_server(server, ignore_missing=True)
        for server in servers:
            compute.wait_for_delete(server, interval=1)
        # A volume goes after its snapshots, and those of the stack go with it.
        left = self.clear(storage.snapshots, storage.delete_snapshot, prefix)
        left += self.clear(lambda: heat.stacks(name=stack), heat.delete_stack, prefix)
        left += self.clear(storage.volumes, storage.delete_volume, prefix)
        left += self.clear(self.cloud.image.images, self.cloud.image.delete_image, prefix)
        compute.delete_keypair(keypair, ignore_missing=True)
        return left

    @staticmethod
    def clear(find: Callable[[], Any], delete: Callable[..., Any], prefix: str) -> list[str]:
        """Delete what has the prefix, and return the names of what does not go."""
        for item in find():
            if (item.name or "").startswith(prefix):
                delete(item.id, ignore_missing=True)
        end = time.monotonic() + 90
        while left := [item.name for item in find() if (item.name or "").startswith(prefix)]:
            if time.monotonic() > end:
                return left
            time.sleep(1)
        return []

    # --- servers

    def server(self, name: str, status: str) -> str:
        """Return the id of the server of this name once it has the status."""
        found = self.until(lambda: next(self.cloud.compute.servers(name=f"^{name}$"), None), status)
        return str(found.id)

    def screen(self, name: str) -> str:
        """Return the URL of a server's screen, as soon as it runs."""
        end = time.monotonic() + PATIENCE
        while next(self.cloud.compute.servers(name=f"^{name}$", status="ACTIVE"), None) is None:
            if time.monotonic() > end:
                raise RuntimeError(f"{name} is not ACTIVE")
            time.sleep(1)
        server = next(self.cloud.compute.servers(name=f"^{name}$"))
        return str(self.cloud.compute.create_server_remote_console(server, protocol="vnc", type="novnc").url)

    def act(self, server: str, action: str, status: str) -> None:
        """Ask something of a server, and wait for what it becomes."""
        body = json.loads(action)
        answer = self.cloud.compute.post(f"/servers/{server}/action", json=body, microversion=COMPUTE)
        if answer.status_code >= 400:
            raise RuntimeError(answer.text)
        time.sleep(1)
        self.until(lambda: self.cloud.compute.get_server(server), status)

    def image_of(self, server: str, name: str, tags: str) -> str:
        """Stop a server, make an image of it, tag it, and return its id."""
        self.act(server, '{"os-stop": null}', "SHUTOFF")
        image = self.cloud.compute.create_server_image(server, name)
        self.until(lambda: self.cloud.image.get_image(image.id), "active", "killed")
        for tag in json.loads(tags):
            self.cloud.image.add_tag(image.id, tag)
        return str(image.id)

    def images_with(self, tags: str) -> list[str]:
        """Return the ids of the images that have all these tags."""
        return [item.id for item in self.cloud.image.images(tag=json.loads(tags))]

    def boot(self, name: str, image: str, network: str, keypair: str) -> str:
        """Boot a server from an image, give it a floating IP, and return that."""
        cloud = self.cloud
        flavor = cloud.compute.find_flavor("hotstack.small")
        port = cloud.network.create_port(network_id=network, name=name)
        made = cloud.compute.create_server(
            name=name, image_id=image, flavor_id=flavor.id, networks=[{"port": port.id}], key_name=keypair
        )
        public = cloud.network.find_network("public")
        address = cloud.network.create_ip(floating_network_id=public.id, port_id=port.id)
        self.until(lambda: cloud.compute.get_server(made.id), "ACTIVE")
        return str(address.floating_ip_address)

    def unboot(self, name: str) -> None:
        """Delete that server with its port and floating IP."""
        cloud = self.cloud
        server = cloud.compute.find_server(name)
        if server is not None:
            cloud.compute.delete_server(server)
            cloud.compute.wait_for_delete(server, interval=1)
        for port in cloud.network.ports(name=name):
            for address in cloud.network.ips(port_id=port.id):
                cloud.network.delete_ip(address)
            cloud.network.delete_port(port)

    # --- volumes

    def snapshot(self, volume: str, name: str, force: str = "") -> str:
        """Take a snapshot of a volume and return its id."""
        storage = self.cloud.block_storage
        made = storage.create_snapshot(volume_id=volume, name=name, is_forced=bool(force))
        self.until(lambda: storage.get_snapshot(made.id), "available")
        return str(made.id)

    def volume_from(self, snapshot: str, name: str) -> str:
        """Make a volume from a snapshot and return its id."""
        storage = self.cloud.block_storage
        made = storage.create_volume(snapshot_id=snapshot, name=name, size=1)
        self.until(lambda: storage.get_volume(made.id), "available")
        return str(made.id)

    def delete_snapshot(self, snapshot: str) -> None:
        """Delete a snapshot and wait until it is gone."""
        storage = self.cloud.block_storage
        storage.delete_snapshot(snapshot)
        self.until(lambda: next((item for item in storage.snapshots() if item.id == snapshot), None), "gone")

    def attach(self, server: str, volume: str) -> None:
        """Attach a volume."""
        self.cloud.compute.create_volume_attachment(server, volume_id=volume)
        self.until(lambda: self.cloud.block_storage.get_volume(volume), "in-use")

    def detach(self, server: str, volume: str) -> None:
        """Detach a volume."""
        self.cloud.compute.delete_volume_attachment(server, volume)
        self.until(lambda: self.cloud.block_storage.get_volume(volume), "available")


def by_credential() -> Any:
    """Return the cloud for who has its application credential alone."""
    secret = yaml.safe_load(Path("/etc/openstack/cloud-secret.yaml").read_text())["hotstack_cloud_secrets"]
    names = ("auth_url", "application_credential_id", "application_credential_secret")
    auth = {name: secret.pop(name) for name in names}
    return openstack.connect(load_yaml_config=False, auth=auth, **secret)


def main() -> None:
    """Run as a program."""
    answer = getattr(Cloud(openstack.connect("hotstack-os")), sys.argv[1])(*sys.argv[2:])
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
