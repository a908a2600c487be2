# SPDX-License-Identifier: Apache-2.0
"""All faults: what breaks, and what may follow from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from guests import openstack
from lab import DATA_DIR, PREFIX, VIRSH

from faultlib.ground import Fault, Ground

SYSTEMCTL = "systemctl --user --machine=hotstack@"
SESSION = "hotstack-os-libvirtd-session.service"
LIBVIRTD = "/usr/sbin/libvirtd"
COPY = "/usr/local/libexec/hotstack-os/libvirtd"
# As a package update replaces it, with another content.
UPDATE = f"cp --preserve=mode {LIBVIRTD} {LIBVIRTD}.new && echo >>{LIBVIRTD}.new && mv {LIBVIRTD}.new {LIBVIRTD}"
# What else of ours runs on the host, but for the session libvirt, which has a group of its own.
HOST_UNITS = (
    "hotstack-os-infra-setup.service",
    "hotstack-os-libvirtd-ready.service",
    "hotstack-os-libvirtd-capability.path",
    "hotstack-os-resolv.path",
)
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
# The same for a guest that is off: its folder holds its disk, and there is room for few of its writes.
GUEST_DISK = f"""
set -eu
mkdir -p {DISK}
mount -t tmpfs -o size=$(($(du --summarize --block-size=1M {{folder}} | cut -f 1) + 32))M hotstack-faults {DISK}
cp --archive {{folder}} {DISK}/guest
mount --bind {DISK}/guest {{folder}}
"""
FORMER_GUEST_DISK = f"""
set -eu
umount {{folder}}
cp --archive {DISK}/guest/. {{folder}}/
umount {DISK}
rmdir {DISK}
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


def stop_and_start(*units: str) -> Callable[[Ground], float]:
    """Return what stops units, and starts the first of them some seconds later."""

    def do(ground: Ground) -> float:
        ground.lab.run("systemctl", "stop", *units, timeout=300)
        time.sleep(3)
        begin = time.time()
        ground.lab.run("systemctl", "start", units[0], timeout=300)
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
    folders = " ".join(f"{DATA_DIR}/{FOLDERS[store]}" for store in STORES)
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
    folders = " ".join(f"{DATA_DIR}/{FOLDERS[store]}" for store in STORES)
    ground.lab.run("systemctl", "stop", *units, timeout=300)
    ground.lab.shell(FORMER_DISK.format(folders=folders))
    ground.lab.run("systemctl", "start", *units, timeout=300)


def guest_folder(ground: Ground, guest: str) -> str:
    """Return the folder that holds a guest's disk."""
    return f"{DATA_DIR}/nova-instances/{openstack(ground.lab, 'server', 'show', guest, '-f', 'value', '-c', 'id')}"


def while_off(ground: Ground, guest: str, script: str) -> None:
    """Run a shell script in the lab host while a guest is off; it then is of another boot, which is no fault."""
    status = ("server", "show", guest, "-f", "value", "-c", "status")

    def tell(order: str, reached: str) -> None:
        openstack(ground.lab, "server", order, guest)
        ground.lab.wait(lambda: openstack(ground.lab, *status) == reached, f"{guest} is {reached}", 120)

    tell("stop", "SHUTOFF")
    ground.lab.shell(script)
    tell("start", "ACTIVE")
    ground.guests[guest].wait()
    ground.boots[guest] = ground.guests[guest].boot_id()


def fill_guest_disk(ground: Ground) -> float:
    """Give a guest's disk a small disk of the host, let the guest write until libvirt pauses it, and free it again."""
    name = "from-image"
    while_off(ground, name, GUEST_DISK.format(folder=guest_folder(ground, name)))
    # The guest lives in its memory; so far in, its disk has nothing of the image.
    write = "dd if=/dev/urandom of=/dev/vda bs=1M seek=512 count=256 oflag=direct"
    ground.guests[name].run(f"{write} </dev/null >/dev/null 2>&1 &")
    ground.lab.wait(lambda: ground.lab.shell(f"{VIRSH} list --state-paused --name").strip(), "the guest is paused", 120)
    ground.lab.shell(f"mount -o remount,size=2G {DISK}")
    return time.time()


def former_guest_disk(ground: Ground) -> None:
    """Give the guest its former disk back, with what it has now."""
    name = "from-image"
    while_off(ground, name, FORMER_GUEST_DISK.format(folder=guest_folder(ground, name)))


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
    return script(f"echo >>{DATA_DIR}/runtime/config/{service}/{name}")


def update_libvirt(ground: Ground) -> float:
    """Replace libvirt's daemon, and put it back."""
    ground.lab.shell(f"cp --preserve=all {LIBVIRTD} {LIBVIRTD}.kept && {UPDATE}")
    copied = f"cmp --silent {LIBVIRTD} {COPY} && getcap {COPY} | grep --quiet cap_net_admin && echo yes"
    ground.lab.wait(lambda: ground.lab.shell(copied, check=False), "the copy follows the update", 60)
    begin = time.time()
    ground.lab.shell(f"mv {LIBVIRTD}.kept {LIBVIRTD}")
    ground.lab.wait(lambda: ground.lab.shell(copied, check=False), "the copy follows the former one", 60)
    return begin


def use(ground: Ground) -> None:
    """Let a volume come to a guest and go again: Nova, Cinder, libvirt and the guest work together as before."""
    lab = ground.lab
    guest = ground.guests["from-image"]
    volume = openstack(lab, "volume", "create", "--size", "1", "faults", "-f", "value", "-c", "id")
    state = ("volume", "show", volume, "-f", "value", "-c", "status")
    lab.wait(lambda: openstack(lab, *state) == "available", "the volume is available", 60)
    guest.attach(volume)
    guest.detach(volume)
    openstack(lab, "volume", "delete", volume)


def signal(unit: str) -> str:
    """Return the command that kills the main process of a unit of the host."""
    return f"systemctl kill --kill-whom=main --signal=KILL {unit}"


def every_fault(services: Sequence[str]) -> list[Fault]:
    """Return all faults of a deployed host in the order in which they happen."""
    # Open vSwitch keeps the flows that are there: guests lose no packet with any of these.
    faults = [Fault("kill", service, kill(service), [service]) for service in services]
    faults += [Fault("remove", service, remove(service), [service]) for service in services]
    faults += [Fault("stop", service, stop_and_start(f"{PREFIX}{service}.service"), [service]) for service in services]
    faults += [Fault("stop", unit, stop_and_start(unit)) for unit in HOST_UNITS]
    # The target alone is stopped at once, and what belongs to it some seconds later.
    everything = ("hotstack-os.target", *(f"{PREFIX}{service}.service" for service in services))
    faults.append(Fault("stop", "everything", stop_and_start(*everything), services))
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
        Fault("disk", "of a guest full, then freed", fill_guest_disk, stays=True, pings_may_get_lost=True),
        Fault("disk", "the guest's former one again", former_guest_disk, pings_may_get_lost=True),
        Fault("host", "two reboots in a row", reboot_times(2), guests_may_end=True, limit=600),
        Fault("host", "power cut during writes", power_cut, guests_may_end=True, limit=600),
        Fault("use", "of a volume after all", use),
    ]
    return faults
