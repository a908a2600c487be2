# SPDX-License-Identifier: Apache-2.0
"""The guest image, built and booted in the lab host by its QEMU: what it says, and what works in it."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator

import pytest
from lab import TOOL as LAB_TOOL
from lab import Lab

TOOL = "/opt/hotstack-os/source/tools/guest-image"
CACHE = "/var/cache/hotstack-os/guest-image"
IMAGE = f"{CACHE}/guest.qcow2"
FOLDER = "/var/tmp/hotstack-guest-test"
READY = "hotstack-guest: ready: "
# An emulated guest on a machine that does other things too.
PATIENCE = 180
FIRMWARE = "/usr/share/OVMF/OVMF_{}_4M.fd"

# The metadata service, started by QEMU for each connection to its address.
SERVICE = """
import sys, pathlib
folder = pathlib.Path(sys.argv[1])
path = sys.stdin.buffer.readline().split()[1].decode().lstrip("/")
while sys.stdin.buffer.readline().strip():
    pass
found = (folder / path).is_file()
body = (folder / path).read_bytes() if found else b"no such thing"
status = b"200 OK" if found else b"404 Not Found"
header = b"HTTP/1.1 %s\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n" % (status, len(body))
sys.stdout.buffer.write(header + body)
sys.stdout.buffer.flush()
"""

CLOUD_CONFIG = """#cloud-config
users:
- default
- name: stack
write_files:
- path: /opt/test/file
  permissions: '0640'
  content: |
    one
      two
runcmd:
- echo one > /run/marker
- [sh, -c, 'echo "two  words" >> /run/marker']
packages: [curl]
"""


class Guest:
    """One guest in the lab host: a unit that runs QEMU, a console in a file, a monitor that reads from a pipe."""

    def __init__(self, lab: Lab, name: str, port: int) -> None:
        self.lab = lab
        self.folder = f"{FOLDER}/{name}"
        self.unit = f"hotstack-guest-test-{name}.service"
        self.port = port

    def write(self, path: str, content: str) -> None:
        """Write a file below the guest's folder."""
        self.lab.shell(
            f"mkdir -p $(dirname {self.folder}/{path}) && cat > {self.folder}/{path} <<'EOT'\n{content}\nEOT"
        )

    def describe(self, key: str, user_data: str | None) -> None:
        """Write what the cloud knows about the guest."""
        meta_data = {"hostname": "first.novalocal", "public_keys": {"test": key}}
        self.write("metadata/openstack/latest/meta_data.json", json.dumps(meta_data))
        if user_data is not None:
            self.write("metadata/openstack/latest/user_data", user_data)

    def start(self, machine: str, memory: int, network: str, *options: str) -> None:
        """Start the guest and wait until it is ready."""
        create = f"qemu-img create -q -f qcow2 -b {IMAGE} -F qcow2 disk 1G"
        self.lab.shell(f"cd {self.folder} && {create} && mkfifo monitor.in monitor.out")
        command = ["qemu-system-x86_64", "-accel", "tcg", "-machine", machine, "-smp", "2", "-m", str(memory)]
        command += [
            "-display",
            "none",
            "-serial",
            f"file:{self.folder}/console",
            "-monitor",
            f"pipe:{self.folder}/monitor",
        ]
        command += ["-drive", f"if=none,id=root,file={self.folder}/disk", "-device", "virtio-blk-pci,drive=root"]
        command += ["-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port}-:22{network}"]
        command += ["-device", "virtio-net-pci,netdev=net", *options]
        self.lab.run("systemd-run", f"--unit={self.unit}", "--collect", "--quiet", *command)
        what = f"{self.unit} is ready"
        self.lab.wait(lambda: READY in self.console() or not self.lab.active(self.unit), what, PATIENCE)
        assert READY in self.console(), self.lab.run("journalctl", f"--unit={self.unit}", "--lines=5", "--output=cat")

    def uptime(self) -> float:
        """Return the lab host's monotonic seconds."""
        return float(self.lab.run("cut", "-d ", "-f1", "/proc/uptime"))

    def console(self) -> str:
        """Return what the guest said so far."""
        return self.lab.shell(f"cat {self.folder}/console", check=False)

    def monitor(self, command: str) -> None:
        """Give QEMU a command."""
        self.lab.shell(f"echo {shlex.quote(command)} > {self.folder}/monitor.in", timeout=30)

    def ssh(self, command: str, *, user: str = "cirros", check: bool = True, options: str = "") -> str:
        """Run a command in the guest."""
        known = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=20"
        line = f"ssh -i {FOLDER}/key -o BatchMode=yes {known} {options} -p {self.port} {user}@127.0.0.1"
        return self.lab.shell(f"{line} {shlex.quote(command)}", check=check)

    def stop(self) -> None:
        """End it."""
        self.lab.run("systemctl", "stop", self.unit, check=False)


