# SPDX-License-Identifier: Apache-2.0
"""What is checked, in which order, and how long each step may take."""

from __future__ import annotations

import os
from pathlib import Path

from checkout import ROOT, collections_tree, scripts, tracked
from runner import Check, Stage

# The lab of the tests, beside a lab that the user may have: they share the images of the machine, nothing else.
LAB_NAME = os.environ.get("HOTSTACK_TEST_LAB_NAME", "hotstack-test")

# The machine lab of the tests.
MACHINE_NAME = f"{LAB_NAME}-machine"

# What takes too long for every day; of the end-to-end tests it is those with the mark `full`.
FULL_ONLY = ("molecule-units", "molecule-default", "molecule-identity", "faults")
# What takes longer than all of that, so it is run only when it is named.
NAMED_ONLY = ("machine-full",)
# What tidies up after a stage.
TIDIES = {"lab": "lab-down", "machine": "machine-down", "machine-full": "machine-down"}


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
    command = ["pytest", "tests/unit", "--durations=15", "--cov=plugins", "--cov-report=term-missing:skip-covered"]
    return Stage(
        "unit", [Check("unit", command, 900, {**environment, "COVERAGE_FILE": str(cache / "coverage")}, junit=True)]
    )


def molecule(scenario: str, environment: dict[str, str], limit: int) -> Check:
    """Return one scenario as a check."""
    return Check(f"molecule-{scenario}", ["molecule", "test", "--scenario-name", scenario], limit, environment)


def end_to_end(environment: dict[str, str], full: bool) -> Check:
    """Return the tests of a whole deployment; its log ends with the seconds of each test that takes more than one."""
    command = ["pytest", "tests/e2e", "-vv", "--durations=0", "--durations-min=1"]
    if full:
        return Check("e2e", command, 4500, environment, junit=True)
    return Check("e2e", [*command, "-m", "not full"], 3000, environment, junit=True)


def stages(path: str, cache: Path, full: bool = False) -> list[Stage]:
    """Return all stages. Those in the lane `lab` wait for packages and services most of their time, hence two lanes."""
    tree = str(collections_tree(ROOT))
    base = {"PATH": path, "ANSIBLE_COLLECTIONS_PATH": tree, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    lab, machine = ({**base, "HOTSTACK_LAB_NAME": name} for name in (LAB_NAME, MACHINE_NAME))
    faults = ["tools/faults", "--limit=6300", f"--json={cache / 'logs/faults.json'}"]
    on_machine = ["pytest", "tests/machine", "-vv", "--durations=0", "--durations-min=1"]
    fresh = Check("machine-fresh", ["tools/lab", "down"], 300, machine)
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
        Stage("e2e", [end_to_end(lab, full)], lane="lab", needs=["lab"]),
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
        # The machine takes both cores and much memory: it comes when the lab host is gone. Images of the lab stay.
        Stage(
            "machine", [fresh, Check("machine", [*on_machine, "-m", "not full"], 1500, machine, junit=True)], lane="lab"
        ),
        Stage("machine-full", [fresh, Check("machine-full", on_machine, 9000, machine, junit=True)], lane="lab"),
        Stage("machine-down", [Check("machine-down", ["tools/lab", "down"], 300, machine)], lane="lab", always=True),
    ]
