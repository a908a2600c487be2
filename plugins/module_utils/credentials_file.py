# SPDX-License-Identifier: Apache-2.0
"""Reading one secret on the host that keeps it."""

from __future__ import annotations

from ansible_collections.hotstack.os.plugins.module_utils import credentials
from ansible_collections.hotstack.os.plugins.module_utils.credentials import CredentialsError


def read_credential(path: str, name: str, check_mode: bool = False) -> str:
    """Return the secret of this name; an empty one if check mode runs before it was made."""
    secrets, _private = credentials.read(path)
    if name in secrets:
        return secrets[name]
    if check_mode:
        return ""
    raise CredentialsError(f"{path} has no credential '{name}': run the role hotstack.os.host_prep first.")
