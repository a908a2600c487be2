# SPDX-License-Identifier: Apache-2.0
"""The forms in which servers keep passwords, so that a password itself need not be sent to compare or set it."""

from __future__ import annotations

import base64
import hashlib


def mariadb_password_hash(password: str) -> str:
    """Return what mysql_native_password keeps: an asterisk and SHA-1 twice."""
    inner = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(inner, usedforsecurity=False).hexdigest().upper()


def rabbitmq_password_hash(password: str, user: str) -> str:
    """Return what RabbitMQ imports: base64 of a salt of four bytes and SHA-256 of salt and password.

    The salt follows from user and password: the definitions change when a password does, and only then.
    """
    salt = hashlib.sha256(f"{user}\0{password}".encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
