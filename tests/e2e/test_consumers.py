# SPDX-License-Identifier: Apache-2.0
"""What scenarios of users do with the cloud, beyond the smoke test: two guests of a stack, each asked many questions.

Both stories that take long, volumes and images of the one, rescue and rebuild of the other, are told at the same time.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest
import yaml
from guests import Guest, provide_key
from lab import DATA_DIR, TOOL, VIRSH, Lab

HERE = Path(__file__).resolve().parent
PROGRAM = (HERE / "consumers_cloud.py").read_text()
PREFIX = "test-consumers"
IMAGE = "/var/cache/hotstack-os/guest-image/guest.qcow2"
FOLDER = "/var/tmp/hotstack-test-consumers"
VOLUMES = f"{DATA_DIR}/cinder-nfs"
NVRAM = "ls ~hotstack/.config/libvirt/qemu/nvram 2>/dev/null | grep notapet- || true"
TAGS = ["hotstack", "hotstack-snapset", "role=controller", "mac_address=22:57:f8:dd:21:10"]
# In seconds; HAProxy's usual limit is a minute.
IDLE = 65

# What makes a UEFI guest's disk a CD-ROM that boots: its file system, with another word for the kernel to tell by.
MAKE_IMAGES = f"""
set -eu
rm -rf {FOLDER}
mkdir -p {FOLDER}/cd
cd {FOLDER}
cp {IMAGE} disk.qcow2
qemu-img convert -O raw disk.qcow2 disk.raw
dd if=disk.raw of=cd/efi.img bs=1M skip=1 status=none
rm disk.raw
LC_ALL=C sed -i s/panic=10/panic=11/ cd/efi.img
nova=$(podman inspect --format '{{{{.ImageName}}}}' hotstack-os-nova-compute)
sectors=$(($(stat -c %s cd/efi.img) / 512))
podman run --rm --pull=never --network=none --log-driver=none --volume={FOLDER}:{FOLDER} "$nova" genisoimage -quiet \\
    -o {FOLDER}/rescue.iso -b efi.img -c boot.cat -no-emul-boot -boot-load-size "$sectors" {FOLDER}/cd
truncate -s 4M zeros.raw
"""

# Opens the screen at the URL on its first line of input, as noVNC does, up to where pictures are asked for.
# At the second line it asks for one, and says what came.
WATCH = """
import base64, os, socket, sys
sys.path.insert(0, "/usr/share/ansible/collections")
from ansible_collections.hotstack.os.plugins.module_utils import smoke_host

screen = smoke_host.screen_of(sys.stdin.readline().strip())
connection = socket.create_connection((screen.host, screen.port), timeout=20)
stream = connection.makefile("rb")
key = base64.b64encode(os.urandom(16)).decode()
connection.sendall(smoke_host.upgrade(screen, key).encode())
answer = b""
while not answer.endswith(b"\\r\\n\\r\\n"):
    answer += stream.readline() or sys.exit("no answer to the upgrade")
assert smoke_host.upgraded(answer.decode(), key), answer

came = bytearray()
def read(size):
    while len(came) < size:
        kind, length = stream.read(2)
        if length > 125:
            length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
        data = stream.read(length)
        if kind == 0x82:
            came.extend(data)
        elif kind == 0x88:
            sys.exit("closed: " + repr(data))
    found = bytes(came[:size])
    del came[:size]
    return found

def write(data):
    connection.sendall(bytes([0x82, 0x80 | len(data), 0, 0, 0, 0]) + data)

write(read(12))
assert 1 in read(read(1)[0]), "VNC asks for more than nothing"
write(b"\\1")
assert read(4) == bytes(4)
write(b"\\1")
begin = read(24)
read(int.from_bytes(begin[20:], "big"))
print("open", flush=True)
sys.stdin.readline()
write(b"\\3\\0\\0\\0\\0\\0" + begin[:4])
print("picture" if len(read(64)) == 64 else "nothing", flush=True)
"""

# Writes on and on, well above what is compared, until it is told to stop; a failed write ends it too.
WRITER = """
rm -f /run/stop /run/writes
setsid sh -c 'while [ ! -e /run/stop ]; do
    dd if=/dev/urandom of=/dev/vdb bs=64k count=16 seek=4096 conv=notrunc,fsync 2>/run/error || exit
    echo >>/run/writes
