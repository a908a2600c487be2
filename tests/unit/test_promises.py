# SPDX-License-Identifier: Apache-2.0
"""What those who use the cloud count on, written a second time: names, numbers and images that must not change."""

from __future__ import annotations

import re
from typing import Any

import pytest
from test_contracts import CONTAINERS, DEFAULTS, DERIVED, MAP, ROOT, data, texts

from ansible_collections.hotstack.os.plugins.module_utils import addresses, host_names, infra_names

POST_SETUP = data(ROOT / "roles/post_setup", "defaults")
DATA = "{{ hotstack_os_data_dir }}"


def numbers(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in (word.split("=") for word in text.split())}


SETTINGS = {
    "hotstack_os_container_network": "172.31.0.0/25",
    "hotstack_os_provider_network": "172.31.0.128/25",
    "hotstack_os_provider_address": "172.31.0.129",
    "hotstack_os_domain": "hotstack-os.local",
    "hotstack_os_internal_domain": "hotstack-os.internal",
    "hotstack_os_mtu": 9216,
    "hotstack_os_integration_bridge": "hot-int",
    "hotstack_os_provider_bridge": "hot-ex",
    "hotstack_os_physical_network": "provider",
    "hotstack_os_region": "RegionOne",
    "hotstack_os_user": "hotstack",
    "hotstack_os_data_dir": "/var/lib/hotstack-os",
    "hotstack_os_instances_dir": f"{DATA}/nova-instances",
    "hotstack_os_volume_mounts_dir": f"{DATA}/nova-mnt",
    "hotstack_os_volumes_dir": f"{DATA}/cinder-nfs",
}

ADDRESSES = numbers("""
    mariadb=3 rabbitmq=4 memcached=5 haproxy=6 keystone=11 glance=12 placement=13 nova-api=21 nova-conductor=22
    nova-scheduler=23 nova-api-metadata=25 nova-novncproxy=26 ovn-northd=31 neutron-server=32 cinder-api=41
    cinder-scheduler=42 heat-api=51 heat-engine=53
""")
ON_THE_HOST = {"dnsmasq", "nova-compute", "ovn-controller", "neutron-ovn-agent", "cinder-volume"}

PORTS = numbers("""
    keystone=5000 glance=9292 placement=8778 nova-api=8774 nova-api-metadata=8775 neutron-server=9696
    cinder-api=8776 heat-api=8004 nova-novncproxy=6080 haproxy=8404 dnsmasq=53 mariadb=3306 rabbitmq=5672
    memcached=11211 ovn-northd=6641
""")
PUBLISHED = {5000, 6080, 8004, 8404, 8774, 8775, 8776, 8778, 9292, 9696}

NAMES = {"keystone", "glance", "placement", "nova", "neutron", "cinder", "heat"}
ALIASES = {"nova-api", "neutron-server", "cinder-api", "heat-api"}

# Below the data folder, as containers see it: who moves one of these leaves data behind.
FOLDERS = {
    "mysql": "/var/lib/mysql",
    "rabbitmq": "/var/lib/rabbitmq",
    "keystone/fernet-keys": "/etc/keystone/fernet-keys",
    "keystone/credential-keys": "/etc/keystone/credential-keys",
    "glance": "/var/lib/glance",
    "nova": "/var/lib/nova",
    "cinder": "/var/lib/cinder",
    "ovn": "/var/lib/ovn",
}

QUOTAS = numbers("""
    cores=96 ram=307200 instances=50 key_pairs=10 server_groups=10 server_group_members=10 networks=20 subnets=20
    ports=100 routers=20 floating_ips=20 security_groups=20 security_group_rules=100 volumes=50 snapshots=20
    gigabytes=1000 per_volume_gigabytes=500
""")

FAST = {"os_shutdown_timeout": 5}
UEFI = {"hw_firmware_type": "uefi", "hw_machine_type": "q35"}
RESCUE = {"hw_rescue_device": "cdrom", "hw_rescue_bus": "usb"}
IMAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "cirros": ("qcow2", {}),
    "CentOS-Stream-GenericCloud-9": ("qcow2", UEFI),
    "hotstack-controller": ("qcow2", {}),
    "sushy-tools-blank-image": ("qcow2", {**UEFI, **FAST}),
    "uefi-netboot": ("raw", {**UEFI, **FAST}),
    "ipxe-boot-usb": ("raw", FAST),
    "ipxe-rescue-uefi": ("raw", {**UEFI, **FAST, **RESCUE}),
    "ipxe-rescue-bios": ("raw", {**FAST, **RESCUE}),
    "nat64-appliance": ("qcow2", UEFI),
    "ubuntu-noble-server": ("qcow2", UEFI),
}
# What they have beside that.
MORE = {
    "sushy-tools-blank-image": {"hw_scsi_model": "virtio-scsi"},
    "uefi-netboot": {"hw_rescue_device": "disk", "hw_rescue_bus": "usb"},
}


@pytest.mark.parametrize(("name", "value"), SETTINGS.items(), ids=SETTINGS)
def test_settings(name: str, value: object) -> None:
    assert DEFAULTS[name] == value


def test_addresses() -> None:
    found = addresses.service_addresses(MAP, DEFAULTS["hotstack_os_container_network"])
    assert {name: found.get(name) for name in ADDRESSES} == {
        name: f"172.31.0.{number}" for name, number in ADDRESSES.items()
    }
    assert {name for name in ON_THE_HOST if "address" in MAP[name]} == set()


def test_ports() -> None:
    assert {name: line["port"] for name, line in MAP.items() if "port" in line} == PORTS
    published = infra_names.published_ports(MAP, "a", MAP["haproxy"]["port"])
    assert {int(line.rpartition(":")[2]) for line in published} == PUBLISHED


