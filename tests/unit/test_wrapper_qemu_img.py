# SPDX-License-Identifier: Apache-2.0
"""What the wrapper of qemu-img decides, and what it does around a program that stands for the real one."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from unittest import mock

import pytest
from wrapper_programs import FOLDER, load

program = load("qemu-img")

# Makes the files named in its environment as qemu-img does, whatever its arguments are.
REAL = """#!/bin/sh
umask 022
for file in $MAKE; do echo data >"$file"; done
eval "$THEN"
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", []),
        ("--help", []),
        ("-T", []),
        ("create disk 1G", ["disk"]),
        ("create -f qcow2 disk 1G", ["disk"]),
        ("create disk -f qcow2 1G", ["disk"]),
        ("create -fqcow2 -b base -Fraw -o size=1G,compat=1.1 disk", ["disk"]),
        ("create -quf qcow2 disk 1G", ["disk"]),
        ("create --format=qcow2 --backing base --options size=1G disk", ["disk"]),
        ("create --object secret,id=a,file=b -f luks disk 1G", ["disk"]),
        ("create --object=secret,id=a,file=b disk 1G", ["disk"]),
        ("create --obj secret,id=a disk 1G", ["disk"]),
        ("create -f qcow2 -- -disk 1G", ["-disk"]),
        ("create -f qcow2 -o data_file=a,,b.raw,data_file_raw=on disk 1G", ["disk", "a,b.raw"]),
        ("create -f", []),
        ("create", []),
        ("-T enable=x create disk 1G", ["disk"]),
        ("-Tenable=x create disk 1G", ["disk"]),
        ("--trace enable=x create disk 1G", ["disk"]),
        ("--trace=enable=x create disk 1G", ["disk"]),
        ("--tr create create disk 1G", ["disk"]),
        ("-- create disk 1G", ["disk"]),
        ("convert -O raw create disk", ["disk"]),
        ("convert -t none -O raw -f qcow2 a b c", ["c"]),
        ("convert a b -O raw", ["b"]),
        ("convert -pOraw -m 8 -W -S 4k -l snap -r 1M -B base -T none a b", ["b"]),
        ("convert --image-opts driver=qcow2,file.filename=a b", ["b"]),
        ("convert --source-format raw --target-format=qcow2 --target-format-options data_file=d a b", ["b", "d"]),
        ("convert -n a b", []),
        ("convert -pn a b", []),
        ("convert --no-create a b", []),
        ("convert --target-image-opts -n a driver=raw,file.filename=b", []),
        ("convert a", []),
        ("dd -f raw -O qcow2 bs=1M if=a of=b", ["b"]),
        ("dd of=a of=b if=c", ["b"]),
        ("dd if=create", []),
        *(
            (f"{command} disk", [])
            for command in ("amend -o a=b", "bench", "check -r all", "commit", "info", "map", "rebase -b a", "resize")
        ),
        ("snapshot -c create disk", []),
        ("measure --size 1G", []),
    ],
)
def test_files_that_a_call_makes(arguments: str, expected: list[str]) -> None:
    assert program.targets(arguments.split()) == expected


@pytest.mark.parametrize(
    ("arguments", "option"),
    [("create --new value disk", "--new"), ("create -z disk", "-z"), ("convert --target-i a b", "--target-i")],
)
def test_options_of_a_newer_program(arguments: str, option: str) -> None:
    with pytest.raises(program.UnknownOptionError, match=f"^{option}$"):
        program.targets(arguments.split())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("disk", "disk"),
        ("/a/b:c", "/a/b:c"),
        ("./b:c", "./b:c"),
        ("file:/a/b", "/a/b"),
        ("file:a:b", "a:b"),
        ("nbd://host/name", None),
        ("json:{}", None),
        ("rbd:pool/image", None),
        ("host_device:/dev/sda", None),
        ("/dev/stdout", None),
        ("/dev/fd/1", None),
        ("/dev/../proc/self/fd/1", None),
        ("/dev/shm/disk", "/dev/shm/disk"),
    ],
)
def test_names_of_local_files(name: str, expected: str | None) -> None:
    assert program.local_path(name) == expected


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    """A copy of the wrapper, the real program beside it."""
    path = tmp_path / "bin" / "qemu-img"
    path.parent.mkdir()
    shutil.copy(FOLDER / "qemu-img", path)
    real = path.with_name("qemu-img.real")
    real.write_text(REAL)
    real.chmod(0o755)
    return path


