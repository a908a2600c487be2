# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share. They run in one order, on one lab host: what changes much comes late."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

import foreign
import guests as by_hand
import snapshot
from lab import ROOT, Lab, Play

ORDER = [
    "test_fresh_host",
    "test_lab",
    "test_guest_image",
    "test_deployment",
    "test_configuration",
    "test_isolation",
    "test_network",
    "test_libvirt_session",
    "test_post_setup",
    "test_documents",
    "test_smoke",
    "test_status",
    "test_guests",
    "test_consumers",
    "test_secrets",
    "test_change",
    "test_interrupted",
    "test_recovery",
    "test_first_starts",
    "test_faults",
    "test_uninstall",
    "test_reboot",
    "test_clean",
    "test_first_deployment_interrupted",
    "test_clean_again",
    "test_purge",
]

WITHOUT_DEPLOYMENT = {"test_fresh_host", "test_lab", "test_guest_image", "test_purge"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in order; a file not on the list comes last."""
    items.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else len(ORDER))


@pytest.fixture(scope="session")
def lab() -> Lab:
    """Return the lab host, which runs already."""
    return Lab()


@pytest.fixture(scope="session")
def services() -> list[str]:
    """Return the services that should run all the time."""
    lines = yaml.safe_load((ROOT / "roles/settings/defaults/main/services.yml").read_text())["hotstack_os_services"]
    return [name for name, line in lines.items() if not line.get("one_shot")]


@pytest.fixture(scope="session")
def before_deployment(lab: Lab) -> dict[str, dict[str, str]]:
    """Return what somebody else has on the host, as it was before the first deployment."""
    foreign.make(lab)
    return foreign.look(lab)


@pytest.fixture(scope="session")
def host_before(lab: Lab, before_deployment: dict[str, dict[str, str]]) -> snapshot.Snapshot:
    """Return all that can be seen of the host before the first deployment."""
    assert before_deployment
    return snapshot.take(lab)


@pytest.fixture(scope="session")
def host_again(lab: Lab, host_before: snapshot.Snapshot) -> snapshot.Snapshot:
    """Return the same with things that have the names of ours, if it is asked for while nothing is deployed."""
    if lab.attempt("test", "-e", "/etc/systemd/system/hotstack-os.target").returncode == 0:
        return host_before
    foreign.make_namesakes(lab)
    return snapshot.take(lab)


@pytest.fixture(scope="session")
def first_deployment(lab: Lab, host_before: snapshot.Snapshot) -> Play:
    """Deploy for the first time."""
    assert host_before
    return lab.deploy(check=False)


@pytest.fixture(scope="session")
def deployed(first_deployment: Play, lab: Lab) -> Lab:
    """Return the lab host with everything deployed."""
    assert first_deployment.status == 0, first_deployment.tail()
    return lab


@pytest.fixture(scope="session")
def host_name(deployed: Lab) -> str:
    """Return what `clean_host` must be."""
    return deployed.run("uname", "-n").strip()


@pytest.fixture(scope="session")
def guests(deployed: Lab) -> dict[str, by_hand.Guest]:
    """Return two guests that run while the rest of the tests happens."""
    return by_hand.boot(deployed)


@pytest.fixture(scope="module", autouse=True)
def deployment(request: pytest.FixtureRequest) -> None:
    """Let a module whose tests do not ask for it start on a deployed host too."""
    if request.path.stem not in WITHOUT_DEPLOYMENT:
        request.getfixturevalue("deployed")
