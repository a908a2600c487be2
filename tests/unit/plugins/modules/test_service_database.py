# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import service_databases as sd
from ansible_collections.hotstack.os.plugins.module_utils.password_hashes import mariadb_password_hash
from ansible_collections.hotstack.os.plugins.modules import service_database


@pytest.fixture
def params(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "credentials.json"
    path.write_text('{"keystone_database_password": "secret"}')
    return {
        "user": "keystone",
        "databases": ["keystone"],
        "credentials_file": str(path),
        "password_credential": "keystone_database_password",
        "container": "hotstack-os-mariadb",
    }


class FakeMariadb:
    """Answers queries with fixed rows and remembers the other statements."""

    def __init__(self, answer: str = "", status: int = 0) -> None:
        self.answer, self.status, self.changes = answer, status, ""

    def __call__(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if not options["input"].startswith("SELECT"):
            self.changes += options["input"]
        return subprocess.CompletedProcess(command, self.status, self.answer, "no such container")


UP_TO_DATE = (
    f"database\tkeystone\t\nuser\tmysql_native_password\t{mariadb_password_hash('secret')}\n"
    f"grant\tkeystone\t{sd.PRIVILEGES}\n"
)


@pytest.mark.parametrize(
    ("answer", "check_mode", "changed", "written", "password_updated"),
    [
        ("", False, True, True, False),
        ("", True, True, False, False),
        (UP_TO_DATE, False, False, False, False),
        (UP_TO_DATE.replace("*", "*0"), False, True, True, True),
    ],
)
def test_run(
    monkeypatch: pytest.MonkeyPatch,
    params: dict[str, Any],
    answer: str,
    check_mode: bool,
    changed: bool,
    written: bool,
    password_updated: bool,
) -> None:
    mariadb = FakeMariadb(answer)
    monkeypatch.setattr(subprocess, "run", mariadb)
    result = service_database.run(params, check_mode)
    assert (result["changed"], bool(mariadb.changes)) == (changed, written)
    assert result["password_updated"] == password_updated
    assert "secret" not in mariadb.changes + str(result)


def test_check_mode_works_before_there_is_a_container(monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]) -> None:
    monkeypatch.setattr(subprocess, "run", FakeMariadb(status=125))
    assert service_database.run(params, check_mode=True)["changed"]
    with pytest.raises(service_database.DatabaseError, match="no such container"):
        service_database.run(params, check_mode=False)


def test_a_host_without_podman_is_an_error_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(service_database.DatabaseError, match="can't be asked"):
        service_database.run(params, check_mode=False)
