# SPDX-License-Identifier: Apache-2.0
"""Our clouds in a clouds.yaml that may hold others.

The file is edited as text, so that foreign entries keep their comments and a host needs no YAML library. What is
ours lies between two marks, inside the mapping `clouds`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

BEGIN = "# BEGIN hotstack.os"
END = "# END hotstack.os"


def marks_of(part: str) -> tuple[str, str]:
    """Return the marks around the clouds of one part of ours."""
    return (f"{BEGIN} {part}".rstrip(), f"{END} {part}".rstrip())


_CLOUDS = re.compile(r"clouds\s*:\s*(#.*)?")
_EMPTY_CLOUDS = re.compile(r"clouds\s*:\s*(\{\s*\}|null|~)\s*(#.*)?")
# Clouds in another form, which would count no more beside a second mapping of them.
_OTHER = re.compile(r"clouds\s*:|[\"']clouds[\"']|[{?\ufeff]|\.\.\.")


class CloudsError(Exception):
    """A file that can't be edited safely, and what to do."""


def cloud_lines(value: Mapping[str, Any], indent: str) -> list[str]:
    """Return a mapping of mappings and texts as lines of YAML."""
    lines = []
    for name, item in value.items():
        if isinstance(item, Mapping):
            lines += [f"{indent}{name}:", *cloud_lines(item, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {json.dumps(str(item))}")
    return lines


def merge(text: str, clouds: Mapping[str, Mapping[str, Any]], part: str = "") -> str:
    """Return the text with exactly these clouds as that part of ours, which stays where it is."""
    begin, end = marks_of(part)
    lines, former = _without(text.splitlines(), begin, end)
    first = _position(lines)
    where = first if former is None else former
    indent = _indentation(lines[first:])
    foreign = [
        name for name in clouds if re.search(rf"^{indent}([\"']?){re.escape(name)}\1\s*:", "\n".join(lines), re.M)
    ]
    if foreign:
        raise CloudsError(f"it has a cloud '{foreign[0]}' of somebody else; rename or remove that one.")
    ours = [f"{indent}{begin}", *cloud_lines(clouds, indent), f"{indent}{end}"]
    return "\n".join([*lines[:where], *ours, *lines[where:]]) + "\n"


def _without(lines: list[str], begin: str, end: str) -> tuple[list[str], int | None]:
    """Return the lines without what is between the marks, and where that was."""
    marks = [line.strip() for line in lines if line.strip() in (begin, end)]
    if marks not in ([], [begin, end]):
        raise CloudsError(f"its marks '{begin}' and '{end}' are not one pair; remove them and what is between.")
    if not marks:
        return lines, None
    first, last = (next(n for n, line in enumerate(lines) if line.strip() == mark) for mark in (begin, end))
    return [*lines[:first], *lines[last + 1 :]], first


def _position(lines: list[str]) -> int:
    """Return where the first cloud is; the key `clouds` is added or opened if need be."""
    for number, line in enumerate(lines):
        if _EMPTY_CLOUDS.fullmatch(line.rstrip()):
            lines[number] = "clouds:"
            return number + 1
        if _CLOUDS.fullmatch(line.rstrip()):
            return number + 1
        if _OTHER.match(line):
            raise CloudsError("it is not written with one cloud below the other; add the cloud there by hand.")
    if not lines:
        lines.append("---")
    lines.append("clouds:")
    return len(lines)


def _indentation(lines: list[str]) -> str:
    """Return how far the clouds that are there are indented."""
    for line in lines:
        bare = line.lstrip(" ")
        if bare and not bare.startswith("#"):
            return line[: len(line) - len(bare)] or "  "
    return "  "
