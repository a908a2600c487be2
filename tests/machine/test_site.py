# SPDX-License-Identifier: Apache-2.0
"""All of the deployment, from another machine over SSH, and guests that KVM runs."""

from __future__ import annotations

import guests as by_hand
import pytest
from lab import VIRSH, Lab, Play
from test_infra import denied

pytestmark = pytest.mark.full


def test_all_services_are_healthy(site: Play, lab: Lab, services: list[str]) -> None:
    lab.assert_healthy(services, 900)
    status = lab.attempt("hotstack-os", "status", timeout=300)
    assert status.returncode == 0, status.stdout


def test_a_second_run_changes_nothing(site: Play, lab: Lab) -> None:
    play = lab.deploy(timeout=3600)
    assert play.changed == 0, play.changes


def test_status_says_how_guests_run(site: Play, lab: Lab) -> None:
    assert "kvm" in lab.run("hotstack-os", "status", timeout=300)


def test_smoke_test_passes(project: Play, lab: Lab) -> None:
    play = lab.deploy(playbook="smoke_test", timeout=3600)
    assert "Passed in" in play.output, play.tail()


def test_guests_run_by_kvm(guests: dict[str, by_hand.Guest], lab: Lab) -> None:
    for number in lab.shell(f"{VIRSH} list --id").split():
        domain = lab.shell(f"{VIRSH} dumpxml {number}")
        assert "<domain type='kvm'" in domain
        assert "mode='host-passthrough'" in domain


def test_the_kernel_kills_no_guest_before_a_container(guests: dict[str, by_hand.Guest], lab: Lab) -> None:
    """A guest may have all of the host's memory, which counts 1000."""
    spared = "pgrep --exact libvirtd --uid hotstack; pgrep --full '^[^ ]*qemu-system.*guest=notapet-'"
    killed = "podman ps --quiet --filter name=^hotstack-os- | xargs podman inspect --format '{{.State.Pid}}'"
    first, last = (
        set(map(int, lab.shell(f"for pid in $({pids}); do cat /proc/$pid/oom_score_adj; done").split()))
        for pids in (killed, spared)
    )
    assert last == {-500}
    assert max(last) + 1000 <= min(first)


def test_systemd_oomd_spares_guests(guests: dict[str, by_hand.Guest], lab: Lab) -> None:
    """Read what the service manager of the user tells systemd-oomd of the control group with the guests."""
    pid = lab.shell("pgrep --full '^[^ ]*qemu-system.*guest=notapet-'").split()[0]
    group = lab.shell(f"sed -n s/^0:://p /proc/{pid}/cgroup").strip()
    program = "import os, sys; print(os.getxattr(sys.argv[1], 'user.oomd_omit').decode())"
    assert lab.run("python3", "-c", program, f"/sys/fs/cgroup{group}").strip() == "1"


def test_a_guest_has_the_mtu_of_the_underlay(guests: dict[str, by_hand.Guest]) -> None:
    """Ping from guest to guest with the largest packets."""
    one, other = guests.values()
    address = other.run("ip -4 -oneline address show eth0").split()[3].split("/")[0]
    assert "mtu 9158" in one.run("ip link show eth0")
    one.run(f"ping -c 2 -s {9158 - 28} {address}")


def test_tcp_passes_with_offloads(guests: dict[str, by_hand.Guest], lab: Lab) -> None:
    """Copy 8 MiB to a guest and back; the kernel finishes checksums and cuts segments."""
    guest = next(iter(guests.values()))
    copy = " ".join((*by_hand.SSH, f"cirros@{guest.address}", "'tee /tmp/data'"))
    script = f"head -c 8388608 /dev/urandom > /tmp/data && {copy} < /tmp/data | cmp - /tmp/data"
    lab.shell(script, timeout=600)


def test_apparmor_denied_nothing(guests: dict[str, by_hand.Guest], lab: Lab) -> None:
    assert denied(lab) == []
