# SPDX-License-Identifier: Apache-2.0
"""The commands that the documents show with what they print: fenced blocks with the info string `console test`.

A line that begins with "# " is a command of root, and goes on in the next line after a backslash. The lines up to the
next command are what it prints; without any it prints nothing. `…` stands for anything in a line, or alone for any
lines. White space and empty lines do not count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = re.compile(r"^```console test\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Command:
    """A command, where it stands, and the lines shown below it."""

    where: str
    text: str
    shown: list[str] = field(default_factory=list)

    def prints(self, output: str) -> bool:
        """Return whether the output is what is shown."""
        pattern = "".join(r"(?:.*\n)*" if line == "…" else _line(line) for line in map(_squeezed, self.shown) if line)
        lines = [line for line in map(_squeezed, output.splitlines()) if line]
        return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def _squeezed(line: str) -> str:
    return " ".join(line.split())


def _line(line: str) -> str:
    return ".*".join(map(re.escape, line.split("…"))) + r"\n"


def commands(path: Path) -> list[Command]:
    """Return the commands of a document in their order."""
    found: list[Command] = []
    text = path.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1)) + 1
        going_on = False
        for number, line in enumerate(block[1].splitlines(), first):
            if going_on:
                found[-1].text += "\n" + line
            elif line.startswith("# "):
                found.append(Command(f"{path.name}:{number}", line[2:]))
            else:
                found[-1].shown.append(line)
                continue
            going_on = line.endswith("\\")
    return found
