# SPDX-License-Identifier: Apache-2.0
"""The machine is rebooted, and loses its power; everything comes back with no run of Ansible."""

from __future__ import annotations

import subprocess

import guests as by_hand
import pytest
from lab import TOOL, Lab

pytestmark = pytest.mark.full


@pytest.mark.parametrize("options", [[], ["--hard"]], ids=["reboot", "power cut"])
def test_everything_is_back(
    options: list[str], guests: dict[str, by_hand.Guest], lab: Lab, services: list[str]
) -> None:
    subprocess.run([TOOL, "reboot", *options], check=True, stdin=subprocess.DEVNULL, timeout=1500)
    lab.assert_healthy(services, 1800)
    lab.assert_token(300)
    for guest in guests.values():
        guest.wait(900)
