# SPDX-License-Identifier: Apache-2.0
"""The first step of Keystone, as far as it goes without Keystone."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

PROGRAM = Path(__file__).parents[2] / "containerfiles/keystone/keystone_bootstrap.py"

SETTINGS = {
    "username": "admin",
    "password": "secret",
    "project": "admin",
    "role": "admin",
    "service": "keystone",
    "url": "http://keystone:5000/v3/",
    "region": "RegionOne",
}


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("keystone_bootstrap", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_settings_reach_keystones_own_bootstrapper(program: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps({**SETTINGS, "more": 1}))
    bootstrapper = SimpleNamespace()
    program.apply_settings(bootstrapper, program.read_settings(path))
    assert bootstrapper.admin_password == "secret"
    assert {bootstrapper.public_url, bootstrapper.internal_url, bootstrapper.admin_url} == {SETTINGS["url"]}
    assert bootstrapper.immutable_roles is True


@pytest.mark.parametrize("change", [{"password": ""}, {"password": None}, {"password": 1}])
def test_missing_settings_are_named(program: ModuleType, tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps({**SETTINGS, **change}))
    with pytest.raises(SystemExit, match="lacks password"):
        program.read_settings(path)
