# SPDX-License-Identifier: Apache-2.0
"""The secrets of a deployment: which to keep, which to take over, which to make up."""

from __future__ import annotations

import json
import os
import secrets
import stat
import string
from collections.abc import Callable, Iterable, Mapping

from ansible_collections.hotstack.os.plugins.module_utils.files import write_text

# Letters and digits only: such a secret needs no quoting in a URL, in SQL or in any configuration file.
ALPHABET = string.ascii_letters + string.digits
LENGTH = 40


class CredentialsError(Exception):
    """What is there or asked for can't be used; the text says why."""


def generate(length: int) -> str:
    """Return a new secret."""
    return "".join(secrets.choice(ALPHABET) for _index in range(length))


def complete(
    existing: Mapping[str, str],
    names: Iterable[str],
    given: Mapping[str, str],
    lengths: Mapping[str, int],
    *,
    renew: Iterable[str] = (),
    fixed: Iterable[str] = (),
    make: Callable[[int], str] = generate,
) -> dict[str, str]:
    """Return all secrets: given ones win over existing ones, and those that nobody has or that are renewed are made."""
    names, renew, fixed = list(names), set(renew), set(fixed)
    unknown = sorted((set(given) | set(lengths) | renew | fixed) - set(names))
    if unknown:
        raise CredentialsError(f"There is no credential called {unknown[0]}; the names are {', '.join(names)}.")
    both = sorted(renew & set(given))
    if both:
        raise CredentialsError(f"The credential {both[0]} is given, so it can't be renewed: give another one instead.")
    result = dict(existing)
    for name in names:
        if name in given:
            result[name] = check(name, given[name], lengths.get(name))
        elif name not in existing or name in renew:
            result[name] = make(lengths.get(name, LENGTH))
        if name in fixed and result[name] != existing.get(name, result[name]):
            raise CredentialsError(
                f"The credential {name} can't change any more, because stored data is encrypted with it: keep the one"
                " that the file has."
            )
    return result


def foreseen(
    existing: Mapping[str, str], names: Iterable[str], given: Mapping[str, str], renew: Iterable[str]
) -> dict[str, str]:
    """Return what check mode takes for the secrets after a run: one that would be made is only a name."""
    renew = set(renew)
    kept = {name: secret for name, secret in existing.items() if name not in renew}
    return {**{name: f"<{name}>" for name in names}, **kept, **given}


def check(name: str, value: object, length: int | None) -> str:
    """Return the value of a given credential if it can be used."""
    if not isinstance(value, str) or not value:
        raise CredentialsError(f"The value given for the credential {name} must be a text that is not empty.")
    if not value.isprintable():
        raise CredentialsError(f"The value given for the credential {name} has characters that can't be printed.")
    if length is not None and len(value) != length:
        raise CredentialsError(f"The credential {name} must have {length} characters; the given one has {len(value)}.")
    return value


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names of the secrets that are new, and of those that get another value."""
    return {
        "added": [name for name in after if name not in before],
        "replaced": [name for name in after if name in before and before[name] != after[name]],
    }


def parse(path: str, text: str | bytes) -> dict[str, str]:
    """Return the secrets in the text of a credentials file."""
    hint = "Restore it from a backup, or remove it to get new secrets for a deployment without data."
    try:
        data = json.loads(text)
    except ValueError as error:
        raise CredentialsError(f"{path} is not valid JSON. {hint}") from error
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise CredentialsError(f"{path} does not hold one text per name. {hint}")
    return data


def read(path: str) -> tuple[dict[str, str], bool]:
    """Return the secrets in the file, and whether only its owner root can read them."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}, True
    except OSError as error:
        raise CredentialsError(f"{path} can't be read: {error.strerror}.") from error
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        ours = (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
        return parse(path, file.read()), ours and stat.S_IMODE(status.st_mode) == 0o600


def write(path: str, secrets_by_name: Mapping[str, str]) -> None:
    """Replace the file in one step, readable by its owner alone from the first byte on."""
    text = json.dumps(secrets_by_name, indent=2, sort_keys=True) + "\n"
    try:
        write_text(path, text, 0o600)
    except OSError as error:
        raise CredentialsError(f"{path} can't be written: {error.strerror}.") from error
