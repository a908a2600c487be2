# SPDX-License-Identifier: Apache-2.0
"""The exceptions of ansible-test: one rule, for each module, in each supported version."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REASON = "# the collection's licence is Apache-2.0"


@pytest.mark.parametrize("version", ["2.17", "2.18", "2.19", "2.20"])
def test_only_the_licence_header(version: str) -> None:
    modules = sorted(path.relative_to(ROOT) for path in (ROOT / "plugins/modules").glob("[!_]*.py"))
    expected = [f"{module} validate-modules:missing-gplv3-license {REASON}" for module in modules]
    assert (ROOT / f"tests/sanity/ignore-{version}.txt").read_text().splitlines() == expected
