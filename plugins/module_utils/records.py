# SPDX-License-Identifier: Apache-2.0
"""The record of what the host had before a deployment changed it: a JSON file with a section for each kind of thing.

A section maps names to the former values, null for what was not there. What it says first stays true: later runs only
add.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstack.os.plugins.module_utils.files import make_folders, read_text, write_text

Section = dict[str, Any]

HINT = "Restore it from a backup, or remove it to forget what it says."


class RecordError(Exception):
    """The record can't be used; the text says why."""


def parse(path: str, text: str) -> dict[str, Section]:
    """Return the sections of a record."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise RecordError(f"{path} is not valid JSON. {HINT}") from error
    if not isinstance(found, dict) or not all(isinstance(section, dict) for section in found.values()):
        raise RecordError(f"{path} must hold a dictionary of sections. {HINT}")
    return found


def read(path: str) -> dict[str, Section]:
    """Return all sections; none if nothing was recorded yet."""
    text, _mode = read_text(path)
    return {} if text is None else parse(path, text)


def extended(section: Mapping[str, Any], former: Mapping[str, Any]) -> Section:
    """Return the section with what it does not have yet."""
    return {**former, **section}


def write_section(path: str, name: str, section: Mapping[str, Any]) -> None:
    """Replace one section, and leave the others."""
    write_sections(path, {name: section})


def write_sections(path: str, changed: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace these sections at once, and leave the others; an empty one disappears. Only root can read the file."""
    sections = {**read(path), **{name: dict(section) for name, section in changed.items()}}
    sections = {name: section for name, section in sections.items() if section}
    make_folders(os.path.dirname(path))
    write_text(path, json.dumps(sections, indent=2, sort_keys=True) + "\n", 0o600)
