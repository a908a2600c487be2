# SPDX-License-Identifier: Apache-2.0
"""`clean` leaves the machine as it was before the first deployment."""

from __future__ import annotations

import pytest
import snapshot
from lab import Lab, Play
from snapshot import Snapshot
from test_infra import denied

pytestmark = pytest.mark.full


def test_nothing_is_left(host_before: Snapshot, site: Play, lab: Lab) -> None:
    name = lab.run("uname", "-n").strip()
    lab.deploy("--extra-vars", f"clean_host={name} clean_images=false", playbook="clean", timeout=3600)
    different = snapshot.differences(host_before, snapshot.take(lab))
    images = [line for line in different.pop("podman", []) if not line.startswith("+ image ")]
    assert (images, different) == ([], {})


def test_apparmor_denied_nothing(site: Play, lab: Lab) -> None:
    assert denied(lab) == []
