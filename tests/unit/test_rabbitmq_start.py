# SPDX-License-Identifier: Apache-2.0
"""The program that starts RabbitMQ: when it begins with an empty directory, and when never."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "roles/infra/templates/rabbitmq-start.sh.j2"
NODE = "mnesia/rabbit@localhost"
STORE = f"{NODE}/msg_stores/vhosts/628WB79CIFDYO9LJI6DKMI09L"


@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        pytest.param([], False, id="nothing"),
        pytest.param([".erlang.cookie"], False, id="killed at its cookie"),
        pytest.param([f"{NODE}/coordination/rabbit@localhost/RABBITX/config"], False, id="killed at its Raft store"),
        pytest.param([f"{NODE}/schema.DAT", f"{STORE}/.vhost"], False, id="killed at its virtual host"),
        pytest.param(
            [f"{NODE}/schema.DAT", f"{STORE}/msg_store_persistent/7.rdq"], True, id="a deployment without marker"
        ),
        pytest.param([".completed", "khepri/other"], True, id="a marker, whatever else is there"),
    ],
)
def test_what_a_start_keeps(tmp_path: Path, paths: list[str], kept: bool) -> None:
    home, programs = tmp_path / "home", tmp_path / "bin"
    for path in [*paths, ".hidden", "folder with blanks/x"]:
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).touch()
    before = sorted(home.rglob("*"))
    programs.mkdir()
    (programs / "rabbitmq-server").write_text(f"#!/bin/sh\necho started >{tmp_path}/started\n")
    (programs / "rabbitmq-server").chmod(0o755)
    script = re.sub(r"\{#.*?#\}", "", PROGRAM.read_text())
    subprocess.run(["sh", "-c", script], check=True, env={"HOME": str(home), "PATH": f"{programs}:/usr/bin:/bin"})
    assert sorted(home.rglob("*")) == (before if kept else [])
    assert (tmp_path / "started").exists()
