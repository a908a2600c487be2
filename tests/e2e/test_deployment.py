# SPDX-License-Identifier: Apache-2.0
"""What a user has after `make lab`, and what a second run makes of it."""

from __future__ import annotations

import json

import pytest
from lab import PREFIX, Lab, Play

ROOT_PROCESSES = """
import json, os, subprocess, sys
found = {}
for name in sys.argv[1:]:
    pid = subprocess.check_output(["podman", "inspect", "--format", "{{.State.Pid}}", name], text=True).strip()
    path = open(f"/proc/{pid}/cgroup").read().strip().rpartition("::")[2]
    uids = set()
    for folder, _, files in os.walk("/sys/fs/cgroup" + path):
        for pid in open(folder + "/cgroup.procs").read().split():
            try:
                status = open(f"/proc/{pid}/status").read()
            except OSError:
                continue
            uids.add(status.split("Uid:")[1].split()[1])
    found[name] = sorted(uids)
print(json.dumps(found))
"""


# Name, type and URL, a contract with those who use the cloud.
ENDPOINTS = {
    "keystone": ("identity", "http://keystone.hotstack-os.local:5000/v3/"),
    "glance": ("image", "http://glance.hotstack-os.local:9292"),
    "placement": ("placement", "http://placement.hotstack-os.local:8778"),
    "nova": ("compute", "http://nova.hotstack-os.local:8774/v2.1"),
    "neutron": ("network", "http://neutron.hotstack-os.local:9696"),
    "cinderv3": ("volumev3", "http://cinder.hotstack-os.local:8776/v3/$(project_id)s"),
    "heat": ("orchestration", "http://heat.hotstack-os.local:8004/v1/$(project_id)s"),
}

# What lists workers, and what it says of one that works.
WORKERS: dict[str, tuple[str, object]] = {
    "compute service list": ("State", "up"),
    "hypervisor list": ("State", "up"),
    "network agent list": ("Alive", True),
    "volume service list": ("State", "up"),
    "orchestration service list": ("Status", "up"),
}

# Those that act on the host: they mount, plug and switch. All others are their service's own user.
ROOT_SERVICES = {"nova-compute", "ovn-controller", "neutron-ovn-agent", "cinder-volume"}


@pytest.fixture(scope="module")
def catalog(deployed: Lab) -> list[dict[str, str]]:
    """Return the endpoints."""
    listed: list[dict[str, str]] = json.loads(
        deployed.run("openstack", "--os-cloud", "hotstack-os-admin", "endpoint", "list", "-f", "json")
    )
    return listed


def test_first_deployment(first_deployment: Play) -> None:
    """Deploy on the fresh host."""
    assert first_deployment.status == 0, first_deployment.tail(200)


def test_token(deployed: Lab) -> None:
    """Ask for a token the way the README says."""
    deployed.assert_token()


@pytest.mark.parametrize("name", ENDPOINTS)
def test_endpoint(deployed: Lab, catalog: list[dict[str, str]], name: str) -> None:
    """Find each service in the catalogue as consumers know it, once per interface."""
    kind, url = ENDPOINTS[name]
    found = {line["Interface"]: line for line in catalog if line["Service Name"] == name}
    assert set(found) == {"public", "internal", "admin"}
    said = {(line["Service Type"], line["URL"], line["Region"]) for line in found.values()}
    assert said == {(kind, url, "RegionOne")}


def test_nothing_else_is_in_the_catalogue(deployed: Lab, catalog: list[dict[str, str]]) -> None:
    """See that no endpoint is there twice."""
    assert len(catalog) == 3 * len(ENDPOINTS)


@pytest.mark.parametrize(("command", "state"), WORKERS.items(), ids=WORKERS)
def test_workers_are_up(deployed: Lab, command: str, state: tuple[str, object]) -> None:
    """Ask each API what it knows of its workers."""
    listed = json.loads(deployed.run("openstack", "--os-cloud", "hotstack-os-admin", *command.split(), "-f", "json"))
    key, up = state
    assert listed
    assert {line[key] for line in listed} == {up}, listed


def test_api_by_name(deployed: Lab) -> None:
    """Reach Keystone through the host's own resolution and HAProxy."""
    answer = json.loads(deployed.run("curl", "-fsS", "http://keystone.hotstack-os.local:5000/v3"))
    assert answer["version"]["id"].startswith("v3")


@pytest.mark.parametrize("server", ["172.31.0.129", "172.31.0.10"])
def test_dns_from_the_host(deployed: Lab, server: str) -> None:
    """Ask both addresses of the DNS server."""
    for name in ("keystone", "nova", "neutron-server"):
        answer = deployed.run("dig", "+short", "+time=3", f"@{server}", f"{name}.hotstack-os.local").split()
        assert answer == ["172.31.0.129"]
    assert deployed.run("dig", "+short", f"@{server}", "mariadb.hotstack-os.internal").split() == ["172.31.0.3"]


@pytest.mark.parametrize("server", ["172.31.0.129", "172.31.0.10"])
def test_dns_from_a_container(deployed: Lab, server: str) -> None:
    """Ask both addresses from the container network."""
    command = ("podman", "exec", f"{PREFIX}memcached", "busybox", "nslookup", "keystone.hotstack-os.local", server)
    assert "172.31.0.129" in deployed.run(*command).split("keystone.hotstack-os.local", 1)[1]


def test_units_and_containers(deployed: Lab, services: list[str]) -> None:
    """See all units active and all containers healthy."""
    deployed.assert_healthy(services, seconds=10)
    units = deployed.run("systemctl", "list-units", "--plain", "--no-legend", "--all", "hotstack-os*").splitlines()
    states = {line.split()[0]: line.split()[2] for line in units}
    for service in services:
        assert states[f"{PREFIX}{service}.service"] == "active"
    assert states["hotstack-os.target"] == "active"
    assert states["hotstack-os-infra-setup.service"] == "active"
    assert "failed" not in states.values()


def test_processes_are_not_root(deployed: Lab, services: list[str]) -> None:
    """Look at every process of every container."""
    wanted = [f"{PREFIX}{name}" for name in services if name not in ROOT_SERVICES]
    for name, uids in deployed.python(ROOT_PROCESSES, *wanted).items():
        assert uids, f"{name} has no process"
        assert "0" not in uids, f"{name} has a process of root"


def test_second_run_changes_nothing(deployed: Lab, services: list[str]) -> None:
    """Deploy again: nothing changed, nothing restarted."""
    before = deployed.invocations(services)
    play = deployed.deploy()
    assert play.changed == 0, play.changes
    assert deployed.invocations(services) == before


def test_check_mode_sees_no_change(deployed: Lab) -> None:
    """Ask what a deployment would do on the deployed host."""
    play = deployed.deploy("--check", "--diff")
    assert play.changed == 0, play.changes
