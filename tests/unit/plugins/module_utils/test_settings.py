# SPDX-License-Identifier: Apache-2.0
"""Bad settings give one sentence each, and good ones none."""

from __future__ import annotations

import copy
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hotstack.os.plugins.action import validate_settings
from ansible_collections.hotstack.os.plugins.module_utils import services, settings

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def shipped() -> settings.Shipped:
    """What the checkout brings, with releases that no other change can touch."""
    own = validate_settings.shipped(ROOT)
    return dataclasses.replace(own, releases=("2025.2", "2026.1"))


@pytest.fixture
def values() -> dict[str, Any]:
    """The defaults, as Ansible would resolve them."""
    found: dict[str, Any] = {}
    for path in sorted((ROOT / "roles/settings/defaults/main").glob("*.yml")):
        found.update(yaml.safe_load(path.read_text()))
    facts = {
        "{{ hotstack_os_data_dir }}": "/var/lib/hotstack-os",
        "{{ ansible_facts['nodename'] | default('') }}": "node1.example",
    }
    for template, meant in facts.items():
        found = {
            name: value.replace(template, meant) if isinstance(value, str) else value for name, value in found.items()
        }
    return found


def judge(values: dict[str, Any], shipped: settings.Shipped) -> list[str]:
    return settings.problems(values, values, shipped)


def test_defaults_are_good(values: dict[str, Any], shipped: settings.Shipped) -> None:
    assert judge(values, shipped) == []


GOOD = {
    "values of layers": {"nova_ram_allocation_ratio": "1.5", "nova_reserved_memory_mib": 0, "nova_resume_guests": "no"},
    "a range of consoles": {"ovs_network_console_ports": "5900-65535"},
    "one console": {"ovs_network_console_ports": 5900},
    "a short host name": {"hotstack_os_host_name": "node1"},
    "numbers as texts": {"hotstack_os_mtu": "1500", "hotstack_os_build_parallel": "4"},
    "booleans as words": {"hotstack_os_debug": "Yes", "hotstack_os_hide_secrets": "off"},
    "a release as a number": {"hotstack_os_release": 2025.2},
    "other networks": {
        "hotstack_os_container_network": "10.20.0.0/24",
        "hotstack_os_provider_network": "10.20.1.0/28",
        "hotstack_os_provider_address": "10.20.1.1",
        "hotstack_os_dns_address": "10.20.0.127",
    },
    "mirrors": {
        "hotstack_os_package_mirror": "http://mirror.example/debian",
        "hotstack_os_python_index": "https://user:secret@[::1]:8443/simple/",
        "hotstack_os_build_proxy": "http://proxy.example:3128",
        "hotstack_os_ca_bundle": "/etc/ssl/certs/ca-certificates.crt",
    },
    "an image with registry, port and digest": {
        "hotstack_os_base_image": "registry.example:5000/a/debian:trixie@sha256:" + "0" * 64
    },
    "the data elsewhere": {"hotstack_os_data_dir": "/srv/lab", "hotstack_os_volumes_dir": "/volumes"},
    "given secrets": {
        "hotstack_os_credentials_given": {"admin_password": "p@ss#w%rd$", "heat_encryption_key": "a" * 32}
    },
    "unrelated variables": {"keystone_tokens": 3, "hotstack": 1},
}


def test_a_secret_is_given_or_renewed_not_both(values: dict[str, Any], shipped: settings.Shipped) -> None:
    change = {
        "hotstack_os_credentials_given": {"admin_password": "Swordfish"},
        "hotstack_os_credentials_renew": ["admin_password", "nova_service_password"],
    }
    assert judge({**values, **change}, shipped) == [
        "hotstack_os_credentials_renew has admin_password, but hotstack_os_credentials_given sets it; change it there."
    ]


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_good(change: dict[str, Any], values: dict[str, Any], shipped: settings.Shipped) -> None:
    assert judge({**values, **change}, shipped) == []


SECRET = "Swordfish\n1"

