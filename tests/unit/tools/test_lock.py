# SPDX-License-Identifier: Apache-2.0
"""The tool that writes lock files, and the lock files themselves."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
RESOLVED = f"nova==32.2.1 \\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}\n"


def load() -> ModuleType:
    """Import a program whose name does not end in .py."""
    loader = importlib.machinery.SourceFileLoader("lock_tool", str(ROOT / "tools" / "lock"))
    spec = importlib.util.spec_from_loader("lock_tool", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


lock = load()


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("locks/2025.2.in", "openstack/build.in"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("nova\n")
    monkeypatch.setattr(lock.source, "__defaults__", (tmp_path,))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, status: int, resolved: str, *arguments: str) -> int:
    """Run the tool with a resolver of ours."""
    monkeypatch.setattr(sys, "argv", ["lock", *arguments])
    monkeypatch.setattr(lock.subprocess, "run", lambda *_a, **_k: SimpleNamespace(returncode=status, stdout=resolved))
    status_of_main: int = lock.main()
    return status_of_main


def test_source(root: Path) -> None:
    assert lock.source("2025.2") == root / "locks" / "2025.2.in"
    assert lock.source("build") == root / "openstack" / "build.in"
    with pytest.raises(lock.LockError, match=r"there are 2025.2 and build"):
        lock.source("2026.1")


def test_command_keeps_this_machine_out_of_the_lock() -> None:
    command = lock.command(Path("2025.2.in"), Path("upper.txt"), Path("uv.toml"))
    for option in ("--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"):
        assert option in command
    assert command[command.index("--constraints") + 1] == "upper.txt"
    assert "--constraints" not in lock.command(Path("build.in"), None, Path("uv.toml"))


@pytest.mark.parametrize(
    "line",
    [
        "nova==32.2.1",
        "nova>=32 \\",
        "--index-url http://index.example/simple",
        "nova @ file:///home/me/nova \\",
        "    --hash=md5:abc",
        "    # via heat",
    ],
)
def test_only_versions_and_hashes(line: str) -> None:
    with pytest.raises(lock.LockError, match="Line 4 of the resolved packages"):
        lock.lock_text("2025.2", RESOLVED + line + "\n")


@pytest.mark.parametrize("line", ["glance[cinder]==31.1.0 \\", "greenlet==3.2.4 ; python_full_version < '3.14' \\"])
def test_forms_of_requirements(line: str) -> None:
    assert line in lock.lock_text("2025.2", line + "\n" + RESOLVED.split("\n", 1)[1])


def test_writes_the_lock(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, 0, RESOLVED, "2025.2", "--constraints", "upper.txt") == 0
    text = (root / "locks" / "2025.2.txt").read_text()
    assert text.startswith(
        "# SPDX-License-Identifier: Apache-2.0\n# Made by tools/lock from 2025.2.in; do not edit.\nnova=="
    )
    assert run(monkeypatch, 0, RESOLVED, "build") == 0
    assert (root / "openstack" / "build.txt").exists()


@pytest.mark.parametrize(
    ("status", "arguments", "message"),
    [
        (0, ["2025.2"], "A release needs --constraints"),
        (0, ["1999.1", "--constraints", "x"], "There is no"),
        (1, ["2025.2", "--constraints", "x"], "could not be resolved"),
    ],
)
def test_errors(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    arguments: Any,
    message: str,
) -> None:
    assert run(monkeypatch, status, "", *arguments) == 1
    assert message in capsys.readouterr().err
    assert not (root / "locks" / "2025.2.txt").exists()


def locked(path: Path) -> dict[str, int]:
    """Return the packages of a lock file, with how many hashes each has."""
    packages: dict[str, int] = {}
    name = ""
    for line in path.read_text().splitlines():
        if lock.HASH.match(line):
            packages[name] += 1
        elif lock.REQUIREMENT.match(line):
            name = line.split(" ")[0]
            packages[name] = 0
        else:
            assert line.startswith("#"), line
    return packages


@pytest.mark.parametrize("path", sorted((ROOT / "containerfiles").glob("*/*.in")), ids=lambda path: path.stem)
def test_each_lock_holds_what_its_source_asks_for(path: Path) -> None:
    packages = locked(path.with_suffix(".txt"))
    assert all(packages.values())
    names = {name.split("==")[0].split("[")[0].lower() for name in packages}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _equals, version = line.partition("==")
            plain = name.split("[")[0]
            assert plain.lower() in names
            assert not version or f"{plain}=={version}" in packages
