# SPDX-License-Identifier: Apache-2.0
"""What the host answers once the site is deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
MAP: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "roles/settings/defaults/main/services.yml").read_text())[
    "hotstack_os_services"
]
SERVICES = [name for name, line in MAP.items() if not line.get("one_shot")]
PUBLIC = sorted({line["public"] for line in MAP.values() if "public" in line})


@pytest.mark.parametrize("name", [*(f"{name}.service" for name in SERVICES), "target", "infra-setup.service"])
def test_unit_is_active(host: Any, name: str) -> None:
    unit = "hotstack-os.target" if name == "target" else f"hotstack-os-{name}"
    assert host.run("systemctl is-active %s", unit).stdout.strip() == "active"


@pytest.mark.parametrize("service", SERVICES)
def test_container_is_healthy(host: Any, service: str) -> None:
    shown = host.check_output("podman inspect --format '{{.State.Health.Status}}' %s", f"hotstack-os-{service}")
    assert shown.strip() == "healthy"


@pytest.mark.parametrize("service", SERVICES)
def test_container_has_its_address(host: Any, service: str) -> None:
    shown = host.check_output(
        "podman inspect --format '{{json .NetworkSettings.Networks}}' %s", f"hotstack-os-{service}"
    )
    networks = json.loads(shown)
    number = MAP[service].get("address")
    assert not number or networks["hotstack-os"]["IPAddress"] == f"172.31.0.{number}"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_leads_to_the_entry(host: Any, name: str) -> None:
    assert "172.31.0.129" in host.check_output("getent ahostsv4 %s", f"{name}.hotstack-os.local")


@pytest.mark.parametrize("socket", ["tcp://172.31.0.129:53", "udp://172.31.0.129:53", "tcp://172.31.0.10:53"])
def test_listens(host: Any, socket: str) -> None:
    assert host.socket(socket).is_listening


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::"])
def test_dns_listens_nowhere_else(host: Any, address: str) -> None:
    assert not [line for line in host.socket.get_listening_sockets() if line.endswith(f"://{address}:53")]


def test_api_answers(host: Any) -> None:
    answer = json.loads(host.check_output("curl -fsS http://keystone.hotstack-os.local:5000/v3"))
    assert answer["version"]["status"] == "stable"


def test_statistics_want_a_password(host: Any) -> None:
    asked = host.check_output("curl -s -o /dev/null -w '%{http_code}' http://172.31.0.129:8404/stats")
    assert asked.strip() == "401"


@pytest.mark.parametrize(("bridge", "mtu"), [("hot-int", 9216), ("hot-ex", 9216)])
def test_bridge(host: Any, bridge: str, mtu: int) -> None:
    assert host.run("ovs-vsctl br-exists %s", bridge).rc == 0
    assert host.interface(bridge).exists
    assert int(host.file(f"/sys/class/net/{bridge}/mtu").content_string) == mtu


def test_user(host: Any) -> None:
    user = host.user("hotstack")
    assert user.exists
    assert "kvm" in user.groups
    assert user.shell.endswith("nologin")
    assert user.home == "/var/lib/hotstack"
    assert host.file("/var/lib/systemd/linger/hotstack").exists


@pytest.mark.parametrize(
    ("path", "owner", "group", "mode"),
    [
        ("/var/lib/hotstack-os", "root", "root", 0o755),
        ("/var/lib/hotstack-os/nova-instances", "hotstack", "kvm", 0o2775),
        ("/var/lib/hotstack-os/nova-mnt", "root", "kvm", 0o2775),
        ("/var/lib/hotstack-os/cinder-nfs", "root", "kvm", 0o2775),
        ("/var/lib/hotstack-os/credentials.json", "root", "root", 0o600),
        ("/etc/openstack/clouds.yaml", "root", "root", 0o600),
    ],
)
def test_file(host: Any, path: str, owner: str, group: str, mode: int) -> None:
    file = host.file(path)
    assert (file.user, file.group, file.mode) == (owner, group, mode)
