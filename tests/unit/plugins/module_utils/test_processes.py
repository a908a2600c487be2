# SPDX-License-Identifier: Apache-2.0
"""When a running process counts as outdated."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import processes

LIBRARY = "7f00-7f01 r-xp 00000000 00:2e 123                        /usr/lib/libvirt.so.0"
STATUS = "Name:\tlibvirtd\nCapPrm:\t0000000000001000\nCapEff:\t0000000000001000\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Return a /proc with one process that runs `program`."""
    (tmp_path / "program").touch()
    process = tmp_path / "7"
    process.mkdir()
    (process / "exe").symlink_to(tmp_path / "program")
    (process / "environ").write_bytes(b"DIGEST=a=b\0HOME=/\0")
    (process / "maps").write_text(f"{LIBRARY}\n")
    (process / "status").write_text(STATUS)
    return tmp_path


def ask(proc: Path, capabilities: int = 1 << 12, **environment: str) -> str | None:
    return processes.outdated(7, str(proc / "program"), capabilities, environment, proc=str(proc))


def test_up_to_date(proc: Path) -> None:
    assert ask(proc, DIGEST="a=b") is None


@pytest.mark.parametrize("value", ["", "other"])
def test_configuration(proc: Path, value: str) -> None:
    assert ask(proc, DIGEST=value) == "its configuration changed"


def test_program(proc: Path) -> None:
    (proc / "program").rename(proc / "old")
    (proc / "7" / "exe").unlink()
    (proc / "7" / "exe").symlink_to(proc / "old")
    (proc / "program").touch()
    assert ask(proc) == "its program was replaced"


def test_capability(proc: Path) -> None:
    assert ask(proc, capabilities=1 << 13) == "it lacks a capability"


def test_library(proc: Path) -> None:
    (proc / "7" / "maps").write_text(f"{LIBRARY} (deleted)\n")
    assert ask(proc) == "its library libvirt.so.0 was replaced"


@pytest.mark.parametrize(
    "line",
    [
        "7f00-7f01 rw-p 00000000 00:2e 123 /usr/lib/libvirt.so.0 (deleted)",
        "7f00-7f01 r-xp 00000000 00:2e 123 /memfd:code (deleted)",
        "7f00-7f01 r-xp 00000000 00:00 0",
    ],
)
def test_other_mappings_do_not_count(line: str) -> None:
    assert processes.replaced_library(line) is None


def test_a_process_that_ended_is_not_outdated(tmp_path: Path) -> None:
    assert processes.outdated(7, "/bin/sh", proc=str(tmp_path)) is None


def test_no_capabilities_in_an_odd_status() -> None:
    assert processes.permitted("Name: x\n") == 0