done; echo stopped >/run/writer' >/dev/null 2>&1 </dev/null &
"""
PATTERN = "dd if=/dev/{} bs=1M count=8 2>/dev/null | sha256sum"
# Between the partition table and the first partition.
MARK = "echo {} | dd of=/dev/vda bs=512 seek=2040 conv=fsync,notrunc 2>/dev/null"
READ_MARK = "dd if=/dev/vda bs=512 skip=2040 count=1 2>/dev/null | tr -d '\\0'"

# What a DHCP server says to one who asks once more.
DHCP = """
cat >/run/print <<'end'
#!/bin/sh
[ "$1" != bound ] || echo "$ip $tftp $bootfile"
end
chmod +x /run/print
udhcpc -f -q -n -i eth0 -O tftp -O bootfile -s /run/print 2>/dev/null
"""

DHCP6 = """
cat >/run/print <<'end'
#!/bin/sh
[ "$1" != bound ] || { echo "$ipv6"; ip address replace "$ipv6/64" dev "$interface"; }
end
chmod +x /run/print
udhcpc6 -f -q -n -i eth0 -s /run/print 2>/dev/null
"""

TOKEN = """
cat >/run/body <<'end'
{body}
end
wget -S -O /dev/null --header 'Content-Type: application/json' --post-file /run/body {url}/auth/tokens 2>&1 |
    grep -c -i x-subject-token:
rm /run/body
"""


class Consumer:
    """Asks the cloud as its user, and keeps what the tests have to know of each other."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.pool = ThreadPoolExecutor(8)
        self.facts: dict[str, Any] = {}
        self.work: dict[str, Future[Any]] = {}
        self.console: subprocess.Popen[str] | None = None
        self.opened = 0.0

    def ask(self, verb: str, *arguments: str) -> Any:
        """Return what a verb of the program answers."""
        return self.lab.openstacksdk(PROGRAM, verb, *arguments, folder=FOLDER if verb == "upload" else "")

    def start(self, name: str, *call: Any) -> None:
        """Do something beside the rest."""
        self.work[name] = self.pool.submit(*call)

    def guest(self, name: str) -> Guest:
        """Return one of the two guests."""
        return Guest(self.lab, f"{PREFIX}-{name}", self.facts[f"{name}_address"])

    def create(self) -> None:
        """Make the images, and boot the guests."""
        self.lab.shell(MAKE_IMAGES)
        provide_key(self.lab, PREFIX)
        uefi = {"hw_firmware_type": "uefi", "hw_machine_type": "q35", "hw_scsi_model": "virtio-scsi"}
        uefi["os_shutdown_timeout"] = "5"
        rescue = {**uefi, "hw_rescue_device": "cdrom", "hw_rescue_bus": "usb"}
        wanted = {
            "uefi": ("disk.qcow2", "qcow2", json.dumps(uefi)),
            "rescue": ("rescue.iso", "iso", json.dumps(rescue)),
            "blank": ("zeros.raw", "raw", json.dumps(uefi)),
            "zeros": ("zeros.raw", "raw", "{}"),
        }
        uploads = {
            name: self.pool.submit(self.ask, "upload", f"{PREFIX}-{name}", f"{FOLDER}/{path}", *rest)
            for name, (path, *rest) in wanted.items()
        }
        self.facts = {f"image_{name}": upload.result() for name, upload in uploads.items()}
        images = {"image": self.facts["image_uefi"], "blank_image": self.facts["image_blank"]}
        template = (HERE / "consumers.yml").read_text()
        self.facts.update(self.ask("create_stack", PREFIX, template, json.dumps({"keypair": PREFIX, **images})))
        for name in ("one", "two"):
            self.guest(name).wait()

    def smoke_test_of_zeros(self) -> subprocess.CompletedProcess[str]:
        """Run the smoke test with an image in which nothing boots."""
        variables = {"smoke_test_image": f"{PREFIX}-zeros", "smoke_test_boot_timeout": 10}
        return self.lab.attempt(
            "ansible-playbook", "hotstack.os.smoke_test", "--extra-vars", json.dumps(variables), timeout=400
        )

    def watch(self) -> None:
        """Open the screen of the first guest as soon as it runs, and leave it alone."""
        url = self.ask("screen", f"{PREFIX}-one")
        command = [TOOL, "exec", "--", "python3", "-c", WATCH]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.console = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]
        assert self.console.stdin
        assert self.console.stdout
        self.console.stdin.write(f"{url}\n")
        self.console.stdin.flush()
        said = self.console.stdout.readline().strip()
        assert said == "open", self.console.communicate(timeout=30)
        self.opened = time.monotonic()

    def ask_for_a_picture(self) -> None:
        """See that the screen is still there, more than a minute after it was opened."""
        self.work["screen"].result()
        time.sleep(max(0.0, self.opened + IDLE - time.monotonic()))
        assert self.console
        said, wrong = self.console.communicate("\n", timeout=30)
        assert said.strip() == "picture", wrong

    def remove(self) -> list[str]:
        """Delete all, and return what is left."""
        if self.console:
            self.console.kill()
        self.ask("unboot", f"{PREFIX}-three")
        left = self.ask("remove", PREFIX, PREFIX, PREFIX)
        self.lab.shell(f"rm -rf {FOLDER}")
        return list(left)


