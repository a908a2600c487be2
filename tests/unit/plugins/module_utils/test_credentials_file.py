# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.hotstack.os.plugins.module_utils.credentials import CredentialsError
from ansible_collections.hotstack.os.plugins.module_utils.credentials_file import read_credential


def test_a_credential_is_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text('{"admin_password": "secret"}')
    assert read_credential(str(path), "admin_password") == "secret"


def test_a_missing_one_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    with pytest.raises(CredentialsError, match="'admin_password': run the role"):
        read_credential(str(path), "admin_password")


def test_check_mode_does_without(tmp_path: Path) -> None:
    assert read_credential(str(tmp_path / "credentials.json"), "admin_password", check_mode=True) == ""
