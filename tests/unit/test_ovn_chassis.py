# SPDX-License-Identifier: Apache-2.0
"""The program that runs ovn-controller: which chassis it removes before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "containerfiles/ovn/ovn-chassis"


@pytest.mark.parametrize(
    ("switch", "status", "calls"),
    [
        pytest.param("echo '\"ours\"'", 0, ["chassis-del former", "ovn-controller"], id="a former identity"),
        pytest.param("echo 'no connection' >&2; exit 1", 1, [], id="a switch that does not answer"),
    ],
)
def test_which_chassis_go(tmp_path: Path, switch: str, status: int, calls: list[str]) -> None:
    programs = {
        "ovs-vsctl": switch,
        "ovn-sbctl": f"""
            case "$*" in
                *find*) printf 'former\\nours\\n' ;;
                *) echo "chassis-del ${{6}}" >>{tmp_path}/calls ;;
            esac""",
        "ovn-controller": f"echo ovn-controller >>{tmp_path}/calls",
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    (tmp_path / "calls").touch()
    done = subprocess.run(["sh", PROGRAM, "lab", "tcp:192.0.2.1:6642"], check=False, env=environment)
    assert done.returncode == status
    assert (tmp_path / "calls").read_text().splitlines() == calls