def _files(lab: Lab) -> list[list[str]]:
    """Return the name, mode and group of each file of the volumes."""
    listed = lab.shell(f"find {VOLUMES} -type f -printf '%f %m %g\\n' | sort")
    return [line.split() for line in listed.splitlines()]


def _assert_modes(lab: Lab) -> None:
    """See that QEMU may write all of them, by its group."""
    wrong = [line for line in _files(lab) if line[2] != "kvm" or int(line[1], 8) & 0o060 != 0o060]
    assert not wrong


@pytest.fixture(scope="module")
def consumer(deployed: Lab) -> Iterator[Consumer]:
    """Return the one who has booted the guests."""
    consumer = Consumer(deployed)
    consumer.remove()
    before = {"files": _files(deployed), "nvram": deployed.shell(NVRAM)}
    try:
        consumer.create()
        consumer.facts["before"] = before
        yield consumer
    finally:
        consumer.pool.shutdown()
        consumer.remove()


@pytest.fixture(scope="module")
def stories(consumer: Consumer) -> dict[str, Future[Any]]:
    """Begin both stories, open the screen that one of them looks at, and run a smoke test beside them."""
    if "volumes" not in consumer.work:
        consumer.start("screen", consumer.watch)
        consumer.start("dead image", consumer.smoke_test_of_zeros)
        consumer.start("volumes", volumes_and_images, consumer)
        consumer.start("rescue", rescue_and_insert, consumer)
    return consumer.work


# --- the stack


def test_a_guest_signals_by_uefi_with_its_config_drive(consumer: Consumer) -> None:
    """See what the guest's user data sent: its name from the config drive, and its firmware."""
    assert json.loads(consumer.facts["signalled"]) == {"one": f"{PREFIX}-one by UEFI"}
    print(f"the stack took {consumer.facts['seconds']:.0f} s")


def test_nvram_while_they_run(consumer: Consumer) -> None:
    """See the files that will have to be gone."""
    assert len(consumer.lab.shell(NVRAM).split()) == len(consumer.facts["before"]["nvram"].split()) + 2


def test_cd_roms(consumer: Consumer) -> None:
    """Find two empty CD-ROMs, which come first, and the disk that the guest boots from."""
    domain = consumer.lab.shell(f"{VIRSH} domblklist --details {consumer.facts['two']}")
    found = sorted(line.split()[1:3] for line in domain.splitlines() if line.strip())
    assert found == [["cdrom", "sda"], ["cdrom", "sdb"], ["disk", "vda"]], domain
    assert consumer.guest("two").run("cd /sys/class/block && echo sr* vd?").split() == ["sr0", "sr1", "vda"]


def test_addresses_and_dhcp_options(consumer: Consumer) -> None:
    """Ask in the guest for what the port has: its MAC and fixed addresses, and where to boot from."""
    two = consumer.guest("two")
    assert two.run("cat /sys/class/net/eth0/address") == "22:57:f8:dd:21:20"
    said = two.run(DHCP).split()
    assert said == ["192.168.210.20", "192.168.210.10", "http://192.168.210.10:8081/boot.ipxe"]


