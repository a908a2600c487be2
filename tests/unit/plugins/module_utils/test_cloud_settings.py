# SPDX-License-Identifier: Apache-2.0
"""What is wrong with what is wanted of a cloud, in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import cloud_plan, cloud_settings

SHA256 = "a" * 64


def flavor(**values: Any) -> dict[str, Any]:
    return {"name": "small", "vcpus": 1, "ram": 512, "disk": 0, **values}


def image(**values: Any) -> dict[str, Any]:
    line = {"name": "cirros", "url": "https://images/cirros.img", "file": "", "checksum": "", "properties": {}}
    return {**line, "disk_format": "qcow2", **values}


def network(**values: Any) -> dict[str, Any]:
    line = {"name": "private", "cidr": "192.168.100.0/24", "gateway": "", "pools": [], "dns_servers": ["172.31.0.129"]}
    return {**line, **values}


def wanted(**values: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {"flavors": [flavor()], "images": [image()], "networks": [network()]}
    return {"quotas": {"cores": 1}, "reserved_networks": ["172.31.0.0/25"], **parts, **values}


def test_good_ones() -> None:
    assert cloud_settings.problems(wanted()) == []
    public = network(name="public", cidr="172.31.0.128/25", gateway="172.31.0.129", pools=["172.31.0.130-172.31.0.200"])
    images = [
        image(checksum=f"sha256:{SHA256}"),
        image(name="noble", checksum="sha256:https://images/SHA256SUMS", properties={"hw_machine_type": "q35"}),
        image(name="ours", url="https://me:s%40cret@[fd00::1]:8443/~a/b%20c.img?sign=1&x"),
        image(name="plain", url="http://build_host:8000/x"),
        image(name="local", url="", file="/srv/local.img", disk_format="raw"),
    ]
    assert cloud_settings.problems(wanted(networks=[public, network()], images=images, quotas={"ram": "-1"})) == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"quotas": {"core": 1}}, "There is no quota 'core'; did you mean cores?"),
        ({"quotas": {"xyz": 1}}, "There is no quota 'xyz'; there are cores, "),
        ({"quotas": {"cores": "40 # of 96"}}, "The quota cores is '40 # of 96', but must be a whole number from 0 on"),
        ({"quotas": {"cores": True}}, "The quota cores is 'True', but"),
        ({"quotas": {"cores": -2}}, "The quota cores is '-2', but"),
        ({"flavors": [flavor(vcpus=0)]}, "The flavor 'small' has 0 vCPUs, but must have at least 1."),
        ({"flavors": [flavor(ram=0)]}, "The flavor 'small' has 0 MB of memory, but must have at least 1."),
        ({"flavors": [flavor(disk=-1)]}, "The flavor 'small' has -1 GB of disk, but must have at least 0."),
        ({"flavors": [flavor(), flavor()]}, "There are 2 of the flavor 'small', but each name may be there once."),
        ({"images": [image(name="")]}, "The image '' can't be called so; a name has"),
        ({"images": [image(url="")]}, "The image 'cirros' has neither a url nor a file, but must have one of them."),
        ({"images": [image(file="/x")]}, "The image 'cirros' has both a url and a file, but must have one of them."),
        ({"images": [image(url="ftp://u:p@x/y")]}, "has the url 'ftp://***@x/y', but must have one of http or https"),
        ({"images": [image(url="https://x:port/y")]}, "has the url 'https://x:port/y', but must have one of http"),
        ({"images": [image(url="https://x/ä.img")]}, "has the url 'https://x/ä.img', but must have one of http"),
        ({"images": [image(url="https://u:p@w@x/y")]}, "has the url 'https://***@x/y', but must have one of http"),
        ({"images": [image(url="u:p@x/y")]}, "has the url 'u:***@x/y', but must have one of http"),
        ({"images": [image(checksum="sha256:https://x:port/y")]}, "has the checksum 'sha256:https://x:port/y', but"),
        ({"images": [image(url="", file="x.img")]}, "has the file 'x.img', but must have an absolute path."),
        ({"images": [image(disk_format="qcow")]}, "has the disk_format 'qcow', but must have one of "),
        ({"images": [image(checksum=SHA256)]}, f"has the checksum '{SHA256}', but must have one such as sha256:"),
        ({"images": [image(checksum="sha256:abc")]}, "has the checksum 'sha256:abc', but"),
        ({"images": [image(checksum="crc:http://x/y")]}, "has the checksum 'crc:http://x/y', but"),
        (
            {"images": [image(url="", file="/x.img", checksum="sha256:https://x/SUMS")]},
            "The image 'cirros' has a file and the URL of checksums, but the checksum of a file must be a digest",
        ),
        ({"images": [image(properties={"a b": 1})]}, "The image 'cirros' has a property called 'a b'"),
        ({"networks": [network(cidr="192.168.100.1/24")]}, "has the CIDR '192.168.100.1/24', but must have an IPv4"),
        ({"networks": [network(cidr="192.168.100.0")]}, "has the CIDR '192.168.100.0', but"),
        ({"networks": [network(cidr="192.168.0.0/255.255.0.0")]}, "has the CIDR '192.168.0.0/255.255.0.0', but"),
        ({"networks": [network(cidr="172.31.0.0/24")]}, "must lie outside the host's network 172.31.0.0/25."),
        (
            {"networks": [network(), network(name="b", cidr="192.168.0.0/16")]},
            "The network 'b' has the CIDR 192.168.0.0/16, but must lie outside that of the network 'private'",
        ),
        ({"networks": [network(gateway="10.0.0.1")]}, "has the gateway '10.0.0.1', but must have one in"),
        ({"networks": [network(gateway="x")]}, "has the gateway 'x', but must have one in"),
        ({"networks": [network(pools=["10.0.0.1-10.0.0.2"])]}, "has the pool '10.0.0.1-10.0.0.2', but must have one"),
        ({"networks": [network(pools=["192.168.100.9-192.168.100.2"])]}, "the smaller one first"),
        ({"networks": [network(pools=["192.168.100.9"])]}, "has the pool '192.168.100.9', but"),
        (
            {"networks": [network(gateway="192.168.100.3", pools=["192.168.100.2-192.168.100.9"])]},
            "without the gateway between them",
        ),
        ({"networks": [network(dns_servers=["8.8.8"])]}, "has the DNS server '8.8.8', but must have an IPv4 address."),
    ],
)
def test_bad_ones(values: dict[str, Any], sentence: str) -> None:
    found = cloud_settings.problems(wanted(**values))
    assert len(found) == 1, found
    assert sentence in found[0]


def test_all_problems_at_once() -> None:
    assert len(cloud_settings.problems(wanted(quotas={"core": 1}, flavors=[flavor(vcpus=0)]))) == 2


@pytest.mark.parametrize(
    ("cidr", "gateway", "pools"),
    [
        ("172.31.0.128/25", "172.31.0.129", ["172.31.0.130-172.31.0.200"]),
        ("10.0.0.0/24", "10.0.0.1", ["10.0.0.2-10.0.0.144"]),
        ("10.0.0.0/24", "10.0.0.10", ["10.0.0.1-10.0.0.9", "10.0.0.11-10.0.0.144"]),
        ("10.0.0.0/24", "10.0.0.254", ["10.0.0.1-10.0.0.144"]),
        ("10.0.0.0/29", "10.0.0.1", ["10.0.0.2-10.0.0.4"]),
    ],
)
def test_floating_pools(cidr: str, gateway: str, pools: list[str]) -> None:
    assert cloud_settings.floating_pools(cidr, gateway) == pools
    line = network(cidr=cidr, gateway=gateway, pools=pools)
    assert cloud_settings.problems(wanted(networks=[line])) == []


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("ssh-ed25519 AAAAC3Nza me@here\n", True),
        ("ecdsa-sha2-nistp256 AAAA==", True),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", False),
        ("ssh-rsa", False),
        ("", False),
    ],
)
def test_public_keys(text: str, good: bool) -> None:
    assert cloud_settings.is_public_key(text) == good


# --- what needs no cloud to be decided


@pytest.mark.parametrize(
    ("line", "found", "lacks"),
    [
        pytest.param({}, None, True, id="not there"),
        pytest.param({}, {}, False, id="there, by somebody else"),
        pytest.param({}, {"hotstack_os_source": "http://b"}, True, id="another source"),
        pytest.param({"refresh": True}, {"hotstack_os_source": "http://a"}, True, id="to be asked again"),
        pytest.param({}, {"disk_format": "raw"}, True, id="another format"),
        pytest.param({"sha512": "5"}, {"os_hash_value": "5"}, False, id="the digest of a local file"),
        pytest.param({"sha512": "5"}, {"os_hash_value": "6"}, True, id="a local file that changed"),
        pytest.param({"checksum": "sha512:5"}, {"os_hash_value": "5"}, False, id="sha512"),
        pytest.param({"checksum": "md5:5"}, {"checksum": "5"}, False, id="md5"),
        pytest.param({"checksum": "md5:5"}, {"checksum": "6"}, True, id="another md5"),
        pytest.param({"checksum": "sha256:5"}, {"hotstack_os_checksum": "sha256:5"}, False, id="noted"),
        pytest.param(
            {"checksum": "sha256:5"},
            {"hotstack_os_checksum": "sha256:5", "hotstack_os_source": "http://b"},
            False,
            id="the same content from a mirror",
        ),
        pytest.param({"checksum": "sha256:5"}, {"hotstack_os_checksum": "sha256:6"}, True, id="another sha256"),
        pytest.param({"checksum": "sha256:5"}, {}, True, id="never noted"),
        pytest.param({"checksum": "sha256:http://sums"}, {}, False, id="a file of checksums is not asked again"),
    ],
)
def test_lacks_content(line: dict[str, Any], found: dict[str, Any] | None, lacks: bool) -> None:
    usual = {"disk_format": "qcow2", "checksum": "", "sha512": "", "refresh": False, "source": "http://a"}
    present = None if found is None else {"disk_format": "qcow2", **found}
    assert cloud_plan.lacks_content({**usual, **line}, present) == lacks


def test_image_values() -> None:
    line = {"name": "a", "visibility": "public", "source": "s", "checksum": "sha256:http://sums", "properties": {}}
    assert cloud_plan.image_values({**line, "properties": {"x": True, "y": 5}}) == {
        "name": "a",
        "visibility": "public",
        "x": "true",
        "y": "5",
        "hotstack_os_source": "s",
    }
    assert cloud_plan.image_values({**line, "checksum": "sha256:1"})["hotstack_os_checksum"] == "sha256:1"


def test_two_of_ours_are_refused() -> None:
    two = [{"id": number, "name": "private", "project_id": "p"} for number in (1, 2)]
    with pytest.raises(cloud_plan.CloudError, match=r"There are 2 of the network 'private' \(1, 2\); remove all but"):
        cloud_plan.own("network", "private", two, "p", {})
