# SPDX-License-Identifier: Apache-2.0
"""What is checked, in which order, and how long each step may take."""

from __future__ import annotations

import os
from pathlib import Path

from checkout import ROOT, collections_tree, scripts, tracked
from runner import Check, Stage

# The lab of the tests, beside a lab that the user may have: they share the images of the machine, nothing else.
LAB_NAME = os.environ.get("HOTSTACK_TEST_LAB_NAME", "hotstack-test")

# What takes too long for every day.
FULL_ONLY = ("faults",)


def lint(environment: dict[str, str]) -> Stage:
    """Return everything that reads the sources without running them."""
    python = [str(path) for path in (*tracked("*.py"), *scripts("python3"))]
    shell = [str(path) for path in (*tracked("*.sh"), *scripts("bash"), *scripts("sh"))]
    return Stage(
        "lint",
        [
            Check("ruff", ["ruff", "check", "--no-cache", *python], 120, environment),
            Check("yamllint", ["yamllint", "--strict", "."], 120, environment),
            Check("shellcheck", ["shellcheck", "--external-sources", *shell], 120, environment),
            Check("types", ["tools/typecheck"], 600, environment),
            Check("ansible-lint", ["ansible-lint", "--offline", "--nocolor"], 600, environment),
            Check("changelog", ["antsibull-changelog", "lint"], 120, environment),
        ],
    )


def unit(environment: dict[str, str], cache: Path) -> Stage:
    """Return the tests of pure functions and contracts, with the coverage that pyproject.toml demands."""
    command = ["pytest", "tests/unit", "--cov=plugins", "--cov-report=term-missing:skip-covered"]
    return Stage(
        "unit", [Check("unit", command, 900, {**environment, "COVERAGE_FILE": str(cache / "coverage")}, junit=True)]
    )


def molecule(scenario: str, environment: dict[str, str], limit: int) -> Check:
    """Return one scenario as a check."""
    return Check(f"molecule-{scenario}", ["molecule", "test", "--scenario-name", scenario], limit, environment)


def stages(path: str, cache: Path) -> list[Stage]:
    """Return all stages. Those in the lane `lab` wait for packages and services most of their time, hence two lanes."""
    tree = str(collections_tree(ROOT))
    base = {"PATH": path, "ANSIBLE_COLLECTIONS_PATH": tree, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    lab = {**base, "HOTSTACK_LAB_NAME": LAB_NAME}
    faults = ["tools/faults", "--limit=6300", f"--json={cache / 'logs/faults.json'}"]
    end_to_end = ["pytest", "tests/e2e", "-vv", "--durations=15"]
    return [
        lint(base),
        unit(base, cache),
        Stage("galaxy", [Check("galaxy", ["tools/check-artifact"], 300, base)]),
        Stage("sanity", [Check("sanity", ["tools/sanity"], 1200, base)]),
        Stage(
            "lab",
            [Check("lab-fresh", ["tools/lab", "down"], 300, lab), Check("lab-up", ["tools/lab", "up"], 1800, lab)],
            lane="lab",
        ),
        Stage("molecule-units", [molecule("units", lab, 900)], lane="lab", needs=["lab"]),
        Stage("molecule-engine", [molecule("engine", lab, 1200)], lane="lab", needs=["lab"]),
        Stage("e2e", [Check("e2e", end_to_end, 4500, lab, junit=True)], lane="lab", needs=["lab"]),
        Stage(
            "faults",
            [Check("faults", faults, 7200, lab, junit=True)],
            lane="lab",
            needs=["lab"],
            after=["e2e"],
        ),
        Stage("molecule-default", [molecule("default", lab, 1800)], lane="lab", needs=["lab"], after=["e2e"]),
        Stage(
            "molecule-identity",
            [molecule("identity", lab, 1800)],
            lane="lab",
            needs=["lab"],
            after=["molecule-default"],
        ),
        Stage("lab-down", [Check("lab-down", ["tools/lab", "down"], 300, lab)], lane="lab", always=True),
    ]
