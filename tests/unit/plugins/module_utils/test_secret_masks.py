# SPDX-License-Identifier: Apache-2.0
"""What a stranger may read."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from ansible_collections.hotstack.os.plugins.module_utils.secret_masks import Masker, secrets_in_clouds

SECRET = 'Pa/ss+w%rd$"1'
MASK = Masker({"admin_password": SECRET, "other": "abcdefgh", "longer": "abcdefghij", "short": "ab"})


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"mysql://nova:{quote(SECRET, safe='')}@host/nova",
        json.dumps({"x": SECRET}),
        base64.b64encode(SECRET.encode()).decode(),
        *(f"Basic {base64.b64encode(('u' * size + ':' + SECRET).encode()).decode()}" for size in (1, 2, 3)),
        base64.urlsafe_b64encode(("u:" + SECRET + "\n").encode()).decode(),
        SECRET.replace("$", "$$"),
    ],
)
def test_known_secrets(text: str) -> None:
    assert MASK.leaks(text) == ["admin_password"]
    masked = MASK(text)
    assert "***admin_password***" in masked
    assert MASK.leaks(masked) == []
    assert SECRET[3:9] not in masked


def test_the_longer_one_of_two() -> None:
    assert MASK("x abcdefghij abcdefgh") == "x ***longer*** ***other***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password = hush", "password = ***secret***"),
        ("nova_password: hush", "nova_password: ***secret***"),
        ('{"adminPassword": "hu\\"sh", "n": 1}', '{"adminPassword": "***secret***", "n": 1}'),
        ("<graphics passwd='hush'/>", "<graphics passwd='***secret***'/>"),
        ("--os-token=hush", "--os-token=***secret***"),
        ("'secret' => hush,", "'secret' => ***secret***,"),
        (
            "rabbit://nova:hush@a:5672,nova:hush@b:5672//",
            "rabbit://nova:***password***@a:5672,nova:***password***@b:5672//",
        ),
        ("X-Auth-Token: hush", "X-Auth-Token: ***token***"),
        (f"got gAAAAA{'x' * 40}== from", "got ***token*** from"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhush\n-----END RSA PRIVATE KEY-----.", "***private key***."),
        ("-----BEGIN PRIVATE KEY-----\ncut", "***private key***"),
        ("token_lifetime = 3600", "token_lifetime = 3600"),
        ("secret_file = /etc/x", "secret_file = /etc/x"),
        ("use_token: true", "use_token: true"),
        ('"secret": ""', '"secret": ""'),
        ("password = ***admin_password***", "password = ***admin_password***"),
        ("http://host:5000/v3", "http://host:5000/v3"),
        ("the password is right", "the password is right"),
    ],
)
def test_what_looks_like_a_secret(text: str, masked: str) -> None:
    assert MASK(text) == masked


def test_clouds() -> None:
    text = 'clouds:\n  a:\n    auth:\n      username: "u"\n      password: "hush one"\n'
    text += "    application_credential_secret: hush2\n"
    found = secrets_in_clouds(text, "clouds.yaml")
    assert found == {
        "password 1 of clouds.yaml": "hush one",
        "application_credential_secret 2 of clouds.yaml": "hush2",
    }
