# SPDX-License-Identifier: Apache-2.0
"""Texts for strangers: without any secret that is known, and without what looks like one.

Only the standard library: the command on the host runs this file as well, without Ansible.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping

from .container_text import forms_of

# Of shorter texts base64 has no part that would be theirs alone.
LEAST_BASE64 = 6
SHORTEST = 4

WORDS = (
    r"passw(?:or)?d|passwd|passphrase|secret|token|private_key|auth_key|encryption_key|api_key|hash_key|password_hash"
)
# The end of a key such as `admin_password` and its value, as configuration files, JSON, XML and YAML write them.
PAIR = re.compile(
    rf"(?P<key>(?:{WORDS})[\w.-]*[\"']?\s*(?:=>|[:=])\s*)"
    r"(?P<value>\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s\"',;<>]+)",
    re.IGNORECASE,
)
# Such values are no secrets: numbers, truth values, paths, names of fields, and what is masked already.
PLAIN = re.compile(r"\d{1,9}|true|false|none|null|yes|no|/.*|\*{3}.*|[\[({].*|[])}].*", re.IGNORECASE)
# oslo's URLs of RabbitMQ may name several servers, with commas between.
IN_URL = re.compile(r"(?P<before>(?:[a-z][a-z0-9+.-]*://|,)[^\s/:@,]*:)(?P<value>[^\s/@,]+)(?=@)")
FERNET = re.compile(r"gAAAAA[\w-]{20,}={0,2}")
HEADER = re.compile(r"(?P<key>X-(?:Auth|Subject|Service)-Token[\"']?\s*:\s*[\"']?)(?P<value>[^\s\"',]+)", re.IGNORECASE)
KEY_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
CLOUD_VALUE = re.compile(
    rf"^\s*[\"']?(?P<key>\w*(?:{WORDS})\w*)[\"']?\s*:\s*[\"']?(?P<value>[^\"'\n]+?)[\"']?\s*$", re.MULTILINE
)


def base64_parts(secret: str) -> Iterator[str]:
    """Yield what a secret looks like inside base64, at each place where it may begin: `user:secret` is such a text."""
    data = secret.encode()
    if len(data) < LEAST_BASE64:
        return
    for offset, start in ((0, 0), (1, 2), (2, 3)):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # Only the characters that depend on nothing before or after it.
            yield encode(b"\0" * offset + data).decode()[start : (offset + len(data)) * 8 // 6]


def forms(secret: str) -> list[str]:
    """Return all that a secret may look like, the longest first."""
    if len(secret) < SHORTEST:
        return []
    found = {form for form in forms_of([secret]) if len(form) >= SHORTEST} | set(base64_parts(secret))
    return sorted(found, key=lambda form: (-len(form), form))


def secrets_in_clouds(text: str, name: str) -> dict[str, str]:
    """Return the secrets in a clouds.yaml of this name."""
    found: dict[str, str] = {}
    for match in CLOUD_VALUE.finditer(text):
        found[f"{match['key']} {len(found) + 1} of {name}"] = match["value"]
    return found


class Masker:
    """Takes secrets out of texts, and leaves their names."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        pairs = [(form, name) for name, secret in secrets.items() for form in forms(secret)]
        # A secret may be a part of another one.
        self._pairs = sorted(dict(pairs).items(), key=lambda pair: -len(pair[0]))

    def __call__(self, text: str) -> str:
        """Return a text that a stranger may read."""
        for form, name in self._pairs:
            text = text.replace(form, f"***{name}***")
        text = KEY_BLOCK.sub("***private key***", text)
        text = FERNET.sub("***token***", text)
        text = HEADER.sub(r"\g<key>***token***", text)
        text = IN_URL.sub(lambda found: found["before"] + keep(found["value"], "password"), text)
        return PAIR.sub(lambda found: found["key"] + keep(found["value"], "secret"), text)

    def leaks(self, text: str) -> list[str]:
        """Return the names of the secrets that are in a text."""
        return sorted({name for form, name in self._pairs if form in text})


def keep(value: str, word: str) -> str:
    """Return a value that is plain or masked already, a mask for any other; quotes around it stay."""
    quote = value[0] if value[0] in "\"'" else ""
    bare = value.strip(quote) if quote else value
    return value if not bare or PLAIN.fullmatch(bare) else f"{quote}***{word}***{quote}"