# A changed setting, its value, and what the only sentence must say beside the setting's name.
BAD: dict[str, tuple[str, Any, str]] = {
    "malformed network": ("container_network", "172.31.0/25", "'172.31.0/25', but must be an IPv4 network"),
    "network without prefix": ("container_network", "172.31.0.0", "with a prefix from /16 to /25"),
    "network with a netmask": ("container_network", "172.31.0.0/255.255.255.128", "with a prefix from /16 to /25"),
    "network of IPv6": ("container_network", "fd00::/64", "an IPv4 network"),
    "network with host bits": ("container_network", "172.31.0.1/25", "own address, which is 172.31.0.0/25"),
    "network too small": ("container_network", "172.31.0.0/26", "from /16 to /25"),
    "network too large": ("provider_network", "172.0.0.0/8", "from /16 to /29"),
    "network out of range": ("provider_network", "172.31.0.300/25", "an IPv4 network"),
    "network of multicast": ("provider_network", "224.0.0.0/25", "addresses that hosts may have"),
    "network of loopback": ("container_network", "127.0.0.0/24", "addresses that hosts may have"),
    "overlapping networks": ("provider_network", "172.31.0.0/24", "outside hotstack_os_container_network"),
    "entry outside its network": ("provider_address", "172.31.1.1", "in hotstack_os_provider_network, 172.31.0.128/25"),
    "entry is the network": ("provider_address", "172.31.0.128", "in hotstack_os_provider_network, 172.31.0.128/25"),
    "entry is the broadcast": ("provider_address", "172.31.0.255", "in hotstack_os_provider_network, 172.31.0.128/25"),
    "entry malformed": ("provider_address", "172.31.0", "an IPv4 address"),
    "entry of IPv6": ("provider_address", "fd00::1", "an IPv4 address"),
    "entry is a name": ("provider_address", "gateway", "an IPv4 address"),
    "DNS outside its network": ("dns_address", "172.31.0.130", "from 172.31.0.2 to 172.31.0.63"),
    "DNS among dynamic addresses": ("dns_address", "172.31.0.70", "from 172.31.0.2 to 172.31.0.63"),
    "DNS is the gateway": ("dns_address", "172.31.0.1", "from 172.31.0.2 to 172.31.0.63"),
    "DNS is a service": ("dns_address", "172.31.0.11", "no service has, and keystone has it"),
    "MTU too small": ("mtu", 576, "is 576, but must be a whole number from 1280 to 65521"),
    "MTU too large": ("mtu", 70000, "a whole number from 1280 to 65521"),
    "MTU negative": ("mtu", -1500, "a whole number from 1280 to 65521"),
    "MTU with a unit": ("mtu", "9k", "'9k', but must be a whole number"),
    "MTU with a fraction": ("mtu", 1500.5, "a whole number"),
    "MTU is a boolean": ("mtu", True, "is true, but must be a whole number"),
    "MTU empty": ("mtu", None, "is empty, but must be a whole number"),
    "no parallel builds": ("build_parallel", 0, "from 1 to 64"),
    "negative parallel builds": ("build_parallel", -2, "from 1 to 64"),
    "boolean that is no such": ("debug", "maybe", "'maybe', but must be true or false"),
    "boolean that is a number": ("debug", 2, "is 2, but must be true or false"),
    "boolean that is a list": ("hide_secrets", [True], "true or false"),
    "boolean that is empty": ("hide_secrets", "", "is '', but must be true or false"),
    "data in the root": ("data_dir", "/", "outside those of the system"),
    "data in a system folder": ("data_dir", "/etc", "outside those of the system"),
    "data below a system folder": ("data_dir", "/usr/share/lab", "outside those of the system"),
    "data lost at a reboot": ("data_dir", "/tmp/lab", "outside those of the system"),
    "data is all of /var/lib": ("data_dir", "/var/lib", "outside those of the system"),
    "data is relative": ("data_dir", "lab", "an absolute path"),
    "data with parents": ("data_dir", "/var/lib/../lab", "an absolute path"),
    "data with a final slash": ("data_dir", "/srv/lab/", "an absolute path"),
    "data with double slashes": ("data_dir", "//srv/lab", "an absolute path"),
    "data with a space": ("data_dir", "/srv/my lab", "a path of letters"),
    "data with a colon": ("data_dir", "/srv/lab:1", "a path of letters"),
    "data empty": ("data_dir", "", "an absolute path"),
    "guests above the data": ("instances_dir", "/var/lib/hotstack-os", "does not hold hotstack_os_data_dir"),
    "guests among generated files": ("instances_dir", "/var/lib/hotstack-os/runtime/x", "outside /var/lib"),
    "guests in a folder of a service": (
        "instances_dir",
        "/var/lib/hotstack-os/nova",
        "outside /var/lib/hotstack-os/nova",
    ),
    "volumes in a folder of a service": ("volumes_dir", "/var/lib/hotstack-os/cinder/v", "/cinder, which is a folder"),
    "data are a home": ("data_dir", "/var/lib/hotstack", "another folder than the home of hotstack_os_user"),
    "volumes are a home": ("volumes_dir", "/var/lib/hotstack", "another folder than the home of hotstack_os_user"),
    "volumes among guests": ("volumes_dir", "/var/lib/hotstack-os/nova-instances/x", "apart from hotstack_os_inst"),
    "mounts are guests": ("volume_mounts_dir", "/var/lib/hotstack-os/nova-instances", "apart from hotstack_os_inst"),
    "release without a lock": ("release", "2019.1", "a release that has a lock: 2025.2, 2026.1"),
    "release is a list": ("release", ["2025.2"], "a text"),
    "region with a space": ("region", "Region One", "'Region One', but must be 1 to 64 letters"),
    "region empty": ("region", "", "1 to 64 letters"),
    "region with a line break": ("region", "One\nTwo", "'One?Two', but must be"),
    "user is root": ("user", "root", "other than root"),
    "user with capitals": ("user", "Hotstack", "a user name"),
    "user too long": ("user", "h" * 32, "at most 31"),
    "user begins with a digit": ("user", "1abc", "a user name"),
    "domain with an underscore": ("domain", "hot_stack.local", "a domain name"),
    "domain without a dot": ("domain", "local", "a domain name"),
    "domain with a final dot": ("domain", "lab.local.", "a domain name"),
    "domain label too long": ("internal_domain", "a" * 64 + ".local", "a domain name"),
    "domains equal": ("internal_domain", "hotstack-os.local", "different from hotstack_os_domain"),
    "bridge name too long": ("provider_bridge", "hotstack-external", "at most 14 letters"),
    "bridge name with a slash": ("integration_bridge", "br/int", "an interface name"),
    "bridges equal": ("provider_bridge", "hot-int", "different from hotstack_os_integration_bridge"),
    "bridge is the containers' interface": ("provider_bridge", "hotstack-os", "no other interface has"),
    "physical network with a colon": ("physical_network", "a:b", "1 to 64 letters"),
    "datapath unknown": ("datapath", "kernel", "one of auto, netdev, system"),
    "base image source unknown": ("base_image_source", "mirror", "one of auto, bootstrap, registry"),
    "base image with a space": ("base_image", "debian trixie", "an image reference"),
    "base suite empty": ("base_suite", "", "the name of a distribution's suite"),
    "mirror without a scheme": ("package_mirror", "mirror.example/debian", "empty or a URL"),
    "mirror with another scheme": ("package_mirror", "ftp://mirror.example", "empty or a URL"),
    "index with a bad port": ("python_index", "http://mirror.example:99999/", "empty or a URL"),
    "proxy without a host": ("build_proxy", "http://:3128", "empty or a URL"),
    "proxy with a quote": ("build_proxy", 'http://me:p"w@proxy:3128', "http://***@proxy:3128', but must be empty or a"),
    "mirror with a quote": ("package_mirror", 'http://mirror/"', "empty or a URL"),
    "proxy is a number": ("build_proxy", 3128, "empty or a URL"),
    "CA bundle relative": ("ca_bundle", "ca.pem", "the absolute path of a file"),
    "services as a list": ("services", ["keystone"], "a dictionary"),
    "secrets as a text": ("credentials_given", SECRET, "one of names and secrets"),
    "secret unknown": ("credentials_given", {"admin_pasword": SECRET}, "did you mean admin_password?"),
    "secret quite unknown": ("credentials_given", {"xyz": SECRET}, "see hotstack_os_credential_names"),
    "secret empty": ("credentials_given", {"admin_password": ""}, "is given with 0 characters"),
    "secret too short": ("credentials_given", {"admin_password": "Swordfi"}, "8 to 72"),
    "secret too long": ("credentials_given", {"admin_password": "Swordfish" * 20}, "8 to 72"),
    "secret unprintable": ("credentials_given", {"admin_password": SECRET}, "printable ASCII characters"),
    "secret with umlauts": ("credentials_given", {"admin_password": "Swordfisché"}, "printable ASCII characters"),
    "secret with a quote": ("credentials_given", {"admin_password": "Swordfish'"}, "without spaces, quotes"),
    "secret in a URL": ("credentials_given", {"nova_database_password": "Sword:fish"}, "letters, digits and '.'"),
    "secret is a number": ("credentials_given", {"admin_password": 1234567890}, "is not a text"),
    "secret to renew unknown": ("credentials_renew", ["admin_pasword"], "did you mean admin_password?"),
    "secret to renew is no name": ("credentials_renew", [1], "which is no credential"),
    "secrets to renew as a text": ("credentials_renew", "admin_password", "must be a list"),
    "key of Heat renewed": ("credentials_renew", ["heat_encryption_key"], "encrypted with that"),
    "key of the wrong length": ("credentials_given", {"heat_encryption_key": "Swordfish"}, "32 letters and digits"),
    "typo in a name": ("data_dri", "Swordfish", "did you mean hotstack_os_data_dir?"),
    "unknown name": ("zzzz", "Swordfish", "docs/settings.md"),
}


