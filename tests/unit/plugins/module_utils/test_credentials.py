# SPDX-License-Identifier: Apache-2.0
"""Which secrets are kept, taken over and made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import credentials

NAMES = ["admin", "key"]


@pytest.mark.parametrize(
    ("existing", "given", "expected"),
    [
        pytest.param({}, {}, {"admin": "made-40", "key": "made-4"}, id="all are made"),
        pytest.param({"admin": "old"}, {}, {"admin": "old", "key": "made-4"}, id="an existing one stays"),
        pytest.param({"admin": "old"}, {"admin": "mine"}, {"admin": "mine", "key": "made-4"}, id="a given one wins"),
        pytest.param({"other": "x"}, {}, {"other": "x", "admin": "made-40", "key": "made-4"}, id="others are kept"),
        pytest.param({}, {"key": "abcd"}, {"admin": "made-40", "key": "abcd"}, id="given with the right length"),
    ],
)
def test_complete(existing: dict[str, str], given: dict[str, str], expected: dict[str, str]) -> None:
    assert credentials.complete(existing, NAMES, given, {"key": 4}, make=lambda n: f"made-{n}") == expected


@pytest.mark.parametrize(
    ("given", "lengths", "message"),
    [
        pytest.param({"admn": "x"}, {}, "no credential called admn; the names are admin, key", id="unknown name"),
        pytest.param({}, {"kye": 3}, "no credential called kye", id="unknown name of a length"),
        pytest.param({"admin": ""}, {}, "admin must be a text that is not empty", id="empty"),
        pytest.param({"admin": 5}, {}, "admin must be a text", id="a number"),
        pytest.param({"admin": "a\nb"}, {}, "can't be printed", id="a line break"),
        pytest.param({"key": "abc"}, {"key": 4}, "key must have 4 characters; the given one has 3", id="length"),
    ],
)
def test_complete_refuses(given: dict[str, str], lengths: dict[str, int], message: str) -> None:
    with pytest.raises(credentials.CredentialsError, match=message):
        credentials.complete({}, NAMES, given, lengths)


def made(length: int) -> str:
    return f"made-{length}"


def test_renewed_ones_are_made_again() -> None:
    existing = {"admin": "old", "key": "abcd", "other": "x"}
    after = credentials.complete(existing, NAMES, {}, {"key": 4}, renew=["key"], make=made)
    assert after == {"admin": "old", "key": "made-4", "other": "x"}


@pytest.mark.parametrize(
    ("existing", "given"),
    [
        pytest.param({}, {"key": "abcd"}, id="there is none yet"),
        pytest.param({"key": "abcd"}, {"key": "abcd"}, id="the same is given"),
        pytest.param({"key": "abcd"}, {}, id="none is given"),
    ],
)
def test_fixed_ones_stay(existing: dict[str, str], given: dict[str, str]) -> None:
    assert credentials.complete(existing, NAMES, given, {}, fixed=["key"], make=made)["key"] == "abcd"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"given": {"key": "xyz"}, "fixed": ["key"]}, "key can't change any more", id="fixed and given"),
        pytest.param({"renew": ["key"], "fixed": ["key"]}, "key can't change any more", id="fixed and renewed"),
        pytest.param({"given": {"admin": "xyz"}, "renew": ["admin"]}, "admin is given, so", id="given and renewed"),
        pytest.param({"renew": ["admn"]}, "no credential called admn", id="unknown name to renew"),
        pytest.param({"fixed": ["kye"]}, "no credential called kye", id="unknown name that is fixed"),
    ],
)
def test_changes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(credentials.CredentialsError, match=message):
        credentials.complete({"admin": "old", "key": "abcd"}, NAMES, **{"given": {}, "lengths": {}, **options})


def test_foreseen() -> None:
    existing = {"admin": "old", "key": "abcd", "kept": "k"}
    names = ["admin", "key", "kept", "new"]
    assert credentials.foreseen(existing, names, {"admin": "mine"}, ["key"]) == {
        "admin": "mine",
        "key": "<key>",
        "kept": "k",
        "new": "<new>",
    }


def test_generated_secrets_differ_and_need_no_quoting() -> None:
    made = {credentials.generate(32) for _index in range(50)}
    assert len(made) == 50
    assert all(len(secret) == 32 and secret.isalnum() and secret.isascii() for secret in made)


def test_changes() -> None:
    assert credentials.changes({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == {
        "added": ["c"],
        "replaced": ["b"],
    }


@pytest.mark.parametrize("text", [b"", b"[1]", b'{"a": 1}', b"no json", b'{"a": "\xff"}', b"\0\0\0\0"])
def test_a_broken_file_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(text)
    with pytest.raises(credentials.CredentialsError, match="Restore it from a backup"):
        credentials.read(str(path))


def test_read_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("{}")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(credentials.CredentialsError, match="can't be read"):
        credentials.read(str(tmp_path / "link"))


def test_write_leaves_no_temporary_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(credentials.CredentialsError, match="can't be written"):
        credentials.write(str(tmp_path / "folder"), {"a": "b"})
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(credentials.CredentialsError, match="can't be written"):
        credentials.write(str(tmp_path / "absent" / "file"), {"a": "b"})
