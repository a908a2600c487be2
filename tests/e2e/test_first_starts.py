# SPDX-License-Identifier: Apache-2.0
"""A data directory that a killed first start leaves comes up by itself, wherever the kill was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lab import DATA_DIR, PREFIX, Lab

# Start a unit on an empty directory, and kill all of it once so many paths are in there.
KILL = r"""
import json, os, subprocess, sys, time
unit, directory, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
subprocess.run(["systemctl", "start", "--no-block", unit], check=True)
end = time.monotonic() + 120
while time.monotonic() < end:
    found = sum(len(folders) + len(files) for _path, folders, files in os.walk(directory))
    if found >= count:
        break
subprocess.run(["systemctl", "kill", "--signal=KILL", unit], check=False)
print(json.dumps(found))
"""
MARIADB = ("podman", "exec", "--interactive", f"{PREFIX}mariadb", "mariadb", "--batch", "--skip-column-names")
# By service: its directory, and how many paths a completed first start leaves in it, at least.
DIRECTORIES = {"rabbitmq": ("rabbitmq", 40), "ovn-northd": ("ovn", 2)}


@contextmanager
def empty_directory(lab: Lab, service: str) -> Iterator[str]:
    """Give a stopped service an empty data directory, and at the end its own again."""
    path = f"{DATA_DIR}/{DIRECTORIES[service][0]}"
    unit = f"{PREFIX}{service}.service"
    lab.run("systemctl", "stop", unit, timeout=300)
    lab.shell(f"mv {path} {path}.kept && mkdir --mode=0750 {path} && chown --reference={path}.kept {path}")
    try:
        yield path
    finally:
        lab.run("systemctl", "stop", unit, timeout=300)
        lab.shell(f"rm -rf {path} && mv {path}.kept {path}")
        lab.run("systemctl", "start", unit, timeout=300)


def killed_then_healthy(lab: Lab, service: str, paths: int) -> None:
    """Kill the first start of a service at a moment; what systemd starts after it must become healthy."""
    with empty_directory(lab, service) as directory:
        lab.python(KILL, f"{PREFIX}{service}.service", directory, str(paths))
        lab.wait(lambda: not lab.unhealthy([service]), f"{service} is healthy after a kill at {paths} paths", 120)


def test_killed_first_start_of_rabbitmq(deployed: Lab, services: list[str]) -> None:
    """Kill it while it makes its Raft store, which it never completes afterwards."""
    killed_then_healthy(deployed, "rabbitmq", 6)
    deployed.assert_healthy(services)


@pytest.mark.full
@pytest.mark.parametrize("service", DIRECTORIES)
def test_killed_at_each_path(deployed: Lab, services: list[str], service: str) -> None:
    """Kill the first start at each path that it makes."""
    for paths in range(1, DIRECTORIES[service][1] + 1):
        killed_then_healthy(deployed, service, paths)
    deployed.assert_healthy(services)


def move_tables(lab: Lab, source: str, target: str) -> None:
    """Move all tables of a database to another one, which is created if it is missing."""
    pairs = f"GROUP_CONCAT('{source}.', table_name, ' TO {target}.', table_name)"
    query = f"SELECT {pairs} FROM information_schema.tables WHERE table_schema = '{source}'"
    names = lab.run(*MARIADB, data=query).strip()
    lab.run(*MARIADB, data=f"CREATE DATABASE IF NOT EXISTS {target}; RENAME TABLE {names};")


@pytest.mark.full
@pytest.mark.parametrize("tables", [1, 4, 8])
def test_killed_first_schema(deployed: Lab, tables: int) -> None:
    """Kill Placement's first migration; its own tables come back afterwards."""
    unit, service = f"{PREFIX}placement-db-sync.service", f"{PREFIX}placement.service"
    stamps = f"{DATA_DIR}/runtime/stamps/placement-db-sync-*"
    count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'placement'"
    deployed.run("systemctl", "stop", service)
    move_tables(deployed, "placement", "kept")
    try:
        deployed.run(*MARIADB, data="ALTER DATABASE placement COMMENT = 'hotstack-os: no schema yet'")
        deployed.shell(f"rm -f {stamps}; systemctl start --no-block {unit}")
        deployed.wait(lambda: int(deployed.run(*MARIADB, data=count)) >= tables, f"{tables} tables", 60, 0)
        deployed.run("systemctl", "kill", "--signal=KILL", unit, check=False)
        deployed.wait(lambda: deployed.shell(f"ls {stamps}", check=False), "the schema is complete", 120)
    finally:
        deployed.run("systemctl", "stop", unit)
        recreate = "DROP DATABASE placement; CREATE DATABASE placement"
        deployed.run(*MARIADB, data=f"{recreate} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        move_tables(deployed, "kept", "placement")
        deployed.run(*MARIADB, data="DROP DATABASE kept")
        deployed.run("systemctl", "start", service, timeout=300)
