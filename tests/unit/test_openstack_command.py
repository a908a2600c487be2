# SPDX-License-Identifier: Apache-2.0
"""The command `openstack` of a host, with a podman that only says how it was called."""

from __future__ import annotations

import subprocess
from pathlib import Path

import jinja2
import pytest

TEMPLATE = Path(__file__).parents[2] / "roles/keystone/templates/openstack.sh.j2"
SETTINGS = {"hotstack_os_image_references": {"openstack": "image"}, "hotstack_os_domain": "hotstack-os.local"}


def call(folder: Path, **environment: str) -> list[str]:
    (folder / "podman").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (folder / "podman").chmod(0o755)
    script = jinja2.Environment(autoescape=False).from_string(TEMPLATE.read_text()).render(SETTINGS)
    where = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)}
    command = ["sh", "-c", script, "openstack", "server", "list", "--name", "a b"]
    done = subprocess.run(command, check=True, cwd="/", env={**where, **environment}, stdin=-3, stdout=-1, text=True)
    return done.stdout.splitlines()


def test_arguments_stay_as_they_are(tmp_path: Path) -> None:
    assert call(tmp_path)[-6:] == ["image", "openstack", "server", "list", "--name", "a b"]


@pytest.mark.parametrize(
    ("environment", "exempt"),
    [
        ({}, ".hotstack-os.local,"),
        ({"no_proxy": "a,b"}, ".hotstack-os.local,a,b"),
        ({"NO_PROXY": "c"}, ".hotstack-os.local,c"),
    ],
)
def test_no_proxy_is_asked_for_the_cloud_of_this_host(tmp_path: Path, environment: dict[str, str], exempt: str) -> None:
    assert f"--env=no_proxy={exempt}" in call(tmp_path, http_proxy="http://proxy:3128", **environment)