@pytest.fixture(scope="module", name="image")
def fixture_image(lab: Lab) -> Iterator[Lab]:
    """Build the image from the working tree and make a key."""
    subprocess.run([LAB_TOOL, "install"], check=True, timeout=600)
    lab.run(TOOL, "--cache", CACHE, "--output", IMAGE, timeout=600)
    lab.shell(f"rm -rf {FOLDER} && mkdir -p {FOLDER} && ssh-keygen -q -t ed25519 -N '' -f {FOLDER}/key")
    yield lab
    lab.shell(f"rm -rf {FOLDER}")


@pytest.fixture(scope="module", name="bios")
def fixture_bios(image: Lab) -> Iterator[Guest]:
    """Return a guest that SeaBIOS boots, with a metadata service, and a second interface on which nobody answers."""
    guest = Guest(image, "bios", 20221)
    guest.describe(image.run("cat", f"{FOLDER}/key.pub"), CLOUD_CONFIG)
    guest.write("service.py", SERVICE)
    service = f"tcp:169.254.169.254:80-cmd:python3 {guest.folder}/service.py {guest.folder}/metadata"
    silent = ["-netdev", "hubport,hubid=1,id=silent", "-device", "virtio-net-pci,netdev=silent"]
    try:
        guest.start("pc", 128, f",net=169.254.0.0/16,dhcpstart=169.254.0.20,guestfwd={service}", *silent)
        yield guest
    finally:
        guest.stop()


@pytest.fixture(scope="module", name="uefi")
def fixture_uefi(image: Lab) -> Iterator[Guest]:
    """Return a guest that OVMF boots, with a config drive, and a slot for a volume."""
    guest = Guest(image, "uefi", 20222)
    guest.describe(image.run("cat", f"{FOLDER}/key.pub"), "#!/bin/sh\necho the script runs\nexit 3\n")
    image.shell(f"cp {FIRMWARE.format('VARS')} {guest.folder}/vars")
    drive = f"if=virtio,driver=vvfat,dir={guest.folder}/metadata,label=config-2,read-only=on"
    options = ["-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE.format('CODE')}"]
    options += ["-drive", f"if=pflash,format=raw,file={guest.folder}/vars", "-drive", drive]
    options += ["-device", "pcie-root-port,id=rp1,chassis=1"]
    try:
        guest.start("q35", 160, "", *options)
        yield guest
    finally:
        guest.stop()


def test_an_unchanged_image_is_not_built_again(image: Lab) -> None:
    done = image.attempt(TOOL, "--cache", CACHE, "--output", IMAGE, timeout=300)
    assert done.stderr == f"{IMAGE} is up to date.\n", done.stderr


def test_image_is_small_and_says_what_it_is_made_from(image: Lab) -> None:
    record = json.loads(image.run("cat", f"{CACHE}/guest.json"))
    assert record["size"] < 40e6
    assert record["packages"]["busybox-static"]


@pytest.mark.full
def test_metadata_service_is_applied(bios: Guest) -> None:
    assert "metadata from http://169.254.169.254" in bios.console()
    assert bios.ssh("hostname").strip() == "first"
    assert "127.0.1.1 first.novalocal first" in bios.ssh("cat /etc/hosts")
    assert bios.ssh("sudo cat /run/marker") == "one\ntwo  words\n"
    assert bios.ssh("sudo stat -c '%a %U' /opt/test/file; sudo cat /opt/test/file") == "640 root\none\n  two\n"
    assert bios.ssh("sudo -u stack id -un").strip() == "stack"


