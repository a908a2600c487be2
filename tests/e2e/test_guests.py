# SPDX-License-Identifier: Apache-2.0
"""Guests booted by hand: their disks, who owns what while they run, and what they outlive."""

from __future__ import annotations

import foreign
import pytest
from guests import NAMES, Guest, openstack, pings
from lab import DATA_DIR, PREFIX, VIRSH, Lab

SYSTEMCTL = "systemctl --user --machine=hotstack@"
SESSION = "hotstack-os-libvirtd-session.service"
KILL_SESSION = f"{SYSTEMCTL} kill --kill-whom=main --signal=KILL {SESSION}"

# Each line of the listing: kind, mode, owner, group, path below the data root.
LIST = f"find {DATA_DIR}/nova-instances {DATA_DIR}/cinder-nfs {DATA_DIR}/nova-mnt -printf '%y %m %u %g %P\\n'"


def test_a_guest_from_an_image_and_one_from_a_volume(deployed: Lab, guests: dict[str, Guest]) -> None:
    """See both in the session's libvirt, from the host and from nova-compute, and each with its kind of disk."""
    running = deployed.shell(f"{VIRSH} list --name").split()
    assert len(running) == len(guests)
    inside = deployed.run("podman", "exec", "hotstack-os-nova-compute", "virsh", "--quiet", "list", "--name").split()
    assert sorted(inside) == sorted(running)
    sources = {name: _sources(deployed, name) for name in NAMES}
    assert sources["from-image"][0].startswith(f"{DATA_DIR}/nova-instances/")
    assert sources["from-volume"][0].startswith(f"{DATA_DIR}/nova-mnt/")


def _sources(lab: Lab, name: str) -> list[str]:
    """Return the files of a guest's disks, as libvirt knows them."""
    domain = openstack(lab, "server", "show", name, "-f", "value", "-c", "id")
    lines = lab.shell(f"{VIRSH} domblklist {domain}").splitlines()
    return [line.split()[1] for line in lines if line.strip()]


def test_only_our_bridges_are_used(deployed: Lab, guests: dict[str, Guest]) -> None:
    """See no bridge that something made by default, which may be another network's on another host."""
    assert guests
    bridges = set(deployed.run("ovs-vsctl", "list-br").split())
    assert {name for name in bridges if not name.startswith("foreign")} == {"hot-int", "hot-ex"}


@pytest.mark.full
def test_a_volume_moves_with_its_data(deployed: Lab, guests: dict[str, Guest]) -> None:
    """Write a volume in one guest and read it in the other."""
    openstack(deployed, "volume", "create", "--size", "1", "data", "-f", "value", "-c", "id")
    state = ("volume", "show", "data", "-f", "value", "-c", "status")
    deployed.wait(lambda: openstack(deployed, *state) == "available", "the volume is available", 60)
    first, second = guests.values()
    first.attach("data")
    first.run("dd if=/dev/urandom of=/dev/vdb bs=1M count=8 2>/dev/null && sync")
    written = first.run("dd if=/dev/vdb bs=1M count=8 2>/dev/null | sha256sum")
    first.detach("data")
    assert first.run("test -b /dev/vdb && echo there || echo gone") == "gone"
    second.attach("data")
    assert second.run("dd if=/dev/vdb bs=1M count=8 2>/dev/null | sha256sum") == written


def test_owners_and_modes_while_guests_run(deployed: Lab, guests: dict[str, Guest]) -> None:
    """Compare what guests use with the table of docs/storage.md."""
    assert guests
    listed = [line.split(" ", 4) for line in deployed.shell(LIST).splitlines()]
    top = [line[:4] for line in listed if not line[4]]
    folder = ["d", "2775"]
    assert top == [[*folder, "hotstack", "kvm"], [*folder, "root", "kvm"], [*folder, "root", "kvm"]]
    for kind, mode, owner, group, path in listed:
        assert group == "kvm", path
        assert kind != "d" or int(mode, 8) & 0o2070 == 0o2070, f"{path} {mode}"
        name = path.rsplit("/", 1)[-1]
        if name == "disk" or name.startswith("volume-"):
            # QEMU, a member of the group, writes them; which user made them does not matter.
            assert (kind, int(mode, 8) & 0o060) == ("f", 0o060), f"{path} {mode} {owner}"


def test_qemu_runs_as_the_sessions_user(deployed: Lab, guests: dict[str, Guest]) -> None:
    """Look at the processes of the guests."""
    users = deployed.shell("ps -e -o user:32= -o args= | awk '/[q]emu-system.*guest=notapet-/ {print $1}'").split()
    assert users == ["hotstack"] * len(guests)


PARTS = [pytest.param(name, marks=pytest.mark.full) for name in ("nova-compute", "session restarted", "session killed")]


@pytest.mark.parametrize("what", ["everything", *PARTS])
def test_guests_outlive(
    deployed: Lab,
    before_deployment: dict[str, dict[str, str]],
    guests: dict[str, Guest],
    services: list[str],
    what: str,
) -> None:
    """Stop and start what guests are made by: no packet to them is lost, none boots again, nothing else is touched."""
    boots = {name: guest.boot_id() for name, guest in guests.items()}
    first, second = guests.values()
    with pings(first) as to_first, pings(second) as to_second:
        if what == "everything":
            deployed.run("systemctl", "stop", "hotstack-os.target", timeout=300)
            deployed.wait(lambda: not deployed.containers(), "all containers are gone", 120)
            assert not [name for name in services if deployed.active(f"{PREFIX}{name}.service")]
            assert foreign.look(deployed) == before_deployment
            deployed.run("systemctl", "start", "hotstack-os.target", timeout=600)
        elif what == "nova-compute":
            deployed.run("systemctl", "restart", "hotstack-os-nova-compute", timeout=300)
        elif what == "session restarted":
            deployed.shell(f"{SYSTEMCTL} restart {SESSION}")
        else:
            deployed.shell(KILL_SESSION)
            deployed.wait(lambda: deployed.attempt("sh", "-c", f"{VIRSH} list").returncode == 0, "libvirt is back", 60)
        deployed.assert_healthy(services)
    lost = {guest.name: sent - came for guest, (sent, came) in ((first, to_first), (second, to_second))}
    print(f"{what}: sent {to_first[0]} and {to_second[0]}, lost {lost}")
    assert {name: guest.boot_id() for name, guest in guests.items()} == boots
    assert foreign.look(deployed) == before_deployment
    assert len(deployed.shell(f"{VIRSH} list --name").split()) == len(guests)
    # The one that is on its way when ping ends is not answered.
    assert all(number <= 1 for number in lost.values()), lost


@pytest.mark.full
def test_nova_still_rules_them(deployed: Lab, guests: dict[str, Guest]) -> None:
    """Take the volume off the second guest, soon after the session's daemon was killed."""
    service = ("compute", "service", "list", "--service", "nova-compute", "-f", "value", "-c", "Status", "-c", "State")
    asked = ("openstack", "--os-cloud", "hotstack-os-admin", *service)
    deployed.shell(KILL_SESSION)
    # Nova notices that the connection broke, disables the host by itself, and connects again.
    deployed.wait(lambda: deployed.run(*asked).split() == ["disabled", "up"], "Nova notices it", 30, 0.1)
    deployed.wait(lambda: deployed.run(*asked).split() == ["enabled", "up"], "Nova has libvirt again", 30)
    guests["from-volume"].detach("data")
    openstack(deployed, "volume", "delete", "data")
