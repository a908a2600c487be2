# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import hashlib

import pytest

from ansible_collections.hotstack.os.plugins.filter.infra import FilterModule
from ansible_collections.hotstack.os.plugins.module_utils import password_hashes


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("password", "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"),
        ("", "*BE1BDEC0AA74B4DCB079943E70528096CCA985F8"),
    ],
)
def test_mariadb_password_hash(password: str, expected: str) -> None:
    assert password_hashes.mariadb_password_hash(password) == expected


def test_rabbitmq_password_hash_verifies() -> None:
    raw = base64.b64decode(password_hashes.rabbitmq_password_hash("sécret", "nova"))
    assert raw[4:] == hashlib.sha256(raw[:4] + "sécret".encode()).digest()


def test_rabbitmq_password_hash_is_the_same_each_time_and_differs_by_user_and_password() -> None:
    rabbitmq_password_hash = FilterModule().filters()["rabbitmq_password_hash"]
    assert rabbitmq_password_hash("a", "nova") == rabbitmq_password_hash("a", "nova")
    assert len({rabbitmq_password_hash(p, u) for p in "ab" for u in ("nova", "heat")}) == 4
