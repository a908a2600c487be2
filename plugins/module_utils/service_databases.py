# SPDX-License-Identifier: Apache-2.0
"""What a service's databases, user and rights are, and the SQL that makes them so."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

CHARACTER_SET = "utf8mb4"
COLLATION = "utf8mb4_unicode_ci"
# The comment of a new database; schema-sync in the images takes it away once the first schema is complete.
UNFINISHED = "hotstack-os: no schema yet"

# All that a schema migration may want, and nothing that reaches beyond the database.
PRIVILEGES = (
    "ALTER, ALTER ROUTINE, CREATE, CREATE ROUTINE, CREATE TEMPORARY TABLES, CREATE VIEW, DELETE, DROP, EXECUTE, INDEX, "
    "INSERT, LOCK TABLES, REFERENCES, SELECT, SHOW VIEW, TRIGGER, UPDATE"
)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


@dataclass
class State:
    """A user and its databases."""

    # Their names. What a database defaults to is its service's business once it exists; migrations change it.
    databases: set[str] = field(default_factory=set)
    # The plugin and hash of the user's password, or None without a user.
    password: str | None = None
    # The rights by database, each as a sorted, comma-separated text.
    grants: dict[str, str] = field(default_factory=dict)


def check_names(user: str, databases: list[str]) -> None:
    """Raise ValueError for a name that would need quoting."""
    for kind, name in [("user", user), *(("database", name) for name in databases)]:
        if not _NAME.fullmatch(name):
            raise ValueError(f"The {kind} '{name}' may only have lower-case letters, digits and _, a letter first.")
    if not databases:
        raise ValueError("databases must name at least one database.")


def wanted_state(databases: list[str], password_hash: str) -> State:
    """Return what should be there."""
    return State(
        databases=set(databases),
        password=f"mysql_native_password {password_hash}",
        grants=dict.fromkeys(databases, PRIVILEGES),
    )


def query(user: str, databases: list[str]) -> str:
    """Return the statements whose answer `parse` understands."""
    names = ", ".join(f"'{name}'" for name in databases)
    return "\n".join(
        [
            f"SELECT 'database', schema_name, '' FROM information_schema.schemata WHERE schema_name IN ({names});",
            f"SELECT 'user', plugin, authentication_string FROM mysql.user WHERE user = '{user}' AND host = '%';",
            "SELECT 'grant', table_schema, GROUP_CONCAT(privilege_type ORDER BY privilege_type SEPARATOR ', ')"
            f" FROM information_schema.schema_privileges WHERE grantee = '\\'{user}\\'@\\'%\\'' GROUP BY table_schema;",
            "",
        ]
    )


def parse(answer: str) -> State:
    """Return the state that the rows of `query` describe."""
    state = State()
    for row in answer.splitlines():
        kind, first, second = row.split("\t")
        if kind == "database":
            state.databases.add(first)
        elif kind == "user":
            state.password = f"{first} {second}"
        else:
            # In a grant the underscore is a wildcard unless escaped; the client escapes the backslash once more.
            state.grants[first.replace("\\", "")] = second
    return state


def statements(user: str, before: State, after: State) -> str:
    """Return the SQL that leads from one state to the other, empty where they are equal."""
    lines = [
        f"CREATE DATABASE `{name}` CHARACTER SET {CHARACTER_SET} COLLATE {COLLATION} COMMENT '{UNFINISHED}';"
        for name in sorted(after.databases - before.databases)
    ]
    if before.password != after.password and after.password is not None:
        plugin, password_hash = after.password.split(" ")
        verb = "CREATE" if before.password is None else "ALTER"
        lines.append(f"{verb} USER '{user}'@'%' IDENTIFIED VIA {plugin} USING '{password_hash}';")
    for name in sorted(before.grants.keys() | after.grants.keys()):
        if before.grants.get(name) == after.grants.get(name):
            continue
        escaped = name.replace("_", "\\_")
        if name in before.grants:
            lines.append(f"REVOKE ALL PRIVILEGES ON `{escaped}`.* FROM '{user}'@'%';")
        if name in after.grants:
            lines.append(f"GRANT {after.grants[name]} ON `{escaped}`.* TO '{user}'@'%';")
    return "".join(f"{line}\n" for line in lines)


def describe(user: str, state: State) -> str:
    """Return the state as text for a diff, without the hash."""
    lines = [f"database {name}" for name in sorted(state.databases)]
    if state.password is not None:
        lines.append(f"user {user}@% {state.password.split(' ')[0]}")
    lines += [f"grant on {name}: {privileges}" for name, privileges in sorted(state.grants.items())]
    return "".join(f"{line}\n" for line in lines)
