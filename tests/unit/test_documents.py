# SPDX-License-Identifier: Apache-2.0
"""The documents: their links lead somewhere, and their commands can be read."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from documents import Command, commands  # noqa: E402

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/README.md")]
LINK = re.compile(r"\[[^]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings as GitHub makes them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if re.match(r"https?://", link):
            continue
        name, _hash, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} of {page}"
        assert not anchor or anchor in anchors(target), f"{link} of {page}"


def test_every_document_is_linked_from_the_readme() -> None:
    linked = set(LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= linked


def test_the_tests_of_the_symptoms_exist() -> None:
    named = set(re.findall(r"`(test_\w+\.py)`", (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")))
    assert named
    assert named <= {path.name for path in (ROOT / "tests").rglob("test_*.py")}


def test_each_symptom_names_its_test() -> None:
    """Or says that there is none."""
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| symptom")]
    rows = {line: re.split(r"(?<!\\)\|", line)[1:-1] for line in lines}
    assert len(rows) > 30
    assert [line for line, cells in rows.items() if len(cells) != 5] == []
    named = re.compile(r"^ — $|`(?:test_\w+\.py|molecule/\w+|tools/faults)`")
    assert [line for line, cells in rows.items() if not named.search(cells[-1])] == []


def test_each_playbook_is_told_of() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \|(?: [^|\n]+ \|){3}$", page.partition("\n## The playbooks")[2], re.MULTILINE)
    assert sorted(told) == sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))


@pytest.mark.parametrize("name", ["libvirt-session.md", "networking.md", "storage.md"])
def test_debugging_commands_are_found(name: str) -> None:
    """The end-to-end test would be content with none."""
    assert len(commands(ROOT / "docs" / name)) > 3


def test_commands_of_a_block(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n\n```console test\n# one \\\n    more\nshown\n…\n# two\n```\n\n```console\n# three\n```\n")
    assert commands(page) == [
        Command("page.md:4", "one \\\n    more", ["shown", "…"]),
        Command("page.md:8", "two", []),
    ]


@pytest.mark.parametrize(
    ("shown", "output", "same"),
    [
        ([], "", True),
        ([], "\n", True),
        ([], "something\n", False),
        (["a  b"], " a b\n\n", True),
        (["a b"], "a b c\n", False),
        (["a … c"], "a 1 2 c\n", True),
        (["a (1.0)"], "a (1x0)\n", False),
        (["first", "…"], "first\n", True),
        (["first", "…", "last"], "first\n1\n2\nlast\n", True),
        (["first", "…", "last"], "first\nlast\nmore\n", False),
        (["…"], "", True),
    ],
)
def test_output_is_compared(shown: list[str], output: str, same: bool) -> None:
    assert Command("here", "true", shown).prints(output) is same
