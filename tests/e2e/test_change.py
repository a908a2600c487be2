# SPDX-License-Identifier: Apache-2.0
"""Settings and passwords that change: who restarts is known before, and what can't change is refused."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from guests import Guest, pings
from lab import PREFIX, ROOT, Lab, Play
from rows import rows

RENEW = "hotstack_os_credentials_renew"
GIVEN = "hotstack_os_credentials_given"

USER = "hotstack-test-change"
CLOUDS = f"/home/{USER}/.config/openstack/clouds.yaml"
NEUTRON = {"neutron-db-sync", "neutron-server", "neutron-periodic-workers", "neutron-ovn-maintenance-worker"}

# One setting and one password, of which is told how long they take.
ONE = {"keystone_token_lifetime": 7200}
ONES = {"keystone-bootstrap", "keystone"}

# Settings of all layers, another value of each, all that starts again because of it, and what of it `--diff` shows. Two
# have the same services or none in common, so that one run tells about each.
SETTINGS: dict[str, tuple[Any, set[str], str]] = {
    "hotstack_os_internal_domain": ("inside.internal", {"dnsmasq"}, "+local=/inside.internal/"),
    "hotstack_os_mtu": (9000, NEUTRON, "+global_physnet_mtu = 9000"),
    "keystone_clouds_users": ([USER], set(), CLOUDS),
    "nova_cpu_allocation_ratio": (5.0, {"nova-compute"}, "+cpu_allocation_ratio = 5.0"),
    "nova_disk_allocation_ratio": (5.5, {"nova-compute"}, "+disk_allocation_ratio = 5.5"),
    "nova_ram_allocation_ratio": (1.5, {"nova-compute"}, "+ram_allocation_ratio = 1.5"),
    "nova_reserved_memory_mib": (3000, {"nova-compute"}, "+reserved_host_memory_mb = 3000"),
    "nova_resume_guests": (False, {"nova-compute"}, "+resume_guests_state_on_host_boot = false"),
    "ovs_network_console_ports": ("5900-6999", set(), "5900-6999"),
}
GIVEN_SECRETS = {"haproxy_stats_password": {"haproxy"}}
SECRETS = {
    "placement_service_password": {"placement-db-sync", "placement"},
    "glance_database_password": {"glance-db-sync", "glance"},
    "cinder_database_password": {"cinder-db-sync", "cinder-api", "cinder-scheduler", "cinder-volume"},
    "heat_domain_admin_password": {"heat-db-sync", "heat-api", "heat-engine"},
    "metadata_proxy_secret": {"nova-api-metadata", "neutron-ovn-agent"},
}
PASSWORD = "glance_database_password"
# With these the settings go back to what they were.
NOVA = {"nova-db-sync", "nova-api", "nova-api-metadata", "nova-conductor", "nova-scheduler", "nova-novncproxy"}
MORE_SECRETS = {
    "admin_password": {"keystone-bootstrap"},
    "nova_database_password": {*NOVA, "nova-compute"},
    "nova_messaging_password": {*NOVA, "nova-compute", "rabbitmq"},
    # Neutron and Cinder sign in as Nova.
    "nova_service_password": {*NOVA, "nova-compute", *NEUTRON, *SECRETS["cinder_database_password"]},
}

KEPT = "/root/hotstack-test-credentials.json"

# Runs in the lab host, so that the secrets stay there: tries earlier and present ones where they are used.
TRY = r"""
import base64, json, pathlib, socket, struct, subprocess, sys, urllib.error, urllib.request

urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))

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

def lets_in(request):
    try:
        with urllib.request.urlopen(request, timeout=60):
            return True
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        return False

def haproxy(_user, password):
    words = base64.b64encode(f"admin:{password}".encode()).decode()
    return lets_in(urllib.request.Request("http://172.31.0.6:8404/stats", headers={"Authorization": f"Basic {words}"}))

def keystone(user, password, domain="Default"):
    who = {"name": user, "domain": {"name": domain}, "password": password}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": who}}}}
    url, headers = "http://keystone.hotstack-os.local:5000/v3/auth/tokens", {"Content-Type": "application/json"}
    return lets_in(urllib.request.Request(url, json.dumps(body).encode(), headers))

def works(name, secret):
    if name == "heat_domain_admin_password":
        return keystone("heat_domain_admin", secret, "heat")
    user, kind = name.split("_")[:2]
    return {"database": database, "messaging": messaging, "stats": haproxy}.get(kind, keystone)(user, secret)

def held(secret):
    files = pathlib.Path("/var/lib/hotstack-os/runtime/config").glob("*/*")
    return sorted({path.parent.name for path in files if path.is_file() and secret in path.read_text(errors="replace")})

with open(sys.argv[1]) as earlier, open("/var/lib/hotstack-os/credentials.json") as present:
    earlier, present = json.load(earlier), json.load(present)
