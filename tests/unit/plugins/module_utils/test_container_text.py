# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import container_text as text


@pytest.mark.parametrize(
    ("value", "word"),
    [
        pytest.param("plain-1.2/x", "plain-1.2/x", id="plain"),
        pytest.param("two words", '"two words"', id="space"),
        pytest.param("", '""', id="empty"),
        pytest.param(8, "8", id="number"),
        pytest.param(True, "true", id="boolean"),
        pytest.param("100%", "100%%", id="percent"),
        pytest.param("$HOME", "$$HOME", id="dollar"),
        pytest.param('say "hi"', '"say \\"hi\\""', id="quotes"),
        pytest.param("a\\b", '"a\\\\b"', id="backslash"),
        pytest.param("it's", '"it\'s"', id="apostrophe"),
    ],
)
def test_systemd_word(value: object, word: str) -> None:
    assert text.systemd_word(value) == word


@pytest.mark.parametrize("value", ["a\nb", "a\x00"])
def test_values_of_several_lines_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        text.systemd_value(value)


def test_seal_fills_in_the_digest_of_the_unit() -> None:
    sealed, digest = text.seal(f"Label=x={text.DIGEST_PLACEHOLDER}\nImage=a\n")
    assert sealed == f"Label=x={digest}\nImage=a\n"
    assert digest != text.seal(f"Label=x={text.DIGEST_PLACEHOLDER}\nImage=b\n")[1]
    assert len(digest) == text.DIGEST_LENGTH


def test_digest_keeps_its_parts_apart() -> None:
    assert text.digest("ab", "c") != text.digest("a", "bc")


@pytest.mark.parametrize(
    ("line", "secret", "masked"),
    [
        pytest.param("password = s3cret", "s3cret", "password = ********", id="plain"),
        pytest.param("db://u:a%2Fb%40c@h", "a/b@c", "db://u:********@h", id="in a URL"),
        pytest.param("key a%20b", "a b", "key ********", id="space in a URL"),
        pytest.param("Basic czNjcmV0", "s3cret", "Basic ********", id="base64"),
        pytest.param('{"p": "a\\"b"}', 'a"b', '{"p": "********"}', id="JSON"),
        pytest.param("password = a$$b", "a$b", "password = ********", id="oslo.config"),
        pytest.param("nothing here", "s3cret", "nothing here", id="absent"),
        pytest.param("nothing here", "", "nothing here", id="an empty secret hides nothing"),
    ],
)
def test_mask(line: str, secret: str, masked: str) -> None:
    assert text.mask(line, [secret]) == masked


def test_a_secret_that_contains_another_is_masked_whole() -> None:
    assert text.mask("x = abcdef", ["abc", "abcdef"]) == "x = ********"


def test_a_hash_of_a_secret_is_masked() -> None:
    line = '  "password_hash": "x+/=", "tags": []\n'
    assert text.mask(line, []) == '  "password_hash": "********", "tags": []\n'
    assert text.mask_former(line, line.replace("x", "y"), []) == text.mask(line, [])


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        pytest.param("password = old\n", "password = new\n", "password = ********\n", id="a changed secret"),
        pytest.param("a = 1\npassword = old", "password = new\n", "a = 1\npassword = ********", id="last line"),
        pytest.param("a = 1\n", "a = 2\n", "a = 1\n", id="no secret"),
        pytest.param("password = new\n", "password = new\n", "password = ********\n", id="the same secret"),
        pytest.param("a = 1\n", "new\n", "a = 1\n", id="a line that is only the secret tells nothing"),
    ],
)
def test_mask_former(before: str, after: str, shown: str) -> None:
    assert text.mask_former(before, after, ["new"]) == shown
