# SPDX-License-Identifier: Apache-2.0
"""The tool that builds the guest image: what it decides, and the formats that it writes."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import lzma
import stat
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SHA = "a" * 64


def load() -> ModuleType:
    """Import a program whose name does not end in .py."""
    loader = importlib.machinery.SourceFileLoader("guest_image", str(ROOT / "tools" / "guest-image"))
    spec = importlib.util.spec_from_loader("guest_image", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["guest_image"] = module
    loader.exec_module(module)
    return module


image = load()


def test_mirror_is_that_of_the_machines_own_release() -> None:
    places = ["vendor.test/x/dists/nodistro", "a.test/security/dists/bookworm-security", "b.test/debian/dists/bookworm"]
    uris = "".join(f"'http://{place}/InRelease' name 0 \n'http://{place}/main/P.xz' name 0 \n" for place in places)
    assert image.mirror(uris, "bookworm") == "http://b.test/debian"
    with pytest.raises(image.GuestImageError, match=r"no source for sid.*--mirror"):
        image.mirror(uris, "sid")


def test_parse_uris() -> None:
    text = f"'http://b.test/pool/x.deb' busybox-static_1%3a1.37.0-6_amd64.deb 1002 SHA256:{SHA}\nW: something else\n"
    assert image.parse_uris(text) == [
        image.Package("busybox-static", "1:1.37.0-6", "busybox-static_1%3a1.37.0-6_amd64.deb", SHA)
    ]


def module(name: str, needs: str, *aliases: str) -> bytes:
    lines = [f"name={name}", f"depends={needs}", *(f"alias={alias}" for alias in aliases)]
    return b"\x7fELF\0license=GPL\0" + b"\0".join(line.encode() for line in lines) + b"\0rest"


@pytest.fixture(name="kernel")
def fixture_kernel(tmp_path: Path) -> Path:
    """Return a kernel's modules: d needs c and b, c needs b, b needs a-a."""
    contents = {
        "a-a": module("a_a", ""),
        "b": module("b", "a_a", "fs-b"),
        "c": module("c", "b"),
        "d": module("d", "c,b", "pci:v1*", "pci:v2*"),
        "e": module("e", ""),
    }
    (tmp_path / "kernel").mkdir()
    for name, content in contents.items():
        (tmp_path / "kernel" / f"{name}.ko.xz").write_bytes(lzma.compress(content))
    return tmp_path


def test_modules_come_with_what_they_need(kernel: Path) -> None:
    entries = image.modules(kernel, ["d"], "lib")
    assert sorted(entries) == ["lib/a_a.ko", "lib/b.ko", "lib/c.ko", "lib/d.ko", "lib/modules.alias", "lib/modules.dep"]
    assert entries["lib/a_a.ko"].data == module("a_a", "")
    assert entries["lib/modules.dep"].data.decode().splitlines() == [
        "a_a.ko: ",
        "b.ko: a_a.ko",
        "c.ko: b.ko a_a.ko",
        "d.ko: c.ko b.ko a_a.ko",
    ]
    assert entries["lib/modules.alias"].data == b"alias fs-b b\nalias pci:v1* d\nalias pci:v2* d\n"


def test_an_unknown_module_is_named(kernel: Path) -> None:
    with pytest.raises(image.GuestImageError, match="has no module nothing"):
        image.modules(kernel, ["nothing"], "lib")


def test_cpio_is_what_cpio_reads() -> None:
    entries = image.with_folders(
        {
            "home/cirros": image.Entry(stat.S_IFDIR | 0o755, b""),
            "usr/bin/su": image.Entry(stat.S_IFREG | 0o4755, b"content"),
            "bin": image.link("usr/bin"),
        }
    )
    assert list(entries) == ["bin", "home", "home/cirros", "usr", "usr/bin", "usr/bin/su"]
    archive = image.cpio(entries)
    assert len(archive) % 4 == 0
    found, at = {}, 0
    while True:
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        assert archive[at : at + 6] == b"070701"
        name = archive[at + 110 : at + 110 + fields[11] - 1].decode()
        start = at + (110 + fields[11] + 3) // 4 * 4
        if name == "TRAILER!!!":
            break
        found[name] = (oct(fields[1]), fields[2], archive[start : start + fields[6]])
        at = start + (fields[6] + 3) // 4 * 4
    assert found["usr/bin/su"] == ("0o104755", 0, b"content")
    assert found["bin"] == ("0o120777", 0, b"usr/bin")
    assert found["home/cirros"] == ("0o40755", 1000, b"")