# The same of layers, with the whole name.
BAD_LAYERS: dict[str, tuple[str, Any, str]] = {
    "negative reserve": ("nova_reserved_memory_mib", -1, "is -1, but must be a whole number from 0 to 1048576"),
    "reserve with a unit": ("nova_reserved_memory_mib", "3G", "'3G', but must be a whole number"),
    "nothing of the memory": ("nova_ram_allocation_ratio", 0, "is 0, but must be a number above 0"),
    "ratio in words": ("nova_cpu_allocation_ratio", "four", "'four', but must be a number"),
    "ratio is a boolean": ("nova_disk_allocation_ratio", True, "is true, but must be a number"),
    "resume sometimes": ("nova_resume_guests", "sometimes", "'sometimes', but must be true or false"),
    "tokens that expire at once": ("keystone_token_lifetime", 0, "from 60 to 31536000"),
    "host name with an underscore": ("hotstack_os_host_name", "node_1", "a host name in lower case"),
    "host name with capitals": ("hotstack_os_host_name", "Node1", "a host name in lower case"),
    "host name empty": ("hotstack_os_host_name", "", "a host name in lower case"),
    "consoles of nothing": ("ovs_network_console_ports", "", "is '', but must be a port or a range"),
    "consoles in words": ("ovs_network_console_ports", "all", "from 5900 to 65535, such as 5900-6899"),
    "consoles below libvirt's": ("ovs_network_console_ports", "22-6899", "from 5900 to 65535"),
    "consoles above all ports": ("ovs_network_console_ports", "5900-70000", "from 5900 to 65535"),
    "consoles backwards": ("ovs_network_console_ports", "6899-5900", "from 5900 to 65535"),
    "consoles with more rules": ("ovs_network_console_ports", "5900-6899 accept", "from 5900 to 65535"),
    "consoles with a line break": ("ovs_network_console_ports", "5900\n", "'5900?', but must be"),
    "consoles as a list": ("ovs_network_console_ports", [5900], "a text"),
    "time factor of nothing": ("hotstack_os_time_factor", 0, "auto or a whole number from 1 to 100"),
    "time factor in parts": ("hotstack_os_time_factor", 1.5, "auto or a whole number from 1 to 100"),
    "unknown virtualization": ("hotstack_os_virt_type", "xen", "one of auto, kvm, qemu"),
}


