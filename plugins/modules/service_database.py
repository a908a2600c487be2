#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Create a service's databases and the user that may use them."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: service_database
short_description: Create a service's databases and the user that may use them
version_added: 0.1.0
description:
  - Creates databases in the MariaDB container, a user, and the user's rights on exactly these databases.
  - Updates a password or rights that differ. Never removes a database, nor changes one that exists.
  - Talks to MariaDB through its socket inside the container; the password itself is never sent, only its hash.
author: The hotstack.os authors (!UNKNOWN)
options:
  user:
    description: The user, who may come from any address of the container network.
    type: str
    required: true
  databases:
    description: The databases that belong to the user.
    type: list
    elements: str
    required: true
  credentials_file:
    description: The JSON file on the host that has the password.
    type: path
    required: true
  password_credential:
    description: The name of the password in O(credentials_file).
    type: str
    required: true
  container:
    description: The container that runs MariaDB.
    type: str
    default: hotstack-os-mariadb
attributes:
  check_mode:
    description: Can run in check mode without changing anything.
    support: full
  diff_mode:
    description: Returns what changed, without passwords.
    support: full
"""

EXAMPLES = r"""
- name: Create Keystone's database
  hotstack.os.service_database:
    user: keystone
    databases: [keystone]
    credentials_file: /var/lib/hotstack-os/credentials.json
    password_credential: keystone_database_password
"""

RETURN = r"""
password_updated:
  description: Whether an existing user got another password.
  type: bool
  returned: always
"""

import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import (
    credentials,
    credentials_file,
    password_hashes,
    service_databases,
    time_factor,
)


class DatabaseError(Exception):
    """MariaDB can't be asked, and why."""


def execute(container: str, sql: str) -> str:
    """Return MariaDB's answer as tab-separated rows."""
    command = ["podman", "exec", "--interactive", container, "mariadb", "--batch", "--skip-column-names"]
    try:
        result = subprocess.run(
            command, input=sql, capture_output=True, text=True, timeout=60 * time_factor.current(), check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatabaseError(f"The container {container} can't be asked: {error}") from None
    if result.returncode != 0:
        raise DatabaseError(f"MariaDB in {container} answered: {result.stderr.strip()}")
    return result.stdout


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Compare, change what differs, report."""
    user, databases, container = params["user"], params["databases"], params["container"]
    service_databases.check_names(user, databases)
    password = credentials_file.read_credential(params["credentials_file"], params["password_credential"], check_mode)
    after = service_databases.wanted_state(databases, password_hashes.mariadb_password_hash(password))
    try:
        before = service_databases.parse(execute(container, service_databases.query(user, databases)))
    except DatabaseError:
        # Before the first run there is nothing to ask.
        if not check_mode:
            raise
        before = service_databases.State()
    sql = service_databases.statements(user, before, after)
    if sql and not check_mode:
        execute(container, sql)
    return {
        "changed": bool(sql),
        "password_updated": before.password not in (None, after.password),
        "diff": {"before": service_databases.describe(user, before), "after": service_databases.describe(user, after)},
    }


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "databases": {"type": "list", "elements": "str", "required": True},
            "credentials_file": {"type": "path", "required": True},
            "password_credential": {"type": "str", "required": True, "no_log": False},
            "container": {"type": "str", "default": "hotstack-os-mariadb"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except (DatabaseError, ValueError, credentials.CredentialsError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
