# SPDX-License-Identifier: Apache-2.0
"""What Neutron's health commands conclude from what they see."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import threading
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "containerfiles/neutron/neutron-health"

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
# 172.31.0.31:6642, as a little-endian machine writes it.
LINE = "   0: 22001FAC:D3FC 1F001FAC:19F2 {state} 00000000:00000000 02:0000 00000000 42415 0 {inode} 2 0 20\n"
UNREGISTERED = "it is not registered in the southbound database as the agent of "
UNIX = "Num RefCount Protocol Flags Type St Inode Path\n0000: 00000002 00000000 {flags} 0001 01 {inode} {path}\n"


@pytest.fixture(scope="module", name="program")
def _program() -> ModuleType:
    loader = SourceFileLoader("neutron_health", str(PROGRAM))
    spec = importlib.util.spec_from_loader("neutron_health", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("idle", "database_age", "own_age", "expected"),
    [
        pytest.param([900, 3], 9000, 9000, "", id="one was used lately"),
        pytest.param([], 9000, 9000, "it has no session in the database", id="none"),
        pytest.param([], 30, 9000, "", id="none yet since the database started"),
        pytest.param([], 401, 9000, "it has no session in the database", id="none since the database started"),
        pytest.param([], 30, 20, "it has no session in the database", id="none since it started itself"),
        pytest.param([900, 500], 9000, 9000, "it last asked the database 500 s ago", id="all idle"),
    ],
)
def test_idle(program: ModuleType, idle: list[int], database_age: float, own_age: float, expected: str) -> None:
    assert program.idle_verdict(idle, database_age, own_age) == expected


def test_age_of_the_first_process(program: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    started = 50 * os.sysconf("SC_CLK_TCK")
    (tmp_path / "1/stat").write_text(f"1 (a (b) c) S{' 0' * 18} {started} 0 0\n")
    (tmp_path / "uptime").write_text("170.25 300.00\n")
    assert program.age(tmp_path) == 120.25
    assert program.age() >= 0


@pytest.mark.parametrize(
    ("state", "inode", "expected"),
    [
        pytest.param("01", "77", True, id="established"),
        pytest.param("06", "77", False, id="closing"),
        pytest.param("01", "78", False, id="somebody else's"),
    ],
)
def test_connected(program: ModuleType, state: str, inode: str, expected: bool) -> None:
    table = HEADER + LINE.format(state=state, inode=inode)
    assert program.connected(table, "172.31.0.31:6642", {"77"}) is expected
    assert not program.connected(table, "172.31.0.31:6641", {"77"})


@pytest.mark.parametrize(
    ("flags", "inode", "path", "expected"),
    [
        pytest.param("00010000", "77", "/run/agent", "77", id="listens"),
        pytest.param("00000000", "77", "/run/agent", "", id="connected only"),
        pytest.param("00010000", "78", "/run/agent", "", id="somebody else's"),
        pytest.param("00010000", "77", "/run/other", "", id="elsewhere"),
    ],
)
def test_listener(program: ModuleType, flags: str, inode: str, path: str, expected: str) -> None:
    assert program.listener(UNIX.format(flags=flags, inode=inode, path=path), "/run/agent", {"77"}) == expected


def test_own_sockets_are_not_those_of_the_one_who_looks(program: ModuleType, tmp_path: Path) -> None:
    for pid, target in (("1", "socket:[77]"), ("2", "/dev/null"), (str(os.getpid()), "socket:[78]")):
        folder = tmp_path / pid / "fd"
        folder.mkdir(parents=True)
        (folder / "3").symlink_to(target)
    assert program.own_sockets(tmp_path) == {"77"}


@pytest.mark.parametrize(
    ("reported", "current", "host", "expected"),
    [
        pytest.param("7", 8, "lab", "", id="one behind"),
        pytest.param("7", 9, "lab", "it is at 7, the southbound database at 9", id="two behind"),
        pytest.param(None, 0, "lab", UNREGISTERED + "lab", id="never"),
        pytest.param("7", 7, "other", UNREGISTERED + "other", id="host"),
    ],
)
def test_agent(program: ModuleType, reported: str | None, current: int, host: str, expected: str) -> None:
    pairs = [] if reported is None else [[program.AGENT_KEY, reported]]
    rows = [{"name": "one", "external_ids": ["map", pairs]}]
    assert program.agent_verdict([{"name": "one", "hostname": "lab"}], rows, current, host) == expected


def serve(answer: dict[str, Any], parts: int) -> tuple[str, threading.Thread]:
    """Answer one question at a port of this machine, in several pieces."""
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with server, server.accept()[0] as connection:
            connection.recv(65536)
            text = json.dumps(answer).encode()
            size = -(-len(text) // parts)
            for start in range(0, len(text), size):
                connection.sendall(text[start : start + size])

    thread = threading.Thread(target=run)
    thread.start()
    return f"127.0.0.1:{server.getsockname()[1]}", thread


def test_database_is_asked(program: ModuleType) -> None:
    server, thread = serve({"id": 0, "error": None, "result": {"locked": False}}, parts=3)
    assert program.ask(server, "lock", ["name"]) == {"locked": False}
    thread.join()


def test_refusal_of_the_database_is_told(program: ModuleType) -> None:
    server, thread = serve({"id": 0, "error": "unknown method", "result": None}, parts=1)
    with pytest.raises(program.UnusableError, match="unknown method"):
        program.ask(server, "lick", [])
    thread.join()


def test_database_that_breaks_off_is_told(program: ModuleType) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=run)
        thread.start()
        with pytest.raises((program.UnusableError, ConnectionError)):
            program.ask(f"127.0.0.1:{server.getsockname()[1]}", "lock", [])
        thread.join()


def test_settings_of_the_database(program: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "neutron.conf"
    path.write_text(
        "[database]\nconnection = mysql+pymysql://neutron:a%2Fb$$c@172.31.0.3:3306/neutron?charset=utf8mb4\n"
    )
    assert program.database_of(str(path)) == {
        "host": "172.31.0.3",
        "port": 3306,
        "user": "neutron",
        "password": "a/b$c",
        "database": "neutron",
    }
