# SPDX-License-Identifier: Apache-2.0
"""All faults: what breaks, and what may follow from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from guests import openstack
from lab import PREFIX

from faultlib.ground import Fault, Ground

SYSTEMCTL = "systemctl --user --machine=hotstack@"
SESSION = "hotstack-os-libvirtd-session.service"
DATA = "/var/lib/hotstack-os"
LIBVIRTD = "/usr/sbin/libvirtd"
# As a package update replaces it, with another content.
UPDATE = f"cp --preserve=mode {LIBVIRTD} {LIBVIRTD}.new && echo >>{LIBVIRTD}.new && mv {LIBVIRTD}.new {LIBVIRTD}"
STORES = ("mariadb", "rabbitmq", "ovn-northd")
FOLDERS = {"mariadb": "mysql", "rabbitmq": "rabbitmq", "ovn-northd": "ovn"}
DISK = "/run/hotstack-faults-disk"
FULL_SECONDS = 45
# A small disk for the data of all three; what it holds besides is room for a normal day.
SMALL_DISK = f"""
set -eu
mkdir -p {DISK}
size=$(du --summarize --block-size=1M --total {{folders}} | tail -n 1 | cut -f 1)
mount -t tmpfs -o size=$((size + 512))M,mode=0755 hotstack-faults {DISK}
for folder in {{folders}}; do
    cp --archive "$folder" {DISK}/
    mount --bind {DISK}/"$(basename "$folder")" "$folder"
done
"""
FORMER_DISK = f"""
set -eu
for folder in {{folders}}; do
    umount "$folder"
    rm -rf "$folder".former
    mv "$folder" "$folder".former
    cp --archive {DISK}/"$(basename "$folder")" "$folder"
    rm -rf "$folder".former
done
umount {DISK}
rmdir {DISK}
"""


def script(text: str, *, limit: float = 300.0) -> Callable[[Ground], None]:
    """Return what runs a shell script in the lab host."""

    def do(ground: Ground) -> None:
        ground.lab.shell(text, timeout=limit)

    return do


def kill(service: str) -> Callable[[Ground], None]:
    """Return what kills a container's main process."""
    return script(f"kill -KILL $(podman inspect --format '{{{{.State.Pid}}}}' {PREFIX}{service})")


def remove(service: str) -> Callable[[Ground], None]:
    """Return what removes a container."""
    return script(f"podman rm --force {PREFIX}{service}")


def stop_and_start(service: str) -> Callable[[Ground], float]:
    """Return what stops a unit, and starts it some seconds later."""

    def do(ground: Ground) -> float:
        ground.lab.run("systemctl", "stop", ground.unit(service))
        time.sleep(3)
        begin = time.time()
        ground.lab.run("systemctl", "start", ground.unit(service), timeout=300)
        return begin

    return do


def reboot_times(times: int) -> Callable[[Ground], float]:
    """Return what reboots the host in a row, and counts from the last time."""

    def do(ground: Ground) -> float:
        begin = time.time()
        for _ in range(times):
            begin = time.time()
            ground.reboot()
        return begin

    return do


def power_cut(ground: Ground) -> None:
    """Kill everything at once."""
    ground.cut_power()


def fill_disk(ground: Ground) -> float:
    """Give the stores a small disk, fill it while they are written to, and free it again."""
    units = [ground.unit(store) for store in STORES]
    folders = " ".join(f"{DATA}/{FOLDERS[store]}" for store in STORES)
    ground.lab.run("systemctl", "stop", *units, timeout=300)
    ground.lab.shell(SMALL_DISK.format(folders=folders))
    ground.lab.run("systemctl", "start", *units, timeout=300)
    ground.look({}, time.time(), 300)
    # It ends when there is no room left.
    ground.lab.shell(f"dd if=/dev/zero of={DISK}/filler bs=1M 2>/dev/null || true")
    time.sleep(FULL_SECONDS)
    ground.lab.shell(f"rm {DISK}/filler")
    return time.time()


def former_disk(ground: Ground) -> None:
    """Give the stores their former disk back, with what they have now."""
    units = [ground.unit(store) for store in STORES]
    folders = " ".join(f"{DATA}/{FOLDERS[store]}" for store in STORES)
    ground.lab.run("systemctl", "stop", *units, timeout=300)
    ground.lab.shell(FORMER_DISK.format(folders=folders))
    ground.lab.run("systemctl", "start", *units, timeout=300)