def test_partition_table() -> None:
    sector = image.partition_table(b"code", 4096)
    assert len(sector) == 512
    assert sector.endswith(b"\x55\xaa")
    assert sector.startswith(b"code\0")
    active, _, kind, _, start, sectors = struct.unpack("<B3sB3sII", sector[446:462])
    assert (active, kind, start, sectors) == (0x80, 0xEF, 2048, 4096)
    with pytest.raises(image.GuestImageError, match="441 bytes"):
        image.partition_table(bytes(441), 4096)


def test_command_line_is_the_same_for_bios_and_uefi() -> None:
    assert image.COMMAND_LINE in image.SYSLINUX
    assert image.COMMAND_LINE in image.SYSTEMD_BOOT
    for part in ("console=ttyS0", "console=tty0", "virtio_net.csum=0", "virtio_net.gso=0"):
        assert part in image.COMMAND_LINE


def test_root_logs_in_nowhere() -> None:
    users = dict(line.split(":")[:2] for line in image.TEXTS["etc/shadow"].splitlines())
    assert users["root"] == ""
    assert image.TEXTS["etc/securetty"] == ""
    assert "dropbear -F -s " in (ROOT / "tools/guest/root/etc/inittab").read_text()
    assert users["cirros"].startswith("$6$")


def test_our_files_are_all_there() -> None:
    files = image.own_files()
    assert {"etc/inittab", "usr/bin/sudo", "usr/libexec/guest/boot", "usr/libexec/guest/metadata.py"} <= set(files)
    for name, path in files.items():
        program = path.read_bytes().startswith(b"#!")
        assert bool(path.stat().st_mode & 0o100) == program, name


@pytest.mark.parametrize("shell", ["sh"])
def test_shell_scripts_parse(shell: str) -> None:
    scripts = [path for path in image.own_files().values() if path.read_bytes().startswith(b"#!/usr/bin/env sh\n")]
    assert len(scripts) >= 6
    for script in scripts:
        subprocess.run([shell, "-n", str(script)], check=True)


def test_lease_keeps_to_classless_routes(tmp_path: Path) -> None:
    """The script of udhcpc, with commands that only say what they were asked for."""
    log = tmp_path / "log"
    (tmp_path / "ip").write_text(f'#!/bin/sh\necho "$*" >> {log}\n')
    (tmp_path / "cat").write_text("#!/bin/sh\necho 2\n")
    for name in ("ip", "cat"):
        (tmp_path / name).chmod(0o755)
    script = (ROOT / "tools/guest/root/usr/libexec/guest/lease").read_text()
    start, end = script.index("set_routes() {"), script.index("set_resolver() {")
    routes = script[start:end] + "\nset_routes\n"
    for given, expected in [
        (
            {
                "staticroutes": "169.254.169.254/32 10.0.0.2 10.9.0.0/16 0.0.0.0 0.0.0.0/0 10.0.0.1",
                "router": "10.0.0.9",
            },
            [
                "route replace 169.254.169.254/32 via 10.0.0.2 dev eth0 metric 102",
                "route replace 10.9.0.0/16 dev eth0 metric 102",
                "route replace 0.0.0.0/0 via 10.0.0.1 dev eth0 metric 102",
            ],
        ),
        ({"router": "10.0.0.1"}, ["route replace default via 10.0.0.1 dev eth0 metric 102"]),
        ({}, []),
    ]:
        log.write_text("")
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "interface": "eth0", "staticroutes": "", "router": "", **given}
        subprocess.run(["sh", "-c", routes], check=True, env=env)
        assert log.read_text().splitlines()[1:] == expected


