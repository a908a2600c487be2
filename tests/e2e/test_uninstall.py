# SPDX-License-Identifier: Apache-2.0
"""`uninstall` takes the services away; guests run on, and the next deployment is the same cloud."""

from __future__ import annotations

import json

import foreign
from guests import FLAVOR, IMAGE, Guest, openstack
from lab import DATA_DIR, Lab

Guests = dict[str, Guest]

SYSTEM = """
ls -d /etc/containers/systemd/hotstack-os* /etc/containers/networks/hotstack-os* /etc/systemd/system/hotstack-os* \
    /etc/systemd/system/*.wants/hotstack-os* /etc/hotstack-os /etc/openstack /etc/firewalld/*/hotstack-* \
    /usr/local/bin/openstack /usr/local/libexec/hotstack-os-infra-setup 2>/dev/null
grep hotstack-os /etc/hosts
systemctl list-units --all --plain --no-legend 'hotstack-os*'
podman network exists hotstack-os && echo network
true
"""
GUESTS = "ps -e -o pid= -o lstart= -o args= | grep '[q]emu-system.*guest=notapet-' | cut -c-100"
SESSION = "systemctl --user --machine=hotstack@ is-active hotstack-os-libvirtd-session.service"
IDS = ("openstack", "--os-cloud", "hotstack-os-admin")


def identity(lab: Lab) -> list[str]:
    """Return the ids by which one knows the cloud and its guests again."""
    listed = (("project",), ("hypervisor",), ("network",), ("image",), ("server", "--all-projects"))
    return [lab.run(*IDS, kind, "list", *more, "-f", "value", "-c", "ID") for kind, *more in listed]


def test_services_go_and_guests_run_on(
    deployed: Lab, guests: Guests, before_deployment: dict[str, dict[str, str]]
) -> None:
    """Uninstall, and look at what is left; then again."""
    known = identity(deployed), deployed.shell(GUESTS), {name: guest.boot_id() for name, guest in guests.items()}
    assert len(known[1].splitlines()) == len(guests)
    images = deployed.run("podman", "images", "--quiet", "--no-trunc")
    listed = deployed.deploy("--check", playbook="uninstall", timeout=600)
    assert listed.changed == 1, listed.tail()
    assert deployed.containers()

    play = deployed.deploy(playbook="uninstall", timeout=600)
    print(f"uninstall: {play.seconds:.0f} s")
    name = deployed.run("uname", "-n").strip()
    for line in (f"data in {DATA_DIR}", f"it goes with `ansible-playbook hotstack.os.clean -e clean_host={name}`"):
        assert line in play.output
    assert deployed.shell(SYSTEM) == ""
    assert not deployed.containers()
    assert deployed.shell(GUESTS) == known[1]
    assert {name: guest.boot_id() for name, guest in guests.items()} == known[2]
    assert deployed.shell(SESSION).strip() == "active"
    assert deployed.run("podman", "images", "--quiet", "--no-trunc") == images
    assert foreign.look(deployed) == before_deployment
    assert deployed.deploy(playbook="uninstall", timeout=600).changed == 0

    again = deployed.deploy()
    print(f"site after uninstall: {again.seconds:.0f} s")
    assert (identity(deployed), deployed.shell(GUESTS)) == known[:2]


def test_the_same_guests_are_ruled_again(deployed: Lab, guests: Guests, services: list[str]) -> None:
    """Ask a guest and Nova for a change; post_setup gives the project's users their clouds again, and tidies up."""
    deployed.assert_healthy(services, 60)
    nothing = json.dumps({"post_setup_flavors": [], "post_setup_images": []})
    play = deployed.deploy("--extra-vars", nothing, playbook="post_setup", timeout=900)
    # What the settings do not name any more goes, but for what the guests were made from.
    kept = f"Not described any more, but kept, as they are in use or protected: flavor {FLAVOR}, image {IMAGE}."
    assert kept in " ".join(play.output.split())
    assert openstack(deployed, "flavor", "list", "-f", "value", "-c", "Name").split() == [FLAVOR]
    boots = {name: guest.boot_id() for name, guest in guests.items()}
    openstack(deployed, "volume", "create", "--size", "1", "after-uninstall")
    state = ("volume", "show", "after-uninstall", "-f", "value", "-c", "status")
    deployed.wait(lambda: openstack(deployed, *state) == "available", "the volume is available", 60)
    guest = guests["from-image"]
    guest.attach("after-uninstall")
    guest.detach("after-uninstall")
    openstack(deployed, "volume", "delete", "after-uninstall")
    assert {name: guest.boot_id() for name, guest in guests.items()} == boots
