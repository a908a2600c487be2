# SPDX-License-Identifier: Apache-2.0
"""Texts of the engine: digests of them, words of unit files, and texts without their secrets."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "********"

# Stands in a rendered unit where the digest of that unit belongs.
DIGEST_PLACEHOLDER = "@DIGEST@"
DIGEST_LENGTH = 12

# A secret that someone chose could be guessed from its hash.
_HASH = re.compile(r'("password_hash": ")[^"]+')

_PLAIN = re.compile(r"[A-Za-z0-9_@:,./=+%$-]+")


def digest(*parts: str) -> str:
    """Return a digest of texts that differs when any of them does."""
    sums = hashlib.sha256()
    for part in parts:
        data = part.encode()
        sums.update(b"%d:" % len(data))
        sums.update(data)
    return sums.hexdigest()


def seal(unit: str) -> tuple[str, str]:
    """Return a unit with the digest of its own text filled in, and that digest."""
    value = digest(unit)[:DIGEST_LENGTH]
    return unit.replace(DIGEST_PLACEHOLDER, value), value


def systemd_value(value: Any) -> str:
    """Return a value for a unit file in which systemd expands nothing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if "\n" in text or "\x00" in text:
        raise ValueError(f"A value in a unit is one line; this one is not: {text!r}")
    return text.replace("%", "%%").replace("$", "$$")


def systemd_word(value: Any) -> str:
    """Return a value as one word of a unit file, quoted if need be."""
    word = systemd_value(value)
    if _PLAIN.fullmatch(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def forms_of(secrets: Iterable[str]) -> list[str]:
    """Return the secrets and what they look like inside URLs, JSON and base64, longest first."""
    forms: set[str] = set()
    for secret in secrets:
        if not secret:
            continue
        forms |= {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
        forms |= {base64.b64encode(secret.encode()).decode(), secret.replace("$", "$$"), secret.replace("%", "%%")}
    return sorted(forms, key=lambda form: (-len(form), form))


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return the text without the secrets and their hashes."""
    for form in forms_of(secrets):
        text = text.replace(form, MASK)
    return _HASH.sub(rf"\g<1>{MASK}", text)


def mask_former(before: str, after: str, secrets: Iterable[str]) -> str:
    """Return a former text without the secrets, those included that have been replaced since.

    A secret that changed is known only by its place: a line that starts like one which holds a secret now.
    """
    secrets = list(secrets)
    starts = set()
    for line in after.splitlines():
        start = mask(line, secrets).split(MASK)[0]
        if start != line and start.strip():
            starts.add(start)
    lines = []
    for line in mask(before, secrets).splitlines(keepends=True):
        place = next((start for start in starts if line.startswith(start) and MASK not in line), None)
        lines.append(line if place is None else place + MASK + ("\n" if line.endswith("\n") else ""))
    return "".join(lines)