@pytest.mark.parametrize(("name", "value", "allowed"), BAD_LAYERS.values(), ids=BAD_LAYERS)
def test_bad_in_layers(name: str, value: Any, allowed: str, values: dict[str, Any], shipped: settings.Shipped) -> None:
    found = judge({**values, name: value}, shipped)
    assert len(found) == 1
    assert found[0].startswith(f"{name} is ")
    assert allowed in found[0]


@pytest.mark.parametrize(("name", "value", "expected"), BAD.values(), ids=BAD)
def test_bad(name: str, value: Any, expected: str, values: dict[str, Any], shipped: settings.Shipped) -> None:
    name = "hotstack_os_" + name
    follow = {
        other: value + "/" + Path(values[other]).name
        for other in settings.FOLDERS
        if name == "hotstack_os_data_dir"  # They are made from it.
    }
    found = judge({**values, **follow, name: value}, shipped)
    assert len(found) == 1, found
    assert found[0].startswith(name)
    assert expected in found[0]
    assert re.fullmatch(r"[^\n]+[.?]", found[0]), "one sentence"
    assert "Swordfi" not in found[0], "no secret"
    assert "1234567890" not in found[0], "no secret"


# Changes of lines of the map (None removes the line), and what the only sentence must say.
BAD_MAP: dict[str, tuple[dict[str, Any], str]] = {
    "unknown service": ({"keystonee": {}}, "unknown service 'keystonee'; did you mean keystone?"),
    "quite unknown service": ({"zzz": {}}, "it must be one of dnsmasq,"),
    "missing service": (
        {"heat-engine": None},
        "lacks heat-engine, but must have every service: none can",
    ),
    "missing services": ({"heat-engine": None, "heat-api": None}, "lacks heat-api, heat-engine, but must have every"),
    "service turned off": ({"heat-engine": False}, "['heat-engine'] is False, but must be a dictionary"),
    "line is no dictionary": ({"heat-engine": 53}, "['heat-engine'] is 53, but must be a dictionary"),
    "unknown key": ({"heat-engine": {"adress": 53}}, "unknown key 'adress'; did you mean address?"),
    "quite unknown key": ({"heat-engine": {"zzz": 53}}, "a line may have address, port"),
    "address is a text": ({"heat-engine": {"address": "53"}}, "is '53', but must be a whole number"),
    "address is full": ({"heat-engine": {"address": "172.31.0.53"}}, "must be a whole number"),
    "address of the gateway": ({"heat-engine": {"address": 1}}, "from 2 to 63"),
    "address too high": ({"heat-engine": {"address": 64}}, "from 2 to 63"),
    "address twice": ({"heat-engine": {"address": 3}}, "is 3, but must be a number of its own, and mariadb has it"),
    "port is a text": ({"haproxy": {"address": 6, "port": "http"}}, "['port'] is 'http', but must be a whole number"),
    "port zero": ({"haproxy": {"address": 6, "port": 0}}, "from 1 to 65535"),
    "port too high": ({"haproxy": {"address": 6, "port": 70000}}, "from 1 to 65535"),
    "port of another public service": (
        {"glance": {"address": 12, "port": 5000, "public": "glance"}},
        "keystone has it",
    ),
    "port of the DNS server": ({"glance": {"address": 12, "port": 53, "public": "glance"}}, "and dnsmasq has it"),
    "port of a service on the host": ({"cinder-volume": {"port": 9}}, "['cinder-volume'] has port, but must not"),
    "address of a service on the host": ({"nova-compute": {"address": 27}}, "has address, but must not"),
    "public by a map of its own": (
        {"heat-engine": {"address": 53, "port": 9, "public": "heat"}},
        "has port, public, but must not",
    ),
    "API that is hidden": (
        {"heat-api": {"address": 51, "port": 8004}},
        "heat-api'] lacks public, but must",
    ),
    "service that is emptied": ({"heat-api": {}}, "lacks address, port, public, but must have that: no service can be"),
    "a step that is to stay": ({"heat-db-sync": {"one_shot": False}}, "lacks one_shot, but must have that"),
    "a service that is to end": ({"cinder-volume": {"one_shot": True}}, "has one_shot, but must not"),
    "public with a dot": ({"glance": {"address": 12, "port": 9292, "public": "glance.x"}}, "a host name without a dot"),
    "public without a port": ({"glance": {"address": 12, "public": "glance"}}, "must have an address and a port too"),
    "aliases are a text": ({"glance": {"address": 12, "port": 9292, "public": "g", "aliases": "i"}}, "a list of"),
    "alias of a foreign name": (
        {"glance": {"address": 12, "port": 9292, "public": "glance", "aliases": ["nova"]}},
        "must not name what nova-api has",
    ),
    "check without public": ({"glance": {"address": 12, "check": {"path": "/", "status": 200}}}, "have public too"),
    "check without a status": (
        {"glance": {"address": 12, "port": 9292, "public": "g", "check": {"path": "/"}}},
        "a path and a status",
    ),
    "check of no status": (
        {"glance": {"address": 12, "port": 9292, "public": "g", "check": {"path": "/", "status": 42}}},
        "a path and a status",
    ),
    "needs are a text": ({"heat-engine": {"needs": "heat-api"}}, "a list of services"),
    "need unknown": (
        {"cinder-volume": {"needs": ["heat-apis"]}},
        "service 'heat-apis'; did you mean heat-api?",
    ),
    "need quite unknown": ({"cinder-volume": {"needs": ["zzz"]}}, "must be a service of the map"),
    "needs itself": ({"cinder-volume": {"needs": ["cinder-volume"]}}, "cyclic needs cinder-volume -> cinder-volume"),
    "cycle of three": (
        {
            "mariadb-init": {"one_shot": True, "needs": ["keystone-bootstrap"]},
            "keystone-bootstrap": {"one_shot": True, "needs": ["mariadb-init"]},
        },
        "cyclic needs mariadb-init -> keystone-bootstrap -> mariadb-init",
    ),
    "one_shot with an address": ({"mariadb-init": {"one_shot": True, "address": 50}}, "may have only needs"),
    "one_shot is a word": ({"mariadb-init": {"one_shot": "maybe"}}, "must be true or false"),
}


