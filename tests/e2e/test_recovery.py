# SPDX-License-Identifier: Apache-2.0
"""What breaks is mended by the host itself, with no run of Ansible."""

from __future__ import annotations

from lab import Lab


def main_processes(lab: Lab) -> dict[str, int]:
    """Return the process id of each container's main process, by service."""
    return {service: int(record["State"]["Pid"]) for service, record in lab.containers().items()}


def test_killed_main_processes(deployed: Lab, services: list[str]) -> None:
    """Kill the main process of every container at once: other ones become healthy."""
    before = main_processes(deployed)
    assert set(before) >= set(services)
    assert min(before.values()) > 1, before
    deployed.run("kill", "-KILL", *map(str, before.values()))
    replaced = "each main process is another one"
    deployed.wait(lambda: not set(before.items()) & set(main_processes(deployed).items()), replaced, 300)
    deployed.assert_healthy(services, 300)
    deployed.assert_token()


def test_lost_capability_comes_back(deployed: Lab) -> None:
    """Take the capability from the session's libvirtd."""
    path = "/usr/local/libexec/hotstack-os/libvirtd"
    assert "cap_net_admin" in deployed.run("getcap", path)
    deployed.run("setcap", "-r", path)
    deployed.wait(lambda: "cap_net_admin" in deployed.run("getcap", path), f"{path} has its capability again", 60)
