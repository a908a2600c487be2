# SPDX-License-Identifier: Apache-2.0
"""`clean` takes the images too, and what is left of a cloud that was taken apart by hand."""

from __future__ import annotations

import foreign
import pytest
import snapshot
from lab import Lab
from snapshot import Snapshot

# What somebody may have done by hand before.
HALF = """
systemctl stop hotstack-os-keystone hotstack-os-haproxy
rm -r /etc/containers/systemd/hotstack-os-n* /etc/systemd/system/hotstack-os.target /var/lib/hotstack-os/mysql
systemctl daemon-reload
podman rm --force hotstack-os-rabbitmq hotstack-os-nova-api
ovs-vsctl del-br hot-int
nft delete table inet hotstack_os
sed -i '/# BEGIN hotstack.os/,/# END hotstack.os/d' /etc/hosts
"""


@pytest.mark.full
def test_half_removed_cloud_is_cleaned(
    deployed: Lab,
    host_name: str,
    host_before: Snapshot,
    host_again: Snapshot,
    before_deployment: dict[str, dict[str, str]],
) -> None:
    """Break what is there, clean it, and compare the host with what it was before it was deployed again."""
    foreign.go_on(deployed)
    running = foreign.look(deployed)
    deployed.shell(HALF)
    play = deployed.deploy("--extra-vars", f"clean_host={host_name}", playbook="clean", timeout=600)
    print(f"clean: {play.seconds:.0f} s")
    after = snapshot.take(deployed)
    assert after["podman"] == host_before["podman"]
    # The images were still there when it was deployed again.
    assert {**snapshot.differences(host_again, after), "podman": []} == {"podman": []}
    assert foreign.look(deployed) == running
    assert running["lasts"] == before_deployment["lasts"]


def test_images_go_too(deployed: Lab, host_name: str, host_before: Snapshot) -> None:
    """Clean whatever is left; then there is nothing to do."""
    deployed.deploy("--extra-vars", f"clean_host={host_name}", playbook="clean", timeout=600)
    assert snapshot.take(deployed)["podman"] == host_before["podman"]
    again = deployed.deploy("--extra-vars", f"clean_host={host_name}", playbook="clean", timeout=600)
    assert again.changed == 0, again.tail(200)
