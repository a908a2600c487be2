# SPDX-License-Identifier: Apache-2.0
"""What the programs of tools/ decide."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from checkout import collections_tree
from runner import Check, Stage
from stages import stages

ROOT = Path(__file__).resolve().parents[3]


def program(name: str) -> ModuleType:
    """Return a program as a module; programs have no ending."""
    loader = importlib.machinery.SourceFileLoader(f"program_{name.replace('-', '_')}", str(ROOT / "tools" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("plugins/modules/containers.py", ""),
        ("docs/lab.md", ""),
        ("tests/unit/test_x.py", "should not be"),
        ("plugins/modules/__pycache__/x.pyc", "should not be"),
        ("roles/infra/tests/test.yml", "should not be"),
        ("tools/lab", "should not be"),
        (".ci/run", "should not be"),
        ("docs/.hidden", "should not be"),
        ("containerfiles/openstack/build.log", "should not be"),
    ],
)
def test_contents_of_the_artifact(name: str, complaint: str) -> None:
    module = program("check-artifact")
    wrong = module.wrong_contents({*module.NEEDED, name})
    assert len(wrong) == bool(complaint)
    assert complaint in " ".join(wrong)


def test_missing_from_the_artifact() -> None:
    module = program("check-artifact")
    assert module.wrong_contents(module.NEEDED - {"LICENSE"}) == ["LICENSE is missing from the artifact"]


def test_latest_phase_counts() -> None:
    lines = [
        json.dumps({"lab": lab, "phase": "boot", "seconds": number}) for lab, number in (("a", 1), ("a", 2), ("b", 3))
    ]
    assert program("benchmark").latest(lines, lab="a") == {"boot": 2.0}


def test_shared_layers_count_once() -> None:
    images = [
        {"RepoTags": ["localhost/base:1"], "Size": 100, "RootFS": {"Layers": ["x"]}},
        {"RepoTags": ["localhost/infra:1"], "Size": 150, "RootFS": {"Layers": ["x", "y"]}},
        {"RepoTags": ["localhost/big:1"], "Size": 700, "RootFS": {"Layers": ["x", "z"]}},
        {"RepoTags": ["localhost/thin:1"], "Size": 701, "RootFS": {"Layers": ["x", "z", "t"]}},
    ]
    assert program("benchmark").own_sizes(images) == {"base:1": 100, "infra:1": 50, "big:1": 600, "thin:1": 1}


def test_stages_bring_what_they_need() -> None:
    def stage(name: str, needs: tuple[str, ...] = ()) -> Stage:
        return Stage(name, [Check(name, ["true"], 1)], needs=needs)

    every = [stage("lint"), stage("lab"), stage("e2e", ("lab",)), stage("lab-down")]
    chosen = program("test").chosen
    assert [stage.name for stage in chosen(every, ["e2e"], keep_lab=False)] == ["lab", "e2e", "lab-down"]
    assert [stage.name for stage in chosen(every, ["e2e"], keep_lab=True)] == ["lab", "e2e"]
    assert [stage.name for stage in chosen(every, ["lint"], keep_lab=False)] == ["lint"]
    assert chosen(every, [], keep_lab=False) == every
    with_faults = [*every, stage("faults", ("lab",))]
    assert chosen(with_faults, [], keep_lab=False) == every
    assert chosen(with_faults, [], keep_lab=False, full=True) == with_faults
    assert [stage.name for stage in chosen(with_faults, ["faults"], keep_lab=True)] == ["lab", "faults"]
    with pytest.raises(SystemExit, match="no stage lnt"):
        chosen(every, ["lnt"], keep_lab=False)


EVERY_DAY = {"lint", "unit", "galaxy", "sanity", "lab", "molecule-engine", "e2e", "lab-down", "machine", "machine-down"}


@pytest.mark.parametrize(
    ("names", "full", "expected"),
    [
        ([], False, EVERY_DAY),
        ([], True, {*EVERY_DAY, "molecule-units", "molecule-default", "molecule-identity", "faults"}),
        (["e2e"], False, {"lab", "e2e", "lab-down"}),
        (["machine"], False, {"machine", "machine-down"}),
        (["machine-full"], False, {"machine-full", "machine-down"}),
        (["lab-down"], False, {"lab-down"}),
    ],
)
def test_stages_of_a_run(tmp_path: Path, names: list[str], full: bool, expected: set[str]) -> None:
    """A machine has both cores and the memory to itself: it starts when the lab host is gone."""
    every = stages("", tmp_path, full)
    chosen = program("test").chosen(every, names, keep_lab=False, full=full)
    assert {stage.name for stage in chosen} == expected
    assert [stage.name for stage in every if stage.lane == "lab"][-4:] == [
        *("lab-down", "machine", "machine-full", "machine-down")
    ]


@pytest.mark.parametrize("full", [False, True])
def test_slow_end_to_end_tests_are_for_full_runs(tmp_path: Path, full: bool) -> None:
    (check,) = next(stage for stage in stages("", tmp_path, full) if stage.name == "e2e").checks
    assert ("not full" in check.command) != full


def test_a_normal_run_fits_in_its_limit(tmp_path: Path) -> None:
    """The limit of all cuts off no check that began in time."""
    module = program("test")
    assert max(check.limit for stage in module.chosen(stages("", tmp_path), [], False) for check in stage.checks) < (
        module.LIMIT
    )


def test_link_to_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree = collections_tree(tmp_path)
    assert (tree / "ansible_collections/hotstack/os").resolve() == tmp_path
    assert collections_tree(tmp_path) == tree


def test_installed_collection_needs_no_link(tmp_path: Path) -> None:
    assert collections_tree(tmp_path / "ansible_collections/hotstack/os") == tmp_path