@pytest.mark.parametrize(("change", "expected"), BAD_MAP.values(), ids=BAD_MAP)
def test_bad_map(change: dict[str, Any], expected: str, values: dict[str, Any], shipped: settings.Shipped) -> None:
    changed = {**copy.deepcopy(values["hotstack_os_services"]), **change}
    values["hotstack_os_services"] = {name: line for name, line in changed.items() if line is not None}
    found = judge(values, shipped)
    assert len(found) == 1, found
    assert found[0].startswith("hotstack_os_services")
    assert expected in found[0]
    assert re.fullmatch(r"[^\n]+[.?]", found[0])


def test_map_is_checked_even_if_its_network_is_bad(values: dict[str, Any], shipped: settings.Shipped) -> None:
    values["hotstack_os_container_network"] = "nonsense"
    values["hotstack_os_services"]["heat-engine"] = {"address": 3}
    assert len(judge(values, shipped)) == 2


def test_all_at_once(values: dict[str, Any], shipped: settings.Shipped) -> None:
    changes = {
        "hotstack_os_mtu": 1,
        "hotstack_os_debug": "maybe",
        "hotstack_os_region": "a b",
        "hotstack_os_container_network": "nonsense",
        "hotstack_os_mtuu": 1,
        "hotstack_os_credentials_given": {"nonsense": "x"},
    }
    found = judge({**values, **changes}, shipped)
    assert len(found) == len(changes)
    for name in changes:
        assert sum(bool(re.match(rf"{name}\b", sentence)) for sentence in found) == 1


SHOWN = [
    (None, "empty"),
    (True, "true"),
    ([1, "a"], '[1, "a"]'),
    ("a" * 300, "'" + "a" * 95 + "..."),
    ("http://me:secret@proxy:3128", "'http://***@proxy:3128'"),
    ("http://me:se@c/r et@proxy:3128", "'http://***@proxy:3128'"),
    ("me:secret@proxy:3128", "'me:***@proxy:3128'"),
    ("Debian:trixie@sha256:12", "'Debian:trixie@sha256:12'"),
]


@pytest.mark.parametrize(("value", "expected"), SHOWN)
def test_shown(value: Any, expected: str) -> None:
    assert settings.shown(value) == expected


def test_entry_ports(values: dict[str, Any]) -> None:
    ports = services.entry_ports(values["hotstack_os_services"])
    assert sorted(ports.values()) == [53, 5000, 6080, 8004, 8404, 8774, 8775, 8776, 8778, 9292, 9696]