def image_of(service: str) -> Callable[[Ground], None]:
    """Return what removes the image of a service, and its container with it."""
    return script(f"podman rmi --force $(podman inspect --format '{{{{.ImageName}}}}' {PREFIX}{service})")


def edit_unit(service: str) -> Callable[[Ground], None]:
    """Return what edits the unit of a service by hand, as somebody does who wants to try something."""
    path = f"/etc/containers/systemd/{PREFIX}{service}.container"
    restart = f"systemctl daemon-reload && systemctl restart {PREFIX}{service}"
    return script(f"sed -i 's/^StopTimeout=.*/StopTimeout=7/' {path} && {restart}")


def edit_config(service: str, name: str) -> Callable[[Ground], None]:
    """Return what edits a configuration file of a service by hand."""
    return script(f"echo >>{DATA}/runtime/config/{service}/{name}")


def update_libvirt(ground: Ground) -> float:
    """Replace libvirt's daemon, and put it back."""
    ground.lab.shell(f"cp --preserve=all {LIBVIRTD} {LIBVIRTD}.kept && {UPDATE}")
    time.sleep(10)
    begin = time.time()
    ground.lab.shell(f"mv {LIBVIRTD}.kept {LIBVIRTD}")
    return begin


def use(ground: Ground) -> None:
    """Let a volume come to a guest and go again: Nova, Cinder, libvirt and the guest work together as before."""
    lab = ground.lab
    guest = ground.guests["from-image"]
    openstack(lab, "volume", "create", "--size", "1", "faults")
    state = ("volume", "show", "faults", "-f", "value", "-c", "status")
    lab.wait(lambda: openstack(lab, *state) == "available", "the volume is available", 60)
    guest.attach("faults")
    guest.detach("faults")
    openstack(lab, "volume", "delete", "faults")


def signal(unit: str) -> str:
    """Return the command that kills the main process of a unit of the host."""
    return f"systemctl kill --kill-whom=main --signal=KILL {unit}"


def every_fault(services: Sequence[str]) -> list[Fault]:
    """Return all faults of a deployed host in the order in which they happen."""
    # Open vSwitch keeps the flows that are there: guests lose no packet with any of these.
    faults = [Fault("kill", service, kill(service), [service]) for service in services]
    faults += [Fault("remove", service, remove(service), [service]) for service in services]
    faults += [Fault("stop", service, stop_and_start(service), [service]) for service in services]
    faults += [
        Fault("systemd", "daemon-reload", script("systemctl daemon-reload")),
        Fault("systemd", "daemon-reexec", script("systemctl daemon-reexec")),
        Fault("systemd", "daemon-reexec of the session", script(f"{SYSTEMCTL} daemon-reexec")),
        Fault("firewall", "reload of firewalld", script("firewall-cmd --reload")),
        Fault("firewall", "restart of firewalld", script("systemctl restart firewalld")),
        Fault("firewall", "our table deleted", script("nft delete table inet hotstack_os"), stays=True),
        Fault("firewall", "nft flush ruleset", script("nft flush ruleset"), stays=True),
        Fault("libvirt", "restart", script(f"{SYSTEMCTL} restart {SESSION}")),
        Fault("libvirt", "SIGKILL", script(f"{SYSTEMCTL} kill --kill-whom=main --signal=KILL {SESSION}")),
        Fault("libvirt", "package update", update_libvirt, limit=120),
        Fault("use", "of a volume after these", use),
    ]
    # A switch that starts anew forwards nothing until then.
    faults += [
        Fault("switch", f"{how} {unit}", script(command.format(unit=unit)), pings_may_get_lost=True)
        for unit in ("ovs-vswitchd", "ovsdb-server")
        for how, command in (("restart", "systemctl restart {unit}"), ("SIGKILL", signal("{unit}")))
    ]
    faults += [
        Fault("files", "image of placement removed", image_of("placement"), stays=True, limit=600),
        Fault("files", "unit of glance edited", edit_unit("glance"), stays=True, limit=600),
        Fault("files", "configuration of heat-api edited", edit_config("heat-api", "heat.conf"), stays=True, limit=600),
        Fault("disk", "full, then freed", fill_disk, STORES, limit=420),
        Fault("disk", "the former one again", former_disk, STORES),
        Fault("host", "two reboots in a row", reboot_times(2), guests_may_end=True, limit=600),
        Fault("host", "power cut during writes", power_cut, guests_may_end=True, limit=600),
        Fault("use", "of a volume after all", use),
    ]
    return faults
