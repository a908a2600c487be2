# SPDX-License-Identifier: Apache-2.0
"""What is checked, in which order, and how long each step may take."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from checkout import ROOT, collections_tree, scripts, tracked
from runner import Check, Stage

# The lab of the tests, beside a lab that the user may have: they share the images of the machine, nothing else.
LAB_NAME = os.environ.get("HOTSTACK_TEST_LAB_NAME", "hotstack-test")

# Playbooks are killed in a lab of their own, beside the other faults: both wait most of their time.
PLAYBOOKS_LAB_NAME = f"{LAB_NAME}-playbooks"
PLAYBOOK_GROUPS = ("first", "site")

# What takes too long for every day.
FULL_ONLY = ("faults", "playbooks-lab", "faults-playbooks")


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


def fresh_lab(name: str, environment: dict[str, str]) -> list[Check]:
    """Return what makes a new lab of that name, whatever is left of an earlier one."""
    return [
        Check(f"{name}-fresh", ["tools/lab", "down"], 300, environment),
        Check(f"{name}-up", ["tools/lab", "up"], 1800, environment),
    ]


def lab_down(name: str, environment: dict[str, str], lane: str) -> Stage:
    """Return what removes a lab at the end of its lane, whatever happened in it."""
    return Stage(
        f"{name}-down",
        [Check(f"{name}-down", ["tools/lab", "down"], 300, environment)],
        lane=lane,
        always=True,
    )


def faults(name: str, options: Sequence[str], limit: int, environment: dict[str, str], cache: Path) -> Check:
    """Return a run of the faults; none begins in the last quarter of its limit."""
    command = ["tools/faults", f"--limit={limit * 3 // 4}", f"--json={cache / 'logs' / name}.json", *options]
    return Check(name, command, limit, environment, junit=True)


def stages(path: str, cache: Path) -> list[Stage]:
    """Return all stages. A lab waits for packages and services most of its time, hence a lane for each."""
    tree = str(collections_tree(ROOT))
    base = {"PATH": path, "ANSIBLE_COLLECTIONS_PATH": tree, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    lab = {**base, "HOTSTACK_LAB_NAME": LAB_NAME}
    second = {**base, "HOTSTACK_LAB_NAME": PLAYBOOKS_LAB_NAME}
    skip, only = ([f"--{word}={group}" for group in PLAYBOOK_GROUPS] for word in ("skip", "only"))
    end_to_end = ["pytest", "tests/e2e", "-vv", "--durations=15"]
    return [
        lint(base),
        unit(base, cache),
        Stage("galaxy", [Check("galaxy", ["tools/check-artifact"], 300, base)]),
        Stage("sanity", [Check("sanity", ["tools/sanity"], 1200, base)]),
        Stage("lab", fresh_lab("lab", lab), lane="lab"),
        Stage("molecule-units", [molecule("units", lab, 900)], lane="lab", needs=["lab"]),
        Stage("molecule-engine", [molecule("engine", lab, 1200)], lane="lab", needs=["lab"]),
        Stage("e2e", [Check("e2e", end_to_end, 4500, lab, junit=True)], lane="lab", needs=["lab"]),
        Stage("faults", [faults("faults", skip, 5400, lab, cache)], lane="lab", needs=["lab"], after=["e2e"]),
        Stage("molecule-default", [molecule("default", lab, 1800)], lane="lab", needs=["lab"], after=["e2e"]),
        Stage(
            "molecule-identity",
            [molecule("identity", lab, 1800)],
            lane="lab",
            needs=["lab"],
            after=["molecule-default"],
        ),
        lab_down("lab", lab, "lab"),
        Stage("playbooks-lab", fresh_lab("playbooks-lab", second), lane="playbooks", after=["e2e"]),
        Stage(
            "faults-playbooks",
            [faults("faults-playbooks", only, 7200, second, cache)],
            lane="playbooks",
            needs=["playbooks-lab"],
        ),
        lab_down("playbooks-lab", second, "playbooks"),
    ]
