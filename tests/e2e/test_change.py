# SPDX-License-Identifier: Apache-2.0
"""Settings and passwords that change: who restarts is known before, and what can't change is refused."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from guests import Guest, pings
from lab import PREFIX, Lab, Play

RENEW = "hotstack_os_credentials_renew"
GIVEN = "hotstack_os_credentials_given"

# Settings of all layers, another value of each, and all that starts again because of it. No two have a service in
# common, so that one run tells about each.
SETTINGS: dict[str, tuple[Any, set[str]]] = {
    "hotstack_os_internal_domain": ("inside.internal", {"dnsmasq"}),
    "hotstack_os_mtu": (
        9000,
        {"neutron-db-sync", "neutron-server", "neutron-periodic-workers", "neutron-ovn-maintenance-worker"},
    ),
    "keystone_token_lifetime": (7200, {"keystone-bootstrap", "keystone"}),
    "nova_cpu_allocation_ratio": (5.0, {"nova-compute"}),
    "ovs_network_console_ports": ("5900-6999", set()),
}
GIVEN_SECRETS = {"haproxy_stats_password": {"haproxy"}}
SECRETS = {
    "placement_service_password": {"placement-db-sync", "placement"},
    "glance_database_password": {"glance-db-sync", "glance"},
    "cinder_database_password": {"cinder-db-sync", "cinder-api", "cinder-scheduler", "cinder-volume"},
    "heat_domain_admin_password": {"heat-db-sync", "heat-api", "heat-engine"},
    "metadata_proxy_secret": {"nova-api-metadata", "neutron-ovn-agent"},
}
# With these the settings go back to what they were.
NOVA = {"nova-db-sync", "nova-api", "nova-api-metadata", "nova-conductor", "nova-scheduler", "nova-novncproxy"}
MORE_SECRETS = {
    "admin_password": {"keystone-bootstrap"},
    "nova_database_password": {*NOVA, "nova-compute"},
    "nova_messaging_password": {*NOVA, "nova-compute", "rabbitmq"},
}

KEPT = "/root/hotstack-test-credentials.json"

# Runs in the lab host, so that the secrets stay there: tries earlier and present ones where they are used.
TRY = r"""
import json, socket, struct, subprocess, sys, urllib.error, urllib.request

def database(user, password):
    options = f"[client]\nhost=172.31.0.3\nuser={user}\npassword={password}\n"
    command = ["podman", "exec", "--interactive", "hotstack-os-mariadb"]
    command += ["mariadb", "--defaults-file=/dev/stdin", "--execute=SELECT 1"]
    return subprocess.run(command, input=options, text=True, capture_output=True, timeout=60).returncode == 0

def frame(stream):
    head = stream.read(7)
    return stream.read(struct.unpack(">BHI", head)[2] + 1)[:4] if head else b""

def messaging(user, password):
    # Connection.Start-Ok; who is let in gets Connection.Tune, others a closed connection.
    answer = f"\0{user}\0{password}".encode()
    method = struct.pack(">HHI", 10, 11, 0) + b"\5PLAIN" + struct.pack(">I", len(answer)) + answer + b"\5en_US"
    with socket.create_connection(("172.31.0.4", 5672), timeout=60) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"AMQP\0\0\x09\1")
        assert frame(stream) == struct.pack(">HH", 10, 10)
        connection.sendall(struct.pack(">BHI", 1, 0, len(method)) + method + b"\xce")
        try:
            return frame(stream) == struct.pack(">HH", 10, 30)
        except ConnectionResetError:
            return False

def keystone(user, password, domain="Default"):
    who = {"name": user, "domain": {"name": domain}, "password": password}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": who}}}}
    url, headers = "http://keystone.hotstack-os.local:5000/v3/auth/tokens", {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=60):
            return True
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        return False

def works(name, secret):
    if name == "heat_domain_admin_password":
        return keystone("heat_domain_admin", secret, "heat")
    user, kind = name.split("_")[:2]
    return {"database": database, "messaging": messaging}.get(kind, keystone)(user, secret)

with open(sys.argv[1]) as earlier, open("/var/lib/hotstack-os/credentials.json") as present:
    earlier, present = json.load(earlier), json.load(present)
