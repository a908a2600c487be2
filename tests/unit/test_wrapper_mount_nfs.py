# SPDX-License-Identifier: Apache-2.0
"""What the wrapper of mount.nfs decides, what it passes on, and a mount in a namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from wrapper_programs import FOLDER, load

program = load("mount.nfs")

CONFIG = {"NFS_SHARE": "nfs.local:/srv/share", "LOCAL_PATH": "/srv/local"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("a:/b /c", ("a:/b", "/c", "", False, False, [])),
        ("a:/b /c -o rw,vers=4.2,nolock", ("a:/b", "/c", "o", False, False, [])),
        ("a:/b /c -s -n -v -o ro,nosuid", ("a:/b", "/c", "snvo", True, False, ["nosuid"])),
        ("a:/b /c -snv -oro", ("a:/b", "/c", "snvo", True, False, [])),
        ("-r a:/b /c", ("a:/b", "/c", "r", True, False, [])),
        ("-o ro a:/b /c -o rw", ("a:/b", "/c", "oo", False, False, [])),
        ("a:/b /c --options=remount,ro", ("a:/b", "/c", "o", True, True, [])),
        ("a:/b /c --options ro --verbose", ("a:/b", "/c", "ov", True, False, [])),
        ("a:/b /c -t nfs.x -N /proc/1/ns/mnt", ("a:/b", "/c", "tN", False, False, [])),
        ("-V", None),
        ("a:/b", None),
        ("a:/b /c /d", None),
        ("a:/b /c --unknown", None),
        ("a:/b /c -h", None),
    ],
)
def test_calls(arguments: str, expected: tuple[object, ...] | None) -> None:
    request = program.parse_arguments(arguments.split())
    found = request and (
        request.share, request.target, request.flags, request.readonly, request.remount, request.kept,
    )  # fmt: skip
    assert found == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        ("nfs.local:/srv/share", "/srv/local"),
        ("nfs.local:/srv/share/", "/srv/local"),
        ("nfs.local://srv//share", "/srv/local"),
        ("nfs.local:/srv/./other/../share", "/srv/local"),
        ("NFS.local.:/srv/share", "/srv/local"),
        ("nfs.local:/srv/share/a//b/", "/srv/local/a/b"),
        ("nfs.local:/srv/share/a/../../other", None),
        ("nfs.local:/srv/shared", None),
        ("nfs.local:/srv", None),
        ("nfs.local:/", None),
        ("other:/srv/share", None),
        ("/srv/share", None),
        (":/srv/share", None),
        ("[fe80::1]:/srv/share", None),
        ("", None),
    ],
)
def test_spellings_of_the_share(share: str, expected: str | None) -> None:
    assert program.local_path(share, CONFIG) == expected


def test_share_at_the_root_of_a_server() -> None:
    assert program.local_path("[::1]:/a", {"NFS_SHARE": "[::1]:/", "LOCAL_PATH": "/srv"}) == "/srv/a"


def test_configuration() -> None:
    text = "# ours\n\n NFS_SHARE = nfs.local:/srv/share \nLOCAL_PATH=/srv/local\n"
    assert program.parse_config(text) == CONFIG


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "NFS_SHARE is missing; it must be host:/path"),
        ("NFS_SHARE=/srv\nLOCAL_PATH=/a", "NFS_SHARE is /srv; it must be host:/path"),
        ("NFS_SHARE=a:/b", "LOCAL_PATH is missing; it must be an absolute path"),
        ("NFS_SHARE=a:/b\nLOCAL_PATH=c", "LOCAL_PATH is c; it must be an absolute path"),
        ("NFS_SHARE=a:/b\nPATH=/c", "line 2 is not NFS_SHARE=host:/path or LOCAL_PATH=/path"),
        ("NFS_SHARE", "line 1 is not NFS_SHARE=host:/path or LOCAL_PATH=/path"),
        ("NFS_SHARE=a:/b\nNFS_SHARE=a:/b", "line 2 gives NFS_SHARE again"),
    ],
)
def test_wrong_configuration(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        program.parse_config(text)


def test_what_is_mounted() -> None:
    lines = (
        "20 1 0:1 / / rw - ext4 /dev/a rw\n"
        r"21 20 0:1 /x /mnt/a\040b rw,nosuid - ext4 /dev/a rw" + "\n"
        r"22 20 0:1 /y /mnt/a\040b ro,nosuid shared:1 - ext4 /dev/a rw" + "\n"
    )
    assert program.find_mount(lines, "/mnt/a b") == "ro"
    assert program.find_mount(lines, "/") == "rw"
    assert program.find_mount(lines, "/mnt") is None


BIND = ["/bin/mount", "--bind"]
AGAIN = ["/bin/mount", "-o"]


@pytest.mark.parametrize(
    ("arguments", "mounted", "same", "command", "text"),
    [
        ("a:/b /c -o rw,vers=4.2", None, False, [*BIND, "--", "/s", "/c"], ""),
        ("a:/b /c -n -v", None, False, [*BIND, "--no-mtab", "--", "/s", "/c"], "a:/b is /s on this machine"),
        ("a:/b /c -o ro,nodev", None, False, [*BIND, "-o", "ro,nodev", "--", "/s", "/c"], ""),
        ("a:/b /c", "rw", True, [], "/s is mounted on /c already"),
        ("a:/b /c -r", "ro", True, [], "/s is mounted on /c already"),
        ("a:/b /c -f", None, False, [], ""),
        ("a:/b /c -o remount,ro", "rw", True, [*AGAIN, "remount,bind,ro", "--", "/c"], ""),
        ("a:/b /c -o remount", "ro", True, [*AGAIN, "remount,bind,rw", "--", "/c"], ""),
    ],
)
def test_plan(arguments: str, mounted: str | None, same: bool, command: list[str], text: str) -> None:
    assert program.plan(program.parse_arguments(arguments.split()), "/s", mounted, same) == (command, text)


@pytest.mark.parametrize(
    ("arguments", "mounted", "same", "status", "text"),
    [
        ("a:/b /c", "rw", False, 32, "/c is a mount point of something else; unmount it first"),
        ("a:/b /c -o remount", "rw", False, 32, "/c is a mount point of something else; unmount it first"),
        ("a:/b /c -o ro", "rw", True, 32, "/s is mounted on /c already, rw; remount it to have it ro"),
        ("a:/b /c -o remount,ro", None, False, 32, "/c can't be remounted: /s is not mounted there"),
        ("a:/b /c -N x", None, False, 1, "a:/b can't be mounted in another namespace; enter it first"),
    ],
)
def test_refused(arguments: str, mounted: str | None, same: bool, status: int, text: str) -> None:
    with pytest.raises(program.StopError) as stop:
        program.plan(program.parse_arguments(arguments.split()), "/s", mounted, same)
    assert (stop.value.status, str(stop.value)) == (status, text)


def test_missing_folder_and_way_out(tmp_path: Path) -> None:
    with pytest.raises(program.StopError, match=f"there is no folder {tmp_path}/none, which the share stands for"):
        program.examine(str(tmp_path / "none"), str(tmp_path), "/mnt")
    (tmp_path / "out").symlink_to("/etc")
    with pytest.raises(program.StopError, match=f"{tmp_path}/out leads out of {tmp_path}, to /etc"):
        program.examine(str(tmp_path / "out"), str(tmp_path), "/mnt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"LOCAL=/a\n", "is wrong: line 1 is not NFS_SHARE=host:/path or LOCAL_PATH=/path"),
        (b"\xff", "is wrong: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (None, "can't be read: Is a directory"),
    ],
)
def test_broken_configuration_stops_all_mounts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    message: str,
) -> None:
    config = tmp_path / "mount-wrapper.conf"
    config.mkdir() if content is None else config.write_bytes(content)
    monkeypatch.setattr(program, "CONFIG", str(config))
    assert program.main(["/sbin/mount.nfs", "a:/b", "/c"]) == 2
    assert capsys.readouterr().err == f"mount.nfs: {config} {message}\n"


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    """A copy of the wrapper; the real program beside it says how it was called."""
    path = tmp_path / "mount.nfs"
    shutil.copy(FOLDER / "mount.nfs", path)
    (tmp_path / "umount.nfs").symlink_to("mount.nfs")
    real = tmp_path / "mount.nfs.real"
    real.write_text(
        f"#!{shutil.which('python3')}\nimport os, sys\n"
        'print(open("/proc/self/cmdline").read().split("\\0")[2:-1])\nsys.exit(7)\n'
    )
    real.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["mount.nfs", "umount.nfs"])
@pytest.mark.parametrize("arguments", [["o:/x y", "/c", "-o", "rw,a=b"], ["-V"], ["/mnt", "-f"], ["--odd", "a:/b"]])
def test_the_rest_passes_through(wrapper: Path, name: str, arguments: list[str]) -> None:
    done = subprocess.run([wrapper.with_name(name), *arguments], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (7, str(arguments), "")


def test_missing_real_program(wrapper: Path) -> None:
    wrapper.with_name("mount.nfs.real").unlink()
    done = subprocess.run([wrapper, "-V"], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"mount.nfs: {wrapper}.real can't be run: No such file or directory\n"


# Each line: the expected status, then what is called.
MOUNTING = """
set -u
expect() { wanted=$1; shift; "$@"; got=$?; test $got = $wanted || { echo "$*: $got, not $wanted"; exit 1; }; }
mount -t tmpfs none /etc && mkdir /etc/hotstack "$1/on" "$1/local" "$1/local/sub" && cd "$1"
printf 'NFS_SHARE=nfs.local:/share\\nLOCAL_PATH=%s\\n' "$1/local" >/etc/hotstack/mount-wrapper.conf
echo data >local/sub/file
expect 0 ./mount.nfs nfs.local:/share "$1/on" -o rw,vers=4.2,nolock
expect 0 cmp on/sub/file local/sub/file
expect 0 touch on/made
expect 0 ./mount.nfs nfs.local:/share/ "$1/on" -o rw
expect 32 ./mount.nfs nfs.local:/share/sub "$1/on"
expect 0 ./mount.nfs nfs.local:/share on -o remount,ro
expect 1 touch on/other
expect 32 ./mount.nfs nfs.local:/share on -o rw
expect 0 umount on
expect 1 test -e on/sub
expect 0 ./mount.nfs nfs.local:/share//sub on -o ro,nosuid -v
expect 0 cmp on/file local/sub/file
expect 1 touch on/other
expect 0 umount on
expect 32 ./mount.nfs nfs.local:/share/none on
expect 32 ./mount.nfs nfs.local:/share none
expect 7 ./mount.nfs other:/share on
rm -f local/made
echo done
"""


def test_mounting(wrapper: Path, tmp_path: Path) -> None:
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *own, "--mount", "--propagation", "private", "sh", "-c", MOUNTING, "sh", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1:] == ["done"], (done.stdout, done.stderr)
    said = [line for line in done.stderr.splitlines() if line.startswith("mount.nfs")]
    assert said == [
        f"mount.nfs: {tmp_path}/local is mounted on {tmp_path}/on already",
        f"mount.nfs: {tmp_path}/on is a mount point of something else; unmount it first",
        f"mount.nfs: {tmp_path}/local is mounted on on already, ro; remount it to have it rw",
        f"mount.nfs: nfs.local:/share//sub is {tmp_path}/local/sub on this machine",
        f"mount.nfs: there is no folder {tmp_path}/local/none, which the share stands for on this machine",
    ]