@pytest.mark.full
def test_what_is_not_supported_is_on_the_console(bios: Guest) -> None:
    assert "cloud-config: packages is not supported and was left out" in bios.console()


@pytest.mark.full
def test_a_silent_port_does_not_delay_the_guest(bios: Guest) -> None:
    assert bios.ssh("ls /sys/class/net").split() == ["eth0", "eth1", "lo"]
    assert "no DHCP answer" not in bios.console()


@pytest.mark.full
def test_user_is_no_root_but_becomes_it(bios: Guest) -> None:
    assert bios.ssh("id -u; sudo id -u").split() == ["1000", "0"]
    assert bios.ssh("sudo ls -d /root").strip() == "/root"


@pytest.mark.full
def test_no_password_opens_the_guest(bios: Guest) -> None:
    for user in ("cirros", "root"):
        done = bios.ssh("true; echo inside", user=user, check=False, options="-o PubkeyAuthentication=no")
        assert "inside" not in done


@pytest.mark.full
def test_offloads_are_off(bios: Guest) -> None:
    assert bios.ssh("cd /sys/module/virtio_net/parameters && cat csum gso").split() == ["N", "N"]


@pytest.mark.full
def test_vlan(bios: Guest) -> None:
    made = bios.ssh("sudo ip link add link eth0 name eth0.100 type vlan id 100 && sudo cat /proc/net/vlan/config")
    assert "eth0.100" in made


@pytest.mark.full
def test_reboot_gives_a_new_boot_id(bios: Guest) -> None:
    command = "cat /proc/sys/kernel/random/boot_id"
    first = bios.ssh(command)
    bios.ssh("sudo reboot", check=False)
    bios.lab.wait(lambda: bios.console().count(READY) == 2, "the guest is ready again", PATIENCE)
    assert bios.ssh(command) != first


@pytest.mark.full
def test_config_drive_is_applied(uefi: Guest) -> None:
    assert "metadata from the config drive /dev/vdb1" in uefi.console()
    assert "user-data: the script runs" in uefi.console()
    assert "user data 01 ended with status 3" in uefi.console()
    assert uefi.ssh("hostname; ls -d /sys/firmware/efi").split() == ["first", "/sys/firmware/efi"]


@pytest.mark.full
def test_volume_is_attached_written_and_detached(uefi: Guest) -> None:
    uefi.lab.run("qemu-img", "create", "-q", "-f", "qcow2", f"{uefi.folder}/volume", "256M")
    for number in (1, 2):
        uefi.monitor(f"drive_add 0 if=none,id=disk{number},file={uefi.folder}/volume")
        uefi.monitor(f"device_add virtio-blk-pci,drive=disk{number},id=volume{number},bus=rp1")
        uefi.lab.wait(lambda: uefi.ssh("ls /dev/vdc", check=False), "the volume is there", 30)
        if number == 1:
            uefi.ssh("sudo mkfs.ext4 -q /dev/vdc && sudo mount /dev/vdc /mnt && echo kept | sudo tee /mnt/file")
        else:
            uefi.ssh("sudo mount /dev/vdc /mnt")
            assert uefi.ssh("cat /mnt/file") == "kept\n"
        uefi.ssh("sudo umount /mnt")
        uefi.monitor(f"device_del volume{number}")
        uefi.lab.wait(lambda: not uefi.ssh("ls /dev/vdc", check=False), "the volume is gone", 30)


@pytest.mark.full
def test_power_button_ends_the_guest(uefi: Guest) -> None:
    begin = uefi.uptime()
    uefi.monitor("system_powerdown")
    uefi.lab.wait(lambda: not uefi.lab.active(uefi.unit), "the guest is off", 30, 0.2)
    seconds = uefi.uptime() - begin
    assert "hotstack-guest: power button" in uefi.console()
    assert seconds < 15, f"The guest took {seconds:.1f} s to end."
