# SPDX-License-Identifier: Apache-2.0
"""The end-to-end tests have an order, and those of a normal run show every promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/e2e"

# What must not wait for a full run, and the test that shows it.
PROMISES = {
    "a look before the first deployment": "fresh_host.py::test_check_mode_neither_fails_nor_changes",
    "a mistake is said before any change": "fresh_host.py::test_bad_setting_ends_before_any_change",
    "a deployment": "deployment.py::test_first_deployment",
    "a second run": "deployment.py::test_second_run_changes_nothing",
    "check mode": "deployment.py::test_check_mode_sees_no_change",
    "configuration files": "configuration.py::test_options_are_known[nova]",
    "isolation": "isolation.py::test_deployment_left_them_alone",
    "who reaches what": "network.py::test_who_reaches_what",
    "the session libvirt": "libvirt_session.py::test_guest_outlives_the_daemon[SIGKILL]",
    "a project with networks and images": "post_setup.py::test_what_is_created",
    "the smoke test": "smoke.py::test_guests_do_what_their_users_want",
    "status": "status.py::test_all_is_well",
    "a support bundle": "status.py::test_archive_of_a_cloud_that_is_half_down",
    "guests outlive the services": "guests.py::test_guests_outlive[everything]",
    "UEFI, IPv6 and VLANs of guests": "consumers.py::test_vlan_of_the_guests",
    "secrets": "secrets.py::test_no_secret_in[processes]",
    "a change, and who restarts": "change.py::test_one_setting_and_one_password",
    "a change that is refused": "change.py::test_what_can_not_change_is_refused[settings]",
    "an interrupted run": "interrupted.py::test_killed_reconfiguration",
    "killed services": "recovery.py::test_killed_main_processes",
    "a fault that guests do not notice": "faults.py::test_fault[switch restart ovs-vswitchd]",
    "uninstall": "uninstall.py::test_services_go_and_guests_run_on",
    "a reboot": "reboot.py::test_everything_is_back",
    "guests after a reboot": "reboot.py::test_guests_are_back",
    "clean": "clean.py::test_all_but_the_images_goes",
    "clean with the images": "clean_again.py::test_images_go_too",
    "the lab is taken away": "purge.py::test_purge_leaves_the_machine_as_it_was",
}


@cache
def every_day() -> set[str]:
    """Return the end-to-end tests of a normal run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-m", "not full", str(FOLDER)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return set(re.findall(r"^tests/e2e/test_(\S.*)$", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("test", PROMISES.values(), ids=PROMISES)
def test_promise_is_shown_in_a_normal_run(test: str) -> None:
    assert test in every_day()


def test_each_file_has_its_place() -> None:
    text = (FOLDER / "conftest.py").read_text(encoding="utf-8")
    order = re.findall(r'^    "(test_\w+)",$', text.partition("\n]\n")[0], re.MULTILINE)
    assert sorted(order) == sorted(path.stem for path in FOLDER.glob("test_*.py"))
