# SPDX-License-Identifier: Apache-2.0
"""Whether a worker without a port is usable, as its container's health check sees it."""

from __future__ import annotations

import importlib.util
import os
from datetime import datetime, timezone
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load() -> ModuleType:
    """Return the program, whose file has no suffix."""
    loader = SourceFileLoader("worker_health", str(ROOT / "containerfiles/openstack/worker-health"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


worker_health = load()


def at(second: float) -> datetime:
    """Return a time as the database has it: in UTC, which it does not say."""
    return datetime.fromtimestamp(second, timezone.utc).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("reports", "now", "wrong"),
    [
        pytest.param([], 1002, "it has never reported", id="none"),
        pytest.param([999], 1002, "it has not reported since it started", id="of the run before"),
        pytest.param([1000], 1002, "", id="in the second of its start"),
        pytest.param([500, 1090, 700], 1100, "", id="the newest counts"),
        pytest.param([1040], 1100, "", id="just young enough"),
        pytest.param([1039], 1100, "its last report is 61 s old", id="too old"),
        pytest.param([1105], 1100, "", id="of a clock that is ahead"),
    ],
)
def test_verdict(reports: list[float], now: float, wrong: str) -> None:
    assert worker_health.verdict([at(second) for second in reports], started=1000.9, now=now) == wrong


@pytest.mark.parametrize(
    ("connection", "password", "port"),
    [
        pytest.param("mysql+pymysql://nova:secret@172.31.0.3:3307/nova_api?charset=utf8", "secret", 3307, id="plain"),
        pytest.param("mysql+pymysql://nova:secret@172.31.0.3/nova_api", "secret", 3306, id="without a port"),
        pytest.param("mysql+pymysql://nova:a%40b%2Fc%3Ad%25@172.31.0.3/nova_api", "a@b/c:d%", 3306, id="encoded"),
        pytest.param("mysql+pymysql://nova:a$$b$$$$@172.31.0.3/nova_api", "a$b$$", 3306, id="dollars"),
    ],
)
def test_database_of(tmp_path: Path, connection: str, password: str, port: int) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(f"[DEFAULT]\nmy_ip = %(nothing)s\n[api_database]\nconnection = {connection}\n", encoding="utf-8")
    assert worker_health.database_of(str(path), "api_database") == {
        "host": "172.31.0.3",
        "port": port,
        "user": "nova",
        "password": password,
        "database": "nova_api",
    }


@pytest.mark.parametrize("name", ["uwsgi", "nova (cond) uctor"])
def test_started_at(tmp_path: Path, name: str) -> None:
    ticks = 90 * os.sysconf("SC_CLK_TCK")
    process, system = tmp_path / "process", tmp_path / "system"
    process.write_text(f"1 ({name}) S 0 1 1 0 -1 4194560 9 0 0 0 1 1 0 0 20 0 1 0 {ticks} 99 7\n")
    system.write_text("cpu  1 2 3\nintr 5\nbtime 1700000000\nprocesses 7\n")
    assert worker_health.started_at(str(process), str(system)) == 1700000090
