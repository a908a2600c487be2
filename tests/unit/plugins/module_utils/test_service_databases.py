# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import service_databases as sd

HASH = "*" + "A" * 40
COMMENT = " COMMENT 'hotstack-os: no schema yet';"
WANTED = sd.wanted_state(["nova", "nova_api"], HASH)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(WANTED, [], id="nothing differs"),
        pytest.param(
            sd.State(),
            [
                "CREATE DATABASE `nova` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci" + COMMENT,
                "CREATE DATABASE `nova_api` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci" + COMMENT,
                f"CREATE USER 'nova'@'%' IDENTIFIED VIA mysql_native_password USING '{HASH}';",
                f"GRANT {sd.PRIVILEGES} ON `nova`.* TO 'nova'@'%';",
                f"GRANT {sd.PRIVILEGES} ON `nova\\_api`.* TO 'nova'@'%';",
            ],
            id="everything is new",
        ),
        pytest.param(
            sd.State(WANTED.databases, "mysql_native_password *OLD", WANTED.grants),
            [f"ALTER USER 'nova'@'%' IDENTIFIED VIA mysql_native_password USING '{HASH}';"],
            id="another password",
        ),
        pytest.param(
            sd.State({"nova"}, WANTED.password, WANTED.grants),
            ["CREATE DATABASE `nova_api` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci" + COMMENT],
            id="a database is missing",
        ),
        pytest.param(
            sd.State(WANTED.databases, WANTED.password, {**WANTED.grants, "keystone": "SELECT", "nova": "SELECT"}),
            [
                "REVOKE ALL PRIVILEGES ON `keystone`.* FROM 'nova'@'%';",
                "REVOKE ALL PRIVILEGES ON `nova`.* FROM 'nova'@'%';",
                f"GRANT {sd.PRIVILEGES} ON `nova`.* TO 'nova'@'%';",
            ],
            id="other rights and rights elsewhere",
        ),
    ],
)
def test_statements(before: sd.State, expected: list[str]) -> None:
    assert sd.statements("nova", before, WANTED).splitlines() == expected


def test_parse_reads_what_query_asks_for() -> None:
    answer = (
        "database\tnova_api\t\n"
        "database\tnova\t\n"
        f"user\tmysql_native_password\t{HASH}\n"
        f"grant\tnova\\\\_api\t{sd.PRIVILEGES}\n"
        f"grant\tnova\t{sd.PRIVILEGES}\n"
    )
    assert sd.parse(answer) == WANTED
    assert sd.parse("") == sd.State()


def test_query_names_user_and_databases() -> None:
    assert "('nova', 'nova_api')" in sd.query("nova", ["nova", "nova_api"])


@pytest.mark.parametrize(
    ("user", "databases", "message"),
    [
        ("nova'", ["nova"], "The user 'nova''"),
        ("nova", ["nova`"], "The database 'nova`'"),
        ("Nova", ["nova"], "The user 'Nova'"),
        ("nova", [], "at least one"),
    ],
)
def test_names_that_need_quoting_are_refused(user: str, databases: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sd.check_names(user, databases)


def test_a_diff_has_no_hash() -> None:
    text = sd.describe("nova", WANTED)
    assert HASH not in text
    assert "user nova@% mysql_native_password\n" in text
    assert sd.describe("nova", sd.State()) == ""
