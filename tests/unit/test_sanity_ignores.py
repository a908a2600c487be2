# SPDX-License-Identifier: Apache-2.0
"""The exceptions of ansible-test, in each supported version: licences of modules, programs that name their Python."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LICENCE = "validate-modules:missing-gplv3-license # the collection's licence is Apache-2.0"
# The test knows `#!/usr/bin/env python` alone, which takes whatever is first on a caller's path.
SHEBANG = "shebang # images run it with one certain Python"
OWN_PYTHON = (b"#!/usr/bin/python3 ", b"#!/opt/openstack/bin/python ")


def expected() -> list[str]:
    modules = (ROOT / "plugins/modules").glob("[!_]*.py")
    programs = [path for path in (ROOT / "containerfiles").rglob("*") if path.is_file()]
    lines = [f"{path.relative_to(ROOT)} {LICENCE}" for path in modules]
    lines += [f"{path.relative_to(ROOT)} {SHEBANG}" for path in programs if path.read_bytes().startswith(OWN_PYTHON)]
    return sorted(lines)


@pytest.mark.parametrize("version", ["2.17", "2.18", "2.19", "2.20"])
def test_nothing_else_is_excepted(version: str) -> None:
    assert (ROOT / f"tests/sanity/ignore-{version}.txt").read_text().splitlines() == expected()
