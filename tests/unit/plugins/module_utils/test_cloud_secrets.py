# SPDX-License-Identifier: Apache-2.0
"""The file with an application credential."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.hotstack.os.plugins.module_utils import cloud_secrets


def test_text() -> None:
    credential = {"id": "0e5", "secret": "abc-DEF_1"}
    text = cloud_secrets.secret_text("http://keystone:5000/v3", "RegionOne", credential)
    assert yaml.safe_load(text) == {
        "hotstack_cloud_secrets": {
            "auth_url": "http://keystone:5000/v3",
            "application_credential_id": "0e5",
            "application_credential_secret": "abc-DEF_1",
            "region_name": "RegionOne",
            "interface": "internal",
            "identity_api_version": 3,
            "auth_type": "v3applicationcredential",
        }
    }
    assert cloud_secrets.known_credential(text) == credential


@pytest.mark.parametrize(
    "text", ["", "hotstack_cloud_secrets:\n  application_credential_id: a\n", "- application_credential_secret\n"]
)
def test_half_a_credential_is_none(text: str) -> None:
    assert cloud_secrets.known_credential(text) is None