names = sys.argv[2:]
print(json.dumps({
    # That of metadata is tried by a guest.
    "works": {name: [works(name, earlier[name]), works(name, present[name])] for name in names
              if name != "metadata_proxy_secret"},
    "left": {name: held(earlier[name]) for name in names},
    "held": {name: held(present[name]) for name in names},
}))
"""


def options(**settings: Any) -> tuple[str, str]:
    """Return how ansible-playbook is told these settings."""
    return "--extra-vars", json.dumps(settings)


def starts(lab: Lab) -> dict[str, str]:
    """Return the id of the last start of every service, those included that end."""
    units = lab.shell("ls /etc/containers/systemd").split()
    return lab.invocations([name.removeprefix(PREFIX).removesuffix(".container") for name in units if PREFIX in name])


def foreseen(play: Play) -> dict[str, set[str]]:
    """Return by task the services of which a run said that they start or restart."""
    found = {}
    for block in play.output.split("\nTASK [")[1:]:
        lines = re.findall(r"^(?:Starts|Restarts): (.+)$", block, re.MULTILINE)
        if lines:
            found[block.split("]", 1)[0]] = {name for line in lines for name in line.split(", ")}
    return found


def keep_secrets(lab: Lab) -> None:
    """Keep the secrets as they are, to try them when there are others."""
    lab.run("cp", "--preserve=mode", "/var/lib/hotstack-os/credentials.json", KEPT)


def change(lab: Lab, guests: dict[str, Guest], *settings: str) -> tuple[set[str], set[str], Play]:
    """Ask what would start again, do it and see what did, while nothing happens to the guests."""
    keep_secrets(lab)
    before, boots = starts(lab), {name: guest.boot_id() for name, guest in guests.items()}
    check = lab.deploy("--check", "--diff", *settings)
    assert starts(lab) == before
    with pings(next(iter(guests.values()))) as counted:
        play = lab.deploy("--diff", *settings)
    after = starts(lab)
    # Layer by layer the same was said before and then.
    assert foreseen(check) == foreseen(play)
    assert {name: guest.boot_id() for name, guest in guests.items()} == boots
    sent, answered = counted
    assert sent - answered <= 2, f"{sent - answered} of {sent} pings were lost"
    return set().union(*foreseen(check).values()), {name for name in after if after[name] != before[name]}, check


def assert_renewed(lab: Lab, names: dict[str, set[str]]) -> dict[str, list[str]]:
    """See that the present secrets work and the earlier ones are gone; return who has the present ones, by name."""
    answer = lab.python(TRY, KEPT, *names)
    assert answer["works"] == {name: [False, True] for name in names if name != "metadata_proxy_secret"}
    assert answer["left"] == {name: [] for name in names}
    held: dict[str, list[str]] = answer["held"]
    # Who has it in his configuration is who started again.
    assert [name for name, services in names.items() if not set(held[name]) <= services] == []
    return held


def assert_metadata(guest: Guest) -> None:
    """Wait until Nova tells the guest its name: it believes an agent that has the same secret."""
    ask = "wget -q -T 10 -O - http://169.254.169.254/openstack/latest/meta_data.json || true"
    guest.lab.wait(lambda: f'"{guest.name}"' in guest.run(ask), f"{guest.name} reads its metadata", 60)


@pytest.fixture(scope="module", autouse=True)
def kept(deployed: Lab) -> Iterator[None]:
    """Have a user of the host; at the end remove it and the copy of the secrets."""
    deployed.shell(f"id {USER} 2>/dev/null || useradd --create-home {USER}")
    yield
    deployed.run("userdel", "--force", "--remove", USER)
    deployed.run("rm", "--force", KEPT)


@pytest.fixture(scope="module")
def one_setting(deployed: Lab) -> set[str]:
    """Change one setting, which the next run keeps, and one password, and return what started again."""
    keep_secrets(deployed)
    before = starts(deployed)
    play = deployed.deploy(*options(**ONE, **{RENEW: [PASSWORD]}))
    print(f"one setting and one password: {play.seconds:.0f} s")
    after = starts(deployed)
    return {name for name in after if after[name] != before[name]}


def test_one_setting_and_one_password(deployed: Lab, services: list[str], one_setting: set[str]) -> None:
    """Change one of each: the services that use them start again, and no others, and the earlier password is void."""
    assert one_setting == ONES | SECRETS[PASSWORD]
    deployed.assert_healthy(services, 60)
    assert_renewed(deployed, {PASSWORD: SECRETS[PASSWORD]})


@pytest.mark.full
@pytest.mark.usefixtures("one_setting")
def test_settings_and_passwords(deployed: Lab, services: list[str], guests: dict[str, Guest]) -> None:
    """Change eleven settings at once, those of passwords too: exactly what uses them starts again, as foretold."""
    changed = {name: value for name, (value, _services, _shown) in SETTINGS.items()}
    given = {name: secrets.token_hex(12) for name in GIVEN_SECRETS}
    renewed = {**SECRETS, **GIVEN_SECRETS}
    expected = [services for _value, services, _shown in SETTINGS.values()] + [*renewed.values()]
    assert sum(map(len, set(map(frozenset, expected)))) == len(set().union(*expected))

    said, done, check = change(deployed, guests, *options(**ONE, **changed, **{RENEW: list(SECRETS), GIVEN: given}))
    assert said == done == set().union(*expected)
    deployed.assert_healthy(services, 60)
    # What runs in no container was foretold too, and is in effect.
    assert [name for name, (_value, _services, shown) in SETTINGS.items() if shown not in check.output] == []
    assert deployed.run("stat", "--format=%a %U", CLOUDS).split() == ["600", USER]
    assert "5900-6999" in deployed.run("nft", "list", "table", "inet", "hotstack_os")
    assert "9000" in deployed.run("cat", "/sys/class/net/hot-ex/mtu")
    assert_renewed(deployed, renewed)
    assert_metadata(guests["from-image"])


@pytest.mark.full
def test_back_to_the_defaults(deployed: Lab, services: list[str], guests: dict[str, Guest]) -> None:
    """Undo it, with further passwords: nothing of it is left, and a second run is quiet."""
    undone = [ONES, *(services for _value, services, _shown in SETTINGS.values())]
    said, done, _check = change(deployed, guests, *options(**{RENEW: list(MORE_SECRETS)}))
    assert said == done == set().union(*undone, *MORE_SECRETS.values())
    deployed.assert_healthy(services, 60)
    assert "6999" not in deployed.run("nft", "list", "table", "inet", "hotstack_os")
    assert "9216" in deployed.run("cat", "/sys/class/net/hot-ex/mtu")
    assert not deployed.run("dig", "+short", "@172.31.0.129", "keystone.inside.internal").strip()
    held = assert_renewed(deployed, MORE_SECRETS)
    assert set(held["nova_service_password"]) == MORE_SECRETS["nova_service_password"]
    # The cells in the database have no password of their own: Nova finds its guests by way of them.
    assert deployed.run("openstack", "--os-cloud", "hotstack-os", "server", "list", "-f", "value", "-c", "Name").split()
    again = deployed.deploy()
    assert again.changed == 0, again.changes


SERVICES = yaml.safe_load((ROOT / "roles/settings/defaults/main/services.yml").read_text())["hotstack_os_services"]
DATA = "this deployment has data there."
MADE = "which this deployment was made with."

# Settings are looked at by themselves first, then on the host, and then secrets.
REFUSED = {
    "service": (
        {"hotstack_os_services": {name: line for name, line in SERVICES.items() if name != "heat-engine"}},
        ["hotstack_os_services lacks heat-engine, but must have every service: none can be turned off."],
    ),
    "settings": (
        {
            "hotstack_os_data_dir": "/srv/moved",
            "hotstack_os_instances_dir": "/srv/moved-instances",
            "hotstack_os_volumes_dir": "/srv/moved-volumes",
            "hotstack_os_host_name": "elsewhere",
            "hotstack_os_region": "Elsewhere",
            "hotstack_os_user": "somebody",
            "hotstack_os_physical_network": "elsewhere",
            "hotstack_os_integration_bridge": "other-int",
            "hotstack_os_provider_bridge": "other-ex",
            "hotstack_os_container_network": "10.77.0.0/25",
            "hotstack_os_dns_address": "10.77.0.10",
        },
        [
            f"hotstack_os_data_dir: found /srv/moved; needed /var/lib/hotstack-os, because {DATA}",
            "hotstack_os_instances_dir: found /srv/moved-instances; needed"
            f" /var/lib/hotstack-os/nova-instances, because {DATA}",
            "hotstack_os_volumes_dir: found /srv/moved-volumes; needed"
            f" /var/lib/hotstack-os/cinder-nfs, because {DATA}",
            "hotstack_os_host_name: found elsewhere; needed ",
            f"hotstack_os_region: found Elsewhere; needed RegionOne, {MADE}",
            f"hotstack_os_user: found somebody; needed hotstack, {MADE}",
            f"hotstack_os_physical_network: found elsewhere; needed provider, {MADE}",
            f"hotstack_os_integration_bridge: found other-int; needed hot-int, {MADE}",
            f"hotstack_os_provider_bridge: found other-ex; needed hot-ex, {MADE}",
            "hotstack_os_container_network: found 10.77.0.0/25; needed 172.31.0.0/25 while containers run in it.",
        ],
    ),
    "key": (
        {GIVEN: {"heat_encryption_key": "a" * 32}},
        ["The credential heat_encryption_key can't change any more, because stored data is encrypted with it"],
    ),
}


@pytest.mark.parametrize(("settings", "sentences"), rows(REFUSED, every_day=("settings",)))
@pytest.mark.usefixtures("guests")
def test_what_can_not_change_is_refused(deployed: Lab, settings: dict[str, Any], sentences: list[str]) -> None:
    """Refuse before anything is done, and say why; guests have data in the folders."""
    before, digest = starts(deployed), deployed.run("sha256sum", "/var/lib/hotstack-os/credentials.json")
    play = deployed.deploy(*options(**settings), check=False)
    assert play.status != 0
    assert play.changed == 0
    words = " ".join(play.output.split())
    assert [line for line in sentences if line not in words] == []
    assert starts(deployed) == before
    assert deployed.run("sha256sum", "/var/lib/hotstack-os/credentials.json") == digest
    assert deployed.attempt("test", "-e", "/srv/moved").returncode != 0
