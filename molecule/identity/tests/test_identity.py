# SPDX-License-Identifier: Apache-2.0
"""What is there when only Keystone was asked for."""

from __future__ import annotations

from typing import Any

CLOUD = "openstack --os-cloud hotstack-os-admin"


def test_only_what_it_needs_runs(host: Any) -> None:
    names = host.check_output("podman ps --filter name=^hotstack-os- --format '{{.Names}}'").split()
    assert sorted(name.removeprefix("hotstack-os-") for name in names) == [
        *("dnsmasq", "haproxy", "keystone", "mariadb", "memcached", "rabbitmq")
    ]


def test_keystone_issues_a_token(host: Any) -> None:
    assert len(host.check_output(f"{CLOUD} token issue -f value -c id")) > 100
    assert host.check_output(f"{CLOUD} endpoint list -f value -c 'Service Name'").split() == ["keystone"] * 3


def test_the_rest_was_left_alone(host: Any) -> None:
    assert host.file("/root/own-lab").content_string == "mine"
    assert not host.file("/var/lib/hotstack/.config/systemd/user/hotstack-os-libvirtd-session.service").exists
