# SPDX-License-Identifier: Apache-2.0
"""The program that creates tables: it empties what was never complete, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from wrapper_programs import load

from ansible_collections.hotstack.os.plugins.module_utils import service_databases

program = load(str(Path(__file__).parents[2] / "containerfiles/openstack/schema-sync"))


class Server:
    """A MariaDB with databases by name, their comments and tables."""

    def __init__(self, comments: dict[str, str], tables: list[str]) -> None:
        self.comments, self.tables = dict(comments), {name: list(tables) for name in comments}
        self.rows: list[tuple[str]] = []

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def cursor(self) -> Server:
        return self

    def fetchall(self) -> list[tuple[str]]:
        return self.rows

    def execute(self, sql: str, values: tuple[str, ...] = ()) -> None:
        words = [word.strip("`") for word in sql.replace(".", " ").split()]
        if "schemata" in sql:
            self.rows = [(name,) for name, comment in self.comments.items() if (comment,) == values]
        elif sql.startswith("SELECT"):
            self.rows = [(name,) for name in self.tables[values[0]]]
        elif sql.startswith("DROP"):
            self.tables[words[2]].remove(words[3])
        elif sql.startswith("ALTER"):
            self.comments[words[2]] = ""


def run(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int) -> Any:
    config = tmp_path / "a.conf"
    config.write_text("[database]\nconnection = mysql+pymysql://a:p%25@192.0.2.1:3306/a?charset=utf8mb4\n")
    monkeypatch.setitem(sys.modules, "pymysql", SimpleNamespace(connect=lambda **_: server))
    monkeypatch.setattr(sys, "argv", ["schema-sync", str(config), "sh", "-c", f"exit {status}"])
    try:
        program.main()
    except SystemExit as ended:
        return ended.code
    return 0


@pytest.mark.parametrize("status", [0, 3])
def test_what_a_run_leaves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int) -> None:
    server = Server({"new": program.UNFINISHED, "old": ""}, ["one", "two"])
    assert run(server, monkeypatch, tmp_path, status) == status
    assert server.tables == {"new": [], "old": ["one", "two"]}
    assert server.comments == {"new": program.UNFINISHED if status else "", "old": ""}


@pytest.mark.parametrize("section", ["database", "placement_database"])
def test_account(tmp_path: Path, section: str) -> None:
    url = "connection = mysql+pymysql://a:p%25$$@192.0.2.1:3307/a"
    (tmp_path / "a.conf").write_text(f"[DEFAULT]\ndebug = true\n[other]\nx = 1\n[{section}]\n{url}\n")
    account = {"host": "192.0.2.1", "port": 3307, "user": "a", "password": "p%$"}
    assert program.account_of(str(tmp_path / "a.conf")) == account


def test_both_sides_know_the_same_comment() -> None:
    assert program.UNFINISHED == service_databases.UNFINISHED
