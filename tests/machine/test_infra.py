# SPDX-License-Identifier: Apache-2.0
"""The infrastructure with its real hardening, where the kernel enforces it."""

from __future__ import annotations

from lab import Lab, Play

SERVICES = ["dnsmasq", "haproxy", "mariadb", "memcached", "rabbitmq"]


def denied(lab: Lab) -> list[str]:
    """Return the kernel's lines since the boot about what AppArmor denied."""
    lines = lab.shell('journalctl --dmesg --no-pager --grep=apparmor=\\"DENIED\\" || true').splitlines()
    return [line for line in lines if "apparmor=" in line]


def test_services_are_healthy(infra: Play, lab: Lab) -> None:
    lab.wait(lambda: not lab.unhealthy(SERVICES), f"{SERVICES} are healthy", 300)


def test_a_second_run_changes_nothing(infra: Play, lab: Lab) -> None:
    play = lab.deploy(playbook="tests/machine/infra.yml")
    assert play.changed == 0, play.changes


def test_guests_would_run_by_kvm(infra: Play) -> None:
    assert "KVM can't be used" not in infra.output


def test_the_kernels_datapath_is_used(infra: Play, lab: Lab) -> None:
    for bridge in ("hot-int", "hot-ex"):
        assert lab.run("ovs-vsctl", "get", "Bridge", bridge, "datapath_type").strip() in ('""', "system")
        assert lab.run("cat", f"/sys/class/net/{bridge}/mtu").strip() == "9216"


def test_apparmor_denied_nothing(infra: Play, lab: Lab) -> None:
    assert denied(lab) == []