class Machine:
    """What `main` needs of a machine: apt's answers and the steps that would take long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.packages = [image.Package("x", "1", "x_1_amd64.deb", SHA)]
        self.built = 0
        self.output = folder / "out" / "guest.qcow2"
        self.arguments = ["--output", str(self.output), "--cache", str(folder / "cache"), "--mirror", "http://b.test"]
        monkeypatch.setattr(image, "require_tools", lambda: None)
        monkeypatch.setattr(image.Apt, "wanted", lambda _self: self.packages)
        monkeypatch.setattr(image.Apt, "download", lambda _self, _packages: [])
        monkeypatch.setattr(image, "build", self.build)

    def build(self, packages: list[Any], _files: list[Path], output: Path) -> None:
        self.built += 1
        output.write_bytes(b"image")
        sha256 = "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"
        image.record_of(output).write_text(json.dumps({"inputs": image.digest(packages), "sha256": sha256}))


@pytest.fixture(name="machine")
def fixture_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


def test_an_unchanged_image_is_left_alone(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert image.main(machine.arguments) == 0
    assert image.main(machine.arguments) == 0
    assert machine.built == 1
    assert f"{machine.output} is up to date." in capsys.readouterr().err


@pytest.mark.parametrize("what", ["package", "image", "record", "no record"])
def test_an_image_is_built_again(machine: Machine, what: str) -> None:
    image.main(machine.arguments)
    if what == "package":
        machine.packages = [machine.packages[0]._replace(version="2")]
    elif what == "image":
        machine.output.write_bytes(b"half")
    elif what == "record":
        image.record_of(machine.output).write_text("{")
    else:
        image.record_of(machine.output).unlink()
    assert image.main(machine.arguments) == 0
    assert machine.built == 2


def test_errors_are_one_sentence(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(image.Apt, "wanted", lambda self: image.run(["sh", "-c", "echo one; echo why >&2; exit 3"]))
    assert image.main(machine.arguments) == 1
    assert capsys.readouterr().err == "tools/guest-image: sh ended with status 3: why\n"


def test_output_can_not_be_its_own_record(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        image.main(["--output", "x.json"])
    assert "x.json: that is the name of the record" in capsys.readouterr().err


def test_what_the_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image.shutil, "which", lambda name: None if name == "qemu-img" else f"/usr/bin/{name}")
    with pytest.raises(image.GuestImageError, match=r"no qemu-img \(package qemu-utils\)"):
        image.require_tools()
    monkeypatch.setattr(image.platform, "machine", lambda: "aarch64")
    with pytest.raises(image.GuestImageError, match="is aarch64: the image can be built on x86_64 only"):
        image.require_tools()


def test_downloads_are_checked_and_old_ones_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = image.Apt(tmp_path, "http://b.test/debian")
    sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    package = image.Package("x", "1", "x_1_amd64.deb", sha256)

    def download(content: bytes) -> Any:
        def run(command: list[str], *, cwd: Path) -> str:
            assert command[-1] == "x=1"
            (cwd / "x_1_amd64.deb").write_bytes(content)
            return ""

        return run

    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "x_0_amd64.deb").write_bytes(b"old")
    monkeypatch.setattr(image, "run", download(b"x"))
    assert apt.download([package]) == [tmp_path / "packages" / "x_1_amd64.deb"]
    assert sorted(path.name for path in (tmp_path / "packages").iterdir()) == ["x_1_amd64.deb"]
    monkeypatch.setattr(image, "run", download(b"y"))
    assert apt.download([package]), "what is intact is not downloaded again"
    (tmp_path / "packages" / "x_1_amd64.deb").write_bytes(b"half")
    with pytest.raises(image.GuestImageError, match="is not what the mirror's index says"):
        apt.download([package])


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"apt-cache": "  Depends: linux-image-6.12.1-cloud-amd64\n", "apt-get": ""}
    monkeypatch.setattr(image, "run", lambda command, **_: answers[command[0]])
    with pytest.raises(image.GuestImageError, match=r"trixie has no package .*linux-image-6\.12\.1-cloud-amd64"):
        image.Apt(tmp_path, "http://b.test/debian").wanted()
    answers["apt-cache"] = ""
    with pytest.raises(image.GuestImageError, match="depends on no kernel"):
        image.Apt(tmp_path, "http://b.test/debian").wanted()


def test_sudo_asks_for_root_first(tmp_path: Path) -> None:
    """The guest's sudo, with an `su` and an `id` that say what they were asked for."""
    (tmp_path / "su").write_text("#!/bin/sh\nprintf '<%s>' \"$@\"\n")
    (tmp_path / "id").write_text("#!/bin/sh\necho ${FAKE_UID}\n")
    for name in ("su", "id"):
        (tmp_path / name).chmod(0o755)

    def sudo(uid: int, *arguments: str) -> str:
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "FAKE_UID": str(uid)}
        command = ["sh", str(ROOT / "tools/guest/root/usr/bin/sudo"), *arguments]
        return subprocess.run(command, check=True, env=env, capture_output=True, text=True).stdout.strip()

    itself = ROOT / "tools/guest/root/usr/bin/sudo"
    assert sudo(1000, "-n", "cat", "a b") == f'<-c><exec "$@"><--><root><sudo><{itself}><-u><root><cat><a b>'
    assert sudo(0, "-u", "root", "echo", "a  b") == "a  b"
    assert sudo(0, "-u", "x", "--", "-y") == '<-c><exec "$@"><--><x><sudo><-y>'
    assert sudo(0) == "<root>"
