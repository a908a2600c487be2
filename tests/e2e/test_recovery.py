# SPDX-License-Identifier: Apache-2.0
"""What breaks is mended by the host itself, with no run of Ansible."""

from __future__ import annotations

from functools import partial

from lab import PREFIX, Lab


def main_process(lab: Lab, service: str) -> int:
    """Return the process id of a container's main process; 0 if it does not run."""
    shown = lab.attempt("podman", "inspect", "--format", "{{.State.Pid}}", PREFIX + service).stdout.strip()
    return int(shown) if shown.isdigit() else 0


def test_killed_main_processes(deployed: Lab, services: list[str]) -> None:
    """Kill the main process of every container at once: other ones become healthy."""
    before = {service: main_process(deployed, service) for service in services}
    assert min(before.values()) > 1, before
    deployed.run("kill", "-KILL", *map(str, before.values()))

    def back(service: str) -> bool:
        return main_process(deployed, service) not in (0, before[service]) and deployed.health(service) == "healthy"

    for service in services:
        deployed.wait(partial(back, service), f"{service} is healthy again", 300)
    deployed.assert_healthy(services, 120)
    deployed.assert_token()


def test_lost_capability_comes_back(deployed: Lab) -> None:
    """Take the capability from the session's libvirtd."""
    path = "/usr/local/libexec/hotstack-os/libvirtd"
    assert "cap_net_admin" in deployed.run("getcap", path)
    deployed.run("setcap", "-r", path)
    deployed.wait(lambda: "cap_net_admin" in deployed.run("getcap", path), f"{path} has its capability again", 60)