def test_names() -> None:
    public = set(host_names.public_names(MAP, DEFAULTS["hotstack_os_domain"]))
    assert public == {f"{name}.hotstack-os.local" for name in NAMES | ALIASES}
    internal = {name for names in infra_names.internal_names(MAP).values() for name in names}
    assert internal >= NAMES | {"mariadb", "rabbitmq", "memcached"}


def test_folders_of_data() -> None:
    found = {
        directory["path"].removeprefix(f"{DATA}/"): directory["dest"]
        for _role, container in CONTAINERS
        for directory in (container["directories"] if isinstance(container.get("directories"), list) else [])
        if directory["path"].startswith(DATA)
    }
    # Those of MariaDB are a variable, because two containers have them.
    (shared,) = data(ROOT / "roles/infra", "vars")["__infra_mysql_directories"]
    found[shared["path"].removeprefix(f"{DATA}/")] = shared["dest"]
    assert found == FOLDERS


def test_folders_that_libvirt_opens_have_one_path() -> None:
    volumes = {container["name"]: container.get("volumes", []) for _role, container in CONTAINERS}
    for name in ("hotstack_os_instances_dir", "hotstack_os_volume_mounts_dir"):
        folder = f"{{{{ {name} }}}}"
        assert f"{folder}:{folder}:rshared" in volumes["nova-compute"]
    folder = "{{ hotstack_os_volumes_dir }}"
    users = {name for name, lines in volumes.items() for line in lines if line.startswith(f"{folder}:{folder}")}
    assert users == {"nova-compute", "cinder-volume"}


def test_wrappers() -> None:
    text = (ROOT / "containerfiles/storage/Containerfile").read_text()
    assert "qemu-img /usr/local/bin/\n" in text
    # /sbin is a link to it.
    assert "mount.nfs /usr/sbin/\n" in text
    with_wrapper = {
        container["name"]
        for _role, container in CONTAINERS
        if isinstance(container.get("config"), list)
        for file in container["config"]
        if file["dest"] == "/etc/hotstack/mount-wrapper.conf"
    }
    assert with_wrapper == {"nova-compute", "cinder-volume"}


def test_the_systems_libvirt_is_in_no_container() -> None:
    """Nova must not see guests of others, nor touch what they are kept in."""
    mounted = [
        volume.partition(":")[0]
        for _role, container in CONTAINERS
        for volume in (container["volumes"] if isinstance(container.get("volumes"), list) else [])
    ]
    assert len(mounted) > 5
    assert [path for path in mounted if "libvirt" in path or path in ("/", "/run", "/var/run", "/etc", "/var")] == []


def test_the_session_is_no_unit_of_the_system() -> None:
    """Started there, it would be root's."""
    tasks = (ROOT / "roles/libvirt_session/tasks/main.yml").read_text()
    assert "/.config/systemd/user/{{ __libvirt_session_unit }}" in tasks
    variables = (ROOT / "roles/libvirt_session/vars/main.yml").read_text()
    units = re.findall(r"path: /etc/systemd/system/(\S+)", variables)
    assert units
    assert [name for name in units if "session" in name] == []


def test_all_know_the_host_by_one_name() -> None:
    """A port is not bound, and a guest not found, where Nova and OVN have two."""
    paths = ("neutron/templates/neutron.conf.j2", "neutron/templates/neutron_ovn_agent.ini.j2")
    for path in (*paths, "nova/templates/nova.conf.j2", "cinder/templates/cinder.conf.j2"):
        lines = (ROOT / "roles" / path).read_text().splitlines()
        assert [line for line in lines if line.startswith("host = ")] == ["host = {{ hotstack_os_host_name }}"], path
    ids = data(ROOT / "roles/neutron", "vars")["__neutron_external_ids"]
    assert ids["hostname"] == "{{ hotstack_os_host_name }}"


def test_ovn_waits_for_nothing() -> None:
    assert "needs" not in MAP["ovn-northd"]


def test_no_role_writes_a_setting_a_second_time() -> None:
    """A folder, network or name that is set must be another one everywhere."""
    words = {value for value in map(str, SETTINGS.values()) if re.search(r"[./-]", value) and "{{" not in value}
    words = (words - {"172.31.0.0/25", "172.31.0.128/25"}) | {"172.31.0."}
    found = {
        f"{path}: {word}"
        for path, text in texts(".yml", ".j2")
        for word in words
        if path.parts[0] in ("roles", "playbooks") and path.parts[1] != "settings" and word in text
    }
    assert found == set()


def test_quotas() -> None:
    assert POST_SETUP["post_setup_quotas"] == QUOTAS


def test_images() -> None:
    lines = {line["name"]: line for line in POST_SETUP["post_setup_images"]}
    found = {name: (line.get("disk_format", "qcow2"), line.get("properties", {})) for name, line in lines.items()}
    assert found == {name: (kind, {**wanted, **MORE.get(name, {})}) for name, (kind, wanted) in IMAGES.items()}
    assert [name for name, line in lines.items() if not line["url"].startswith("https://")] == []


def test_every_use_has_a_secret_of_its_own() -> None:
    """None that two services share, but what they have to tell each other."""
    names = DERIVED["hotstack_os_credential_names"]
    for user in ("keystone", "glance", "placement", "nova", "neutron", "cinder", "heat"):
        assert f"{user}_database_password" in names
        assert user == "keystone" or f"{user}_service_password" in names
    assert {"metadata_proxy_secret", "heat_domain_admin_password", "heat_encryption_key"} <= set(names)
