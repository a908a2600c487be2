#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Make Keystone's keys, its tables and its first user, in one process.

keystone-manage would do the same in four cold starts, and takes the password from an argument or the environment, where
others can read it. Everything here is repeatable: what is there is kept, and a changed password or URL is updated.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/keystone/bootstrap.json")
CONFIG = "/etc/keystone/keystone.conf"
WANTED = ("username", "password", "project", "role", "service", "url", "region")


def read_settings(path: Path) -> dict[str, str]:
    """Return the settings of the first user, or end with what is wrong with them."""
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    missing = [name for name in WANTED if not isinstance(settings.get(name), str) or not settings[name]]
    if missing:
        sys.exit(f"{path} lacks {', '.join(missing)}.")
    return {name: settings[name] for name in WANTED}


def apply_settings(bootstrapper: Any, settings: dict[str, str]) -> None:
    """Hand the settings to Keystone's own bootstrapper."""
    bootstrapper.admin_username = settings["username"]
    bootstrapper.admin_password = settings["password"]
    bootstrapper.project_name = settings["project"]
    bootstrapper.admin_role_name = settings["role"]
    bootstrapper.service_name = settings["service"]
    for interface in ("public", "internal", "admin"):
        setattr(bootstrapper, f"{interface}_url", settings["url"])
    bootstrapper.region_id = settings["region"]
    bootstrapper.immutable_roles = True


def create_keys(repository: str, keep: int, group: str) -> None:
    """Fill a repository of keys if it is empty."""
    from keystone.common import fernet_utils

    keys = fernet_utils.FernetUtils(repository, keep, group)
    if not keys.validate_key_repository(requires_write=True):
        sys.exit(f"{repository} is not a writable folder.")
    keys.initialize_key_repository()


def main() -> None:
    """Do all steps in order."""
    settings = read_settings(SETTINGS)

    import keystone.conf
    from keystone.cmd import bootstrap
    from keystone.common import sql
    from keystone.common.sql import upgrades
    from keystone.credential.providers import fernet as credential_fernet

    keystone.conf.configure()
    sql.initialize()
    keystone.conf.set_default_for_default_log_levels()
    keystone.conf.CONF([], project="keystone", default_config_files=[CONFIG])
    keystone.conf.setup_logging()

    tokens, credentials = keystone.conf.CONF.fernet_tokens, keystone.conf.CONF.credential
    create_keys(tokens.key_repository, tokens.max_active_keys, "fernet_tokens")
    create_keys(credentials.key_repository, credential_fernet.MAX_ACTIVE_KEYS, "credential")
    upgrades.offline_sync_database_to_version()
    bootstrapper = bootstrap.Bootstrapper()
    apply_settings(bootstrapper, settings)
    bootstrapper.bootstrap()


if __name__ == "__main__":
    main()
