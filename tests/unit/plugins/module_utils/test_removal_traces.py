# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import removal_traces
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import Subject


@pytest.mark.parametrize(
    ("path", "pattern", "is_named"),
    [
        ("/etc/systemd/system/hotstack-os.target", "/etc/systemd/system/hotstack-os*", True),
        ("/etc/systemd/system/hotstack-os.target.wants/x", "/etc/systemd/system/hotstack-os*", False),
        ("/etc/systemd/system/a.wants/hotstack-os.target", "/etc/systemd/system/*.wants/hotstack-os*", True),
        ("/etc/hotstack", "/etc/hotstack-os", False),
    ],
)
def test_star_stays_in_its_folder(path: str, pattern: str, is_named: bool) -> None:
    assert removal_traces.matches(path, pattern) is is_named


def test_recorded_paths_are_complete_and_plain() -> None:
    paths = Subject(data_dirs=("/var/lib/hotstack-os", "/srv/volumes")).recorded()
    assert not [path for path in paths if "*" in path]
    known = {"/etc/hosts", removal_traces.CLOUDS, removal_traces.CLIENT, "/var/lib/hotstack", "/srv/volumes"}
    assert known <= set(paths)


def test_names_in_the_data_directory_are_complete() -> None:
    roles = Path(__file__).resolve().parents[4] / "roles"
    named = re.compile(r"hotstack_os_data_dir \}\}/([\w.-]+)")
    found = {name for path in roles.rglob("*.yml") for name in named.findall(path.read_text())}
    assert "mysql" in found
    assert found <= set(removal_traces.DATA_NAMES)


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("volume-12345678-1234-1234-1234-123456789abc", True),
        ("volume-12345678-1234-1234-1234-123456789abc.info", True),
        ("volume-of-mine", False),
        ("12345678-1234-1234-1234-123456789abc_resize", True),
        ("0123456789abcdef0123456789abcdef", True),
        ("_base", True),
        ("base", False),
    ],
)
def test_names_in_folders_of_others(name: str, is_ours: bool) -> None:
    assert removal_traces.matches_any(name, removal_traces.FOLDER_NAMES) is is_ours


@pytest.mark.parametrize(
    ("deployed", "options"),
    [
        ({}, ""),
        ({"hotstack_os_data_dir": "/var/lib/hotstack-os/", "hotstack_os_user": "hotstack"}, ""),
        ({"hotstack_os_data_dir": "/srv/a", "hotstack_os_volumes_dir": "/b"}, "-e hotstack_os_data_dir=/srv/a,"),
        ({"hotstack_os_user": "guests"}, "-e hotstack_os_user=guests,"),
    ],
    ids=["nothing noted", "the same", "another folder", "another user"],
)
def test_settings_of_another_deployment_are_refused(deployed: dict[str, str], options: str) -> None:
    text = removal_traces.elsewhere(Subject(), deployed)
    assert text.partition("missed: add ")[2] == (f"{options} then run this again." if options else "")


@pytest.mark.parametrize(
    ("disk", "is_refused"),
    [
        ("/var/lib/hotstack-os/nova-instances/1/disk", False),
        ("/srv/volumes/volume-1", False),
        ("/srv/volumes-of-others/volume-1", True),
        ("/var/lib/hotstack-os/../other/disk", True),
    ],
)
def test_guests_tell_where_the_data_is(disk: str, is_refused: bool) -> None:
    subject = Subject(data_dirs=("/var/lib/hotstack-os", "/srv/volumes/"))
    text = removal_traces.stray(subject, {"notapet-1": [], "notapet-2": [disk]})
    assert text.startswith(f"Guest notapet-2 has the disk {disk}, ") is is_refused
    assert bool(text) is is_refused


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, ""),
        ({"data_dirs": ("/srv/a", "/srv/a/nova-instances", "/srv/a/nova-mnt")}, " -e hotstack_os_data_dir=/srv/a"),
        (
            {"user": "guests", "data_dirs": ("/var/lib/hotstack-os", "/fast")},
            " -e hotstack_os_user=guests -e hotstack_os_instances_dir=/fast",
        ),
    ],
    ids=["all by default", "another root", "another user and folder"],
)
def test_command_that_removes_the_rest(given: dict[str, Any], options: str) -> None:
    command = f"ansible-playbook hotstack.os.clean{options} -e clean_host=cloud1"
    assert removal_traces.cleaning(Subject(**given), "cloud1") == command