def run(wrapper: Path, arguments: str, make: str = "", then: str = "exit 0") -> subprocess.CompletedProcess[str]:
    """Call the wrapper in the folder above; the real program makes files, then does something."""
    return subprocess.run(
        [str(wrapper), *arguments.split()],
        env={**os.environ, "MAKE": make, "THEN": then},
        cwd=wrapper.parents[1],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_made_file_is_the_groups(wrapper: Path, tmp_path: Path) -> None:
    done = run(wrapper, "create -f qcow2 disk 1G", make="disk other", then="echo made; echo odd >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "made\n", "odd\n")
    assert (mode(tmp_path / "disk"), mode(tmp_path / "other")) == (0o664, 0o644)


def test_group_stays(wrapper: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    run(wrapper, "convert a disk", make="disk")
    assert (tmp_path / "disk").stat().st_gid == tmp_path.stat().st_gid
    assert mode(tmp_path / "disk") == 0o664


def test_replaced_file_is_the_groups(wrapper: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").write_text("old")
    (tmp_path / "disk").chmod(0o600)
    (tmp_path / "link").symlink_to("disk")
    run(wrapper, "convert -O raw a link", make="link")
    assert mode(tmp_path / "disk") == 0o664


@pytest.mark.parametrize(
    ("arguments", "make", "then", "status"),
    [
        ("create disk 1G", "disk", "exit 3", 3),
        ("convert -n a disk", "disk", "exit 0", 0),
        ("create -o help disk", "", "exit 0", 0),
        ("resize disk +1G", "disk", "exit 0", 0),
        ("create nbd://host/disk 1G", "disk", "exit 0", 0),
    ],
)
def test_other_files_stay(wrapper: Path, tmp_path: Path, arguments: str, make: str, then: str, status: int) -> None:
    (tmp_path / "disk").write_text("old")
    (tmp_path / "disk").chmod(0o640)
    done = run(wrapper, arguments, make, then)
    assert (done.returncode, done.stderr) == (status, "")
    assert mode(tmp_path / "disk") == 0o640


def test_link_put_in_place_meanwhile_is_not_followed(wrapper: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("")
    (tmp_path / "secret").chmod(0o600)
    run(wrapper, "create disk 1G", make="disk", then="ln -sf secret disk")
    assert mode(tmp_path / "secret") == 0o600
    (tmp_path / "disk").unlink()
    run(wrapper, "create disk 1G", then="ln secret disk")
    assert mode(tmp_path / "secret") == 0o600


def test_pipe_stays(wrapper: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert program.watch(["convert", "a", str(tmp_path / "pipe")]) == []
    assert program.watch(["create", "/dev/null", "1G"]) == []
    assert run(wrapper, "convert a pipe").returncode == 0
    assert mode(tmp_path / "pipe") == 0o600


def test_unknown_option_is_said(wrapper: Path, tmp_path: Path) -> None:
    done = run(wrapper, "create --new value disk 1G", make="disk value")
    assert done.returncode == 0
    assert done.stderr == (
        "qemu-img: warning: what was made keeps its mode, because the option --new is not known here\n"
    )
    assert {mode(tmp_path / "disk"), mode(tmp_path / "value")} == {0o644}


def test_missing_folder_is_the_real_programs_to_explain(wrapper: Path) -> None:
    done = run(wrapper, "create none/disk 1G", then="echo no folder >&2; exit 1")
    assert (done.returncode, done.stderr) == (1, "no folder\n")


@pytest.mark.parametrize("command", ["create disk 1G", "info disk"])
def test_signals_of_the_real_program_are_its_own(wrapper: Path, command: str) -> None:
    ignored = run(wrapper, command, then="grep SigIgn /proc/self/status").stdout.split()[1]
    assert not int(ignored, 16) & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)
    assert run(wrapper, command, then="kill -9 $$").returncode == -signal.SIGKILL
    assert run(wrapper, command, then="ulimit -c 0; kill -SEGV $$").returncode == -signal.SIGSEGV


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGUSR1, 9)])
def test_signals_go_through(wrapper: Path, number: int, status: int) -> None:
    then = "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done"
    env = {**os.environ, "MAKE": "", "THEN": then}
    with subprocess.Popen([wrapper, "create", "disk"], env=env, cwd=wrapper.parent, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == status


def test_ignored_signals_stay_ignored(wrapper: Path) -> None:
    (wrapper.parent / "go").write_text(f'#!/bin/sh\ntrap "" HUP\nexec {wrapper} create disk\n')
    then = "grep SigIgn /proc/self/status"
    done = subprocess.run(
        ["sh", str(wrapper.parent / "go")],
        env={**os.environ, "MAKE": "", "THEN": then},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert int(done.stdout.split()[1], 16) & 1 << signal.SIGHUP - 1


def test_failing_to_change_the_mode_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = program.Target(str(tmp_path / "disk"))
    (tmp_path / "disk").write_text("")
    with mock.patch.object(os, "fchmod", side_effect=PermissionError(1, "Operation not permitted")):
        target.share()
    assert capfd.readouterr().err == (
        f"qemu-img: warning: {tmp_path}/disk can't get the mode 0664: Operation not permitted\n"
    )


def test_the_real_program_is_never_the_wrapper(tmp_path: Path) -> None:
    wrapper, real = tmp_path / "qemu-img", tmp_path / "real"
    wrapper.touch()
    assert program.real_program(str(wrapper), str(real)) is None
    assert program.real_program(str(wrapper), str(wrapper)) is None
    real.touch()
    assert program.real_program(str(wrapper), str(real)) == str(real)
    beside = tmp_path / "qemu-img.real"
    beside.symlink_to(wrapper)
    assert program.real_program(str(wrapper), str(real)) == str(real)
    beside.unlink()
    beside.touch()
    assert program.real_program(str(wrapper), str(real)) == str(beside)


def test_broken_real_program(wrapper: Path) -> None:
    wrapper.with_name("qemu-img.real").chmod(0o644)
    for command in ("info disk", "create disk"):
        done = run(wrapper, command)
        assert done.returncode == 126
        assert "qemu-img.real can't be run: Permission denied" in done.stderr