print(json.dumps({name: [works(name, earlier[name]), works(name, present[name])] for name in sys.argv[2:]}))
"""
TRIED = re.compile(r"admin_password|.*_(database|service|messaging|admin)_password")


def options(**settings: Any) -> tuple[str, str]:
    """Return how ansible-playbook is told these settings."""
    return "--extra-vars", json.dumps(settings)


def starts(lab: Lab) -> dict[str, str]:
    """Return the id of the last start of every service, those included that end."""
    units = lab.shell("ls /etc/containers/systemd").split()
    return lab.invocations([name.removeprefix(PREFIX).removesuffix(".container") for name in units if PREFIX in name])


def foreseen(play: Play) -> set[str]:
    """Return the services of which a run said that they start or restart."""
    lines = re.findall(r"^(?:Starts|Restarts): (.+)$", play.output, re.MULTILINE)
    return {name for line in lines for name in line.split(", ")}


def change(lab: Lab, guests: dict[str, Guest], *settings: str) -> tuple[set[str], set[str], Play]:
    """Ask what would start again, do it and see what did, while nothing happens to the guests."""
    lab.run("cp", "--preserve=mode", "/var/lib/hotstack-os/credentials.json", KEPT)
    before, boots = starts(lab), {name: guest.boot_id() for name, guest in guests.items()}
    check = lab.deploy("--check", "--diff", *settings)
    assert starts(lab) == before
    with pings(next(iter(guests.values()))) as counted:
        lab.deploy(*settings)
    after = starts(lab)
    assert {name: guest.boot_id() for name, guest in guests.items()} == boots
    sent, answered = counted
    assert sent - answered <= 2, f"{sent - answered} of {sent} pings were lost"
    return foreseen(check), {name for name in after if after[name] != before[name]}, check


def tried(lab: Lab, names: dict[str, set[str]]) -> dict[str, list[bool]]:
    """Return whether the earlier and the present secret works, by name."""
    answer: dict[str, list[bool]] = lab.python(TRY, KEPT, *(name for name in names if TRIED.fullmatch(name)))
    return answer


@pytest.fixture(scope="module", autouse=True)
def kept(deployed: Lab) -> Iterator[None]:
    """Remove the copy of the secrets at the end."""
    yield
    deployed.run("rm", "--force", KEPT)


def test_settings_and_passwords(deployed: Lab, services: list[str], guests: dict[str, Guest]) -> None:
    """Change ten of them at once: exactly the services that use them start again, as foretold."""
    changed = {name: value for name, (value, _services) in SETTINGS.items()}
    given = {name: secrets.token_hex(12) for name in GIVEN_SECRETS}
    expected = [services for _value, services in SETTINGS.values()] + [*SECRETS.values(), *GIVEN_SECRETS.values()]
    assert sum(map(len, expected)) == len(set().union(*expected))

    said, done, check = change(deployed, guests, *options(**changed, **{RENEW: list(SECRETS), GIVEN: given}))
    assert said == done == set().union(*expected)
    deployed.assert_healthy(services, 60)
    # What runs in no container was foretold too, and is in effect.
    assert "5900-6999" in check.output
    assert "5900-6999" in deployed.run("nft", "list", "table", "inet", "hotstack_os")
    assert "9000" in deployed.run("cat", "/sys/class/net/hot-ex/mtu")
    assert set(map(tuple, tried(deployed, SECRETS).values())) == {(False, True)}


def test_back_to_the_defaults(deployed: Lab, services: list[str], guests: dict[str, Guest]) -> None:
    """Undo it, with further passwords: nothing of it is left, and a second run is quiet."""
    undone = [services for _value, services in SETTINGS.values()]
    said, done, _check = change(deployed, guests, *options(**{RENEW: list(MORE_SECRETS)}))
    assert said == done == set().union(*undone, *MORE_SECRETS.values())
    deployed.assert_healthy(services, 60)
    assert "6999" not in deployed.run("nft", "list", "table", "inet", "hotstack_os")
    assert "9216" in deployed.run("cat", "/sys/class/net/hot-ex/mtu")
    assert not deployed.run("dig", "+short", "@172.31.0.129", "keystone.inside.internal").strip()
    assert set(map(tuple, tried(deployed, MORE_SECRETS).values())) == {(False, True)}
    # The cells in the database have no password of their own: Nova finds its guests by way of them.
    assert deployed.run("openstack", "--os-cloud", "hotstack-os", "server", "list", "-f", "value", "-c", "Name").split()
    again = deployed.deploy()
    assert again.changed == 0, again.changes


# The host is asked once about settings, and then about secrets.
REFUSED = {
    "settings": (
        {
            "hotstack_os_data_dir": "/srv/moved",
            "hotstack_os_integration_bridge": "other-int",
            "hotstack_os_container_network": "10.77.0.0/25",
            "hotstack_os_dns_address": "10.77.0.10",
        },
        [
            "hotstack_os_data_dir: found /srv/moved; needed /var/lib/hotstack-os, because this deployment has data",
            "hotstack_os_integration_bridge: found other-int; needed hot-int, which this deployment was made with.",
            "hotstack_os_container_network: found 10.77.0.0/25; needed 172.31.0.0/25 while containers run in it.",
        ],
    ),
    "key": (
        {GIVEN: {"heat_encryption_key": "a" * 32}},
        ["The credential heat_encryption_key can't change any more, because stored data is encrypted with it"],
    ),
}


@pytest.mark.parametrize(("settings", "sentences"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_change_is_refused(deployed: Lab, settings: dict[str, Any], sentences: list[str]) -> None:
    """Refuse before anything is done, and say why."""
    before, digest = starts(deployed), deployed.run("sha256sum", "/var/lib/hotstack-os/credentials.json")
    play = deployed.deploy(*options(**settings), check=False)
    assert play.status != 0
    assert play.changed == 0
    assert [line for line in sentences if line not in play.output] == []
    assert starts(deployed) == before
    assert deployed.run("sha256sum", "/var/lib/hotstack-os/credentials.json") == digest
    assert deployed.attempt("test", "-e", "/srv/moved").returncode != 0
