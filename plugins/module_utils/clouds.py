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

_CLOUDS = re.compile(r"clouds:\s*(#.*)?")
_EMPTY_CLOUDS = re.compile(r"clouds:\s*(\{\s*\}|null|~)\s*(#.*)?")


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


def merge(text: str, clouds: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text with exactly these clouds as ours."""
    lines = _without_ours(text.splitlines())
    where = _position(lines)
    indent = _indentation(lines[where:])
    foreign = [
        name for name in clouds if re.search(rf"^{indent}([\"']?){re.escape(name)}\1\s*:", "\n".join(lines), re.M)
    ]
    if foreign:
        raise CloudsError(f"it has a cloud '{foreign[0]}' of somebody else; rename or remove that one.")
    ours = [f"{indent}{BEGIN}", *cloud_lines(clouds, indent), f"{indent}{END}"]
    return "\n".join([*lines[:where], *ours, *lines[where:]]) + "\n"


def _without_ours(lines: list[str]) -> list[str]:
    marks = [line.strip() for line in lines if line.strip() in (BEGIN, END)]
    if marks not in ([], [BEGIN, END]):
        raise CloudsError(f"its marks '{BEGIN}' and '{END}' are not one pair; remove them and what is between.")
    kept, inside = [], False
    for line in lines:
        inside = inside or line.strip() == BEGIN
        if not inside:
            kept.append(line)
        inside = inside and line.strip() != END
    return kept


def _position(lines: list[str]) -> int:
    """Return where the first cloud is; the key `clouds` is added or opened if need be."""
    for number, line in enumerate(lines):
        if _EMPTY_CLOUDS.fullmatch(line.rstrip()):
            lines[number] = "clouds:"
            return number + 1
        if _CLOUDS.fullmatch(line.rstrip()):
            return number + 1
        if line.startswith(("clouds:", "{", '"clouds"', "'clouds'", "...")):
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
