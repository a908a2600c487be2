# SPDX-License-Identifier: Apache-2.0
"""What the command of the host prints, and how it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hotstack.os.plugins.module_utils import (
    diagnosis_archive,
    host_command,
    status_checks,
    status_cloud,
    status_facts,
    status_readers,
    status_ties,
    time_factor,
)
from ansible_collections.hotstack.os.plugins.module_utils.status_report import Line, Report

ROOT = Path(__file__).resolve().parents[4]
LINES = {"well": Line("host", "clock", "synchronised"), "bad": Line("host", "clock", "wrong", "slow", "timedatectl")}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the settings of a deployment without services, of which root asks."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    path = tmp_path / "deployment.json"
    path.write_text('{"hotstack_os_services": {}}')
    return str(path)


@pytest.mark.parametrize(("state", "exit_status"), [("well", 0), ("bad", 1)])
def test_status(
    settings: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: str, exit_status: int
) -> None:
    monkeypatch.setattr(host_command, "find_out", lambda *_: Report([], [LINES[state]]))
    assert host_command.main(["status", "--settings", settings]) == exit_status
    assert ("next: timedatectl" in capsys.readouterr().out) == (state == "bad")
    assert host_command.main(["status", "--json", "--settings", settings]) == exit_status
    assert json.loads(capsys.readouterr().out)["well"] == (state == "well")


@pytest.mark.parametrize(
    ("known", "factor", "shown"),
    [
        pytest.param(None, 1, "", id="not measured"),
        pytest.param(time_factor.TimeFactor(1), 1, "", id="an ordinary machine"),
        pytest.param(time_factor.TimeFactor(8), 8, "all timeouts are 8 times longer, as measured", id="a slow machine"),
        pytest.param(time_factor.TimeFactor(3, False), 3, "all timeouts are 3 times longer, as set", id="set"),
    ],
)
def test_a_slow_host_is_given_time_and_said(
    settings: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    known: time_factor.TimeFactor | None,
    factor: int,
    shown: str,
) -> None:
    given: list[float] = []

    def find_out(_settings: Any, _written: float, patience: float) -> Report:
        given.append(patience)
        return Report([], [LINES["well"]])

    monkeypatch.setattr(time_factor, "remembered", lambda: known)
    monkeypatch.setattr(host_command, "find_out", find_out)
    assert host_command.main(["status", "--settings", settings, "--patience", "2"]) == 0
    assert given == [2 * factor]
    printed = capsys.readouterr().out
    assert ("time factor" in printed) == bool(shown)
    assert shown in printed


@pytest.mark.parametrize(("text", "said"), [(None, "nothing was deployed here"), ("{", "is no JSON")])
def test_no_settings(settings: str, capsys: pytest.CaptureFixture[str], text: str | None, said: str) -> None:
    if text is None:
        Path(settings).unlink()
    else:
        Path(settings).write_text(text)
    assert host_command.main(["status", "--settings", settings]) == 2
    assert said in capsys.readouterr().err


def test_root_alone(settings: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert host_command.main(["status", "--settings", settings]) == 2
    assert "Only root" in capsys.readouterr().err


@pytest.mark.parametrize(("errors", "explained"), [({}, ["s0"]), ({"units": "no answer"}, [])])
def test_only_causes_are_explained(
    monkeypatch: pytest.MonkeyPatch, errors: dict[str, str], explained: list[str]
) -> None:
    asked: list[str] = []

    class Reader:
        def __init__(self, *_arguments: Any) -> None:
            pass

        def read(self, suspects: Callable[[status_facts.Facts], list[str]]) -> status_facts.Facts:
            facts = status_facts.Facts(errors=errors)
            asked.extend(suspects(facts))
            return facts

    monkeypatch.setattr(status_readers, "Reader", Reader)
    monkeypatch.setattr(status_checks, "report", lambda *_: Report())
    services = {f"s{number}": {"needs": ["s0"] if number else []} for number in range(9)}
    host_command.find_out({"hotstack_os_services": services}, 0.0, 1.0)
    assert asked == explained


def test_all_parts_are_installed(tmp_path: Path) -> None:
    """The role copies what the command imports, and it runs without Ansible."""
    variables = yaml.safe_load((ROOT / "roles/host_command/vars/main.yml").read_text())
    package = tmp_path / "hotstack_os"
    package.mkdir()
    for name in variables["__host_command_parts"]:
        (package / f"{name}.py").write_text((ROOT / f"plugins/module_utils/{name}.py").read_text())
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import hotstack_os.host_command as c; "
    script += "loaded = {name for name in sys.modules if name.startswith('hotstack_os.')}; "
    script += "assert not any('ansible' in name for name in sys.modules); print(len(loaded)); c.main(['--help'])"
    done = subprocess.run([sys.executable, "-IBc", script], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "tell what is not well" in done.stdout
    # Nothing is copied that is not used.
    assert int(done.stdout.split()[0]) == len(variables["__host_command_parts"])


def test_settings_that_the_command_reads_are_written() -> None:
    variables = yaml.safe_load((ROOT / "roles/host_command/vars/main.yml").read_text())
    text = "".join((ROOT / f"plugins/module_utils/{name}.py").read_text() for name in variables["__host_command_parts"])
    read = set(re.findall(r"""settings\[["']hotstack_os_(\w+)["']\]""", text)) | set(
        re.findall(r'\bsetting\("(\w+)"\)', text)
    )
    read |= set(re.findall(r'"(?!hotstack_os_)(\w+_dir)"', text))
    assert "services" in read
    assert {f"hotstack_os_{name}" for name in read} <= set(variables["__host_command_settings"])
    more = set(re.findall(r"""settings\[["'](?!hotstack_os_)(\w+)["']\]""", text))
    assert more == set(variables["__host_command_more"])


def test_workers_are_on_the_map() -> None:
    settings = yaml.safe_load((ROOT / "roles/settings/defaults/main/services.yml").read_text())["hotstack_os_services"]
    names = {name for binaries in status_ties.WORKERS.values() for name in binaries} | set(status_ties.API.values())
    assert names <= set(settings)
    assert set(status_ties.API) == set(status_ties.WORKERS) == set(status_cloud.WORKERS)


def test_an_archive_before_a_deployment(settings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(settings).unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(diagnosis_archive.Before, "write", lambda self, folder: f"{folder}/{self.problems}")
    assert host_command.diagnose(settings, 1.0, "/x", ["a"]) == ("/x/['a']", ["a"])