def test_large_packets(consumer: Consumer) -> None:
    """Read the MTU of the network back, and send a packet of that size from guest to guest."""
    assert consumer.facts["mtu"] == 9000
    two = consumer.guest("two")
    assert two.run("cat /sys/class/net/eth0/mtu") == "9000"
    assert " 0% packet loss" in two.run("ping -c 3 -s 8972 192.168.210.10")


def test_ipv6(consumer: Consumer) -> None:
    """Find the router by its advertisement, get the ports' addresses by DHCPv6, and reach the other guest with them."""
    for name in ("one", "two"):
        guest = consumer.guest(name)
        guest.lab.wait(lambda: "via fe80:" in guest.run("ip -6 route show default"), "a router speaks", 30)  # noqa: B023
    said = [str(IPv6Address(consumer.guest(name).run(DHCP6))) for name in ("one", "two")]
    assert said == ["fd00:210::10", "fd00:210::20"]
    assert " 0% packet loss" in consumer.guest("two").run("ping6 -c 3 fd00:210::10")


def test_vlan_of_the_guests(consumer: Consumer) -> None:
    """Send packets that the guests tag, in a network that knows nothing of it."""
    make = "ip link add link eth0 name eth0.50 type vlan id 50 && ip address add 192.168.250.{}/24 dev eth0.50"
    for number, name in enumerate(("one", "two"), 1):
        consumer.guest(name).run(f"{make.format(number)} && ip link set eth0.50 up")
    assert " 0% packet loss" in consumer.guest("two").run("ping -c 3 -I eth0.50 192.168.250.1")


def test_a_token_from_inside(consumer: Consumer) -> None:
    """Log in from the guest, by name, with the application credential that scenarios get."""
    secret = yaml.safe_load(consumer.lab.run("cat", "/etc/openstack/cloud-secret.yaml"))["hotstack_cloud_secrets"]
    credential = {"id": secret["application_credential_id"], "secret": secret["application_credential_secret"]}
    identity = {"methods": ["application_credential"], "application_credential": credential}
    body = json.dumps({"auth": {"identity": identity}})
    url = secret["auth_url"].rstrip("/").removesuffix("/v3") + "/v3"
    assert "keystone.hotstack-os.local" in url
    assert consumer.guest("two").run(TOKEN.format(body=body, url=url)) == "1"


def test_screens_are_closed_to_guests(consumer: Consumer) -> None:
    """Try the consoles of both guests, and SSH of the other one for comparison."""
    heard = consumer.lab.run("ss", "--listening", "--tcp", "--numeric", "--no-header").split()
    screens = [address.replace(":", " ") for address in heard if address.startswith("172.31.0.129:59")]
    assert len(screens) >= 2
    asked = "; ".join(f"(sleep 3 | nc -w 3 {target} | head -c 4) & " for target in (*screens, "192.168.210.10 22"))
    assert consumer.guest("two").run(asked.replace("& ;", "&") + "wait") == "SSH-"


# --- the stories


def volumes_and_images(consumer: Consumer) -> None:
    """Take snapshots of a volume in use and of one that is not, look at the idle screen, make an image; then rescue."""
    lab, ask, guest = consumer.lab, consumer.ask, consumer.guest("one")
    one, volume = consumer.facts["one"], consumer.facts["volume"]
    guest.run(MARK.format("kept"))
    guest.run("dd if=/dev/urandom of=/dev/vdb bs=1M count=8 2>/dev/null && sync")
    written = guest.run(PATTERN.format("vdb"))
    guest.run(WRITER)
    first = ask("snapshot", volume, f"{PREFIX}-in-use", "force")
    copy = ask("volume_from", first, f"{PREFIX}-copy")
    _assert_modes(lab)
    second = ask("snapshot", copy, f"{PREFIX}-available")
    again = ask("volume_from", second, f"{PREFIX}-again")
    ask("attach", one, again)
    lab.wait(lambda: guest.run("test -b /dev/vdc && echo yes || true"), "the guest has the copy", 60)
    assert guest.run(PATTERN.format("vdc")) == written
    _assert_modes(lab)
    ask("detach", one, again)
    before = int(guest.run("wc -l </run/writes"))
    for snapshot in (first, second):
        ask("delete_snapshot", snapshot)
    lab.wait(lambda: int(guest.run("wc -l </run/writes")) > before, "the guest writes on", 30)
    guest.run("touch /run/stop")
    lab.wait(lambda: guest.run("cat /run/writer 2>/dev/null || true") == "stopped", "the writer ended well", 30)
    assert guest.run(f"echo 3 >/proc/sys/vm/drop_caches; {PATTERN.format('vdb')}") == written
    assert "error" not in guest.run("dmesg | grep vdb || true")
    _assert_modes(lab)
    consumer.ask_for_a_picture()
    image = ask("image_of", one, f"{PREFIX}-image", json.dumps(TAGS))
    assert ask("images_with", json.dumps(TAGS)) == [image]
    address = ask("boot", f"{PREFIX}-three", image, consumer.facts["network"], PREFIX)
    three = Guest(lab, f"{PREFIX}-three", address)
    three.wait()
    assert three.run(READ_MARK) == "kept"
    assert three.run("test -d /sys/firmware/efi && echo UEFI") == "UEFI"
    with _rescued(consumer, one):
        pass


