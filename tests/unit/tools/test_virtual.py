# SPDX-License-Identifier: Apache-2.0
"""The machine lab: which kind of lab host a name has, and what is run where."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lablib import cli, images, paths, virtual
from lablib.host import LabHost
from lablib.virtual import VirtualLabHost


def lab(tmp_path: Path) -> paths.Paths:
    return paths.lab_paths("hotstack-test", str(tmp_path / "lab"))


def test_kinds_of_lab_hosts(tmp_path: Path) -> None:
    where = lab(tmp_path)
    parser = cli.build_parser()
    plain, status = parser.parse_args(["up"]), parser.parse_args(["status"])
    assert type(cli.lab_host(where, plain)) is LabHost
    made = cli.lab_host(where, parser.parse_args(["up", "--machine", "--images=infra,ovn"]))
    assert isinstance(made, VirtualLabHost)
    assert made.names == ["infra", "ovn"]
    where.disks.mkdir(parents=True)
    there = cli.lab_host(where, status)
    assert isinstance(there, VirtualLabHost)
    assert there.names is None


def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VirtualLabHost:
    host = VirtualLabHost(lab(tmp_path))
    monkeypatch.setattr(host.podman, "command", lambda *arguments: ["podman", *arguments])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    return host


@pytest.mark.parametrize("command", [["true"], ["sh", "-c", "echo 'a b' \"$HOME\" > /tmp/x"], ["echo", "two  spaces"]])
def test_commands_reach_the_machine_unchanged(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = machine(tmp_path, monkeypatch).exec_command(command, workdir="/a b")
    remote = whole[whole.index(virtual.NAME) + 1 :]
    # The user's shell there, then the shell that sudo runs.
    sudo = shlex.split(" ".join(remote))
    assert sudo[:3] == ["sudo", "sh", "-c"]
    assert shlex.split(sudo[3]) == ["cd", "/a b", "&&", "exec", *command]


def test_the_controller_runs_ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine(tmp_path, monkeypatch)
    whole = host.controller_command(["ansible-playbook", "hotstack.os.site"], workdir="/x")
    assert whole[-3:] == ["ansible-playbook", f"--inventory={virtual.CONFIGURATION}/hosts.yml", "hotstack.os.site"]
    assert virtual.NAME not in whole


def test_all_that_the_system_disk_is_made_from_is_there() -> None:
    assert all(path.is_file() for path in virtual.SYSTEM_PARTS)
    assert images.digest([path.read_bytes() for path in virtual.SYSTEM_PARTS])


@pytest.mark.parametrize(
    ("status", "output", "expected"),
    [(0, b"\n", "kvm"), (0, b"KVM interprets\n", "tcg"), (-9, b"", "tcg"), (None, b"", "tcg")],
    ids=["works", "does not work", "was killed", "hangs"],
)
def test_accelerator(status: int | None, output: bytes, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_options: Any) -> subprocess.CompletedProcess[bytes]:
        if status is None:
            raise subprocess.TimeoutExpired(command, 60)
        return subprocess.CompletedProcess(command, status, output, b"")

    monkeypatch.setattr(subprocess, "run", run)
    assert virtual.accelerator() == expected