def rescue_and_insert(consumer: Consumer) -> None:
    """Rescue the guest with a CD-ROM, and go back; then put that into its first drive by rebuild, and boot from it."""
    ask, guest, two = consumer.ask, consumer.guest("two"), consumer.facts["two"]
    # Open vSwitch's own datapath goes on with the TAP device that is gone: docs/networking.md.
    own_datapath = consumer.lab.run("ovs-vsctl", "get", "bridge", "hot-int", "datapath_type").strip() == "netdev"
    guest.run(MARK.format("mine"))
    with _rescued(consumer, two):
        if not own_datapath:
            guest.wait()
            assert guest.run(READ_MARK) == "mine"
    if own_datapath:
        ask("act", two, '{"reboot": {"type": "HARD"}}', "ACTIVE")
    guest.wait()
    assert guest.run(READ_MARK) == "mine"
    ask("act", two, json.dumps({"rebuild": {"imageRef": consumer.facts["image_rescue"]}}), "ACTIVE")
    _boots(consumer, two, "panic=11")
    guest.wait()
    assert guest.run(READ_MARK) == "mine"
    _assert_modes(consumer.lab)


@contextmanager
def _rescued(consumer: Consumer, server: str) -> Iterator[None]:
    """Boot a server from the CD-ROM while the block runs, and from its own disk afterwards."""
    consumer.ask("act", server, json.dumps({"rescue": {"rescue_image_ref": consumer.facts["image_rescue"]}}), "RESCUE")
    _boots(consumer, server, "panic=11")
    yield
    consumer.ask("act", server, '{"unrescue": null}', "ACTIVE")
    _boots(consumer, server, "panic=10")


def _boots(consumer: Consumer, server: str, word: str) -> None:
    """Wait until the last kernel on the console has this word on its command line."""
    console = f"{DATA_DIR}/nova-instances/{server}/console.log"
    search = f"grep -a 'ommand line: ' {console} | tail -n 1 | grep -q {word}"
    consumer.lab.wait(lambda: consumer.lab.attempt("sh", "-c", search).returncode == 0, f"{word} on the console", 90)


@pytest.mark.full
def test_volume_snapshots_an_idle_screen_and_an_image_of_a_guest(stories: dict[str, Future[Any]]) -> None:
    stories["volumes"].result()


@pytest.mark.full
def test_rescue_and_a_medium_by_rebuild(stories: dict[str, Future[Any]]) -> None:
    stories["rescue"].result()


@pytest.mark.full
def test_the_smoke_test_names_an_image_that_does_not_boot(stories: dict[str, Future[Any]]) -> None:
    """Read what it says of an image of zeros."""
    done = stories["dead image"].result()
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert f"expected that the image {PREFIX}-zeros boots" in said, done.stdout[-6000:]
    assert "Its console is empty: nothing has started from its disk." in said, done.stdout[-6000:]
    assert "stack and keypair deleted" in said


def test_nothing_is_left(consumer: Consumer) -> None:
    """Delete all, and compare with what was there before."""
    assert consumer.remove() == []
    before = consumer.facts["before"]
    assert consumer.lab.shell(NVRAM) == before["nvram"]
    assert _files(consumer.lab) == before["files"]
