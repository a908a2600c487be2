# SPDX-License-Identifier: Apache-2.0
"""The machine lab as its tests see it. They run in one order; what has the mark `full` takes too long for every day."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import guests as by_hand
import snapshot
from lab import ROOT, TOOL, Lab, Play

# Hardening comes after what asks whether AppArmor denied anything, because it tries what must be denied.
ORDER = [
    "test_boot",
    "test_engine",
    "test_infra",
    "test_links",
    "test_site",
    "test_hardening",
    "test_power",
    "test_clean",
]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the modules in their order."""
    items.sort(key=lambda item: ORDER.index(item.path.stem))


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether this run deploys everything."""
    return any(item.get_closest_marker("full") for item in request.session.items)


@pytest.fixture(scope="session")
def lab(full: bool) -> Lab:
    """Return a machine that is on, as fresh as it was when the run began."""
    images = [] if full else ["--images=infra"]
    subprocess.run([TOOL, "up", "--machine", *images], check=True, stdin=subprocess.DEVNULL, timeout=2400)
    return Lab()


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    rc: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Machine:
    """The machine, for tests that could run on another one too."""

    lab: Lab

    def run(self, command: str) -> Done:
        """Run a shell command as root."""
        done = self.lab.attempt("sh", "-c", command, timeout=1200)
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def machine(infra: Play, lab: Lab) -> Machine:
    """Return the machine with what the infrastructure needs."""
    return Machine(lab)


@pytest.fixture(scope="session")
def host_before(lab: Lab, full: bool) -> snapshot.Snapshot:
    """Return all that can be seen of the machine before the first deployment."""
    return snapshot.take(lab) if full else {}


@pytest.fixture(scope="session")
def infra(lab: Lab, host_before: snapshot.Snapshot) -> Play:
    """Run the layers of the host and of the infrastructure over SSH, as an ordinary user with sudo."""
    return lab.deploy(playbook="tests/machine/infra.yml")


@pytest.fixture(scope="session")
def site(lab: Lab, host_before: snapshot.Snapshot) -> Play:
    """Deploy everything over SSH."""
    return lab.deploy(timeout=7200)


@pytest.fixture(scope="session")
def services() -> list[str]:
    """Return the services that should run all the time."""
    lines = yaml.safe_load((ROOT / "roles/settings/defaults/main/services.yml").read_text())["hotstack_os_services"]
    return [name for name, line in lines.items() if not line.get("one_shot")]


@pytest.fixture(scope="session")
def project(site: Play, lab: Lab) -> Play:
    """Make the project with its networks, flavors and the guest image."""
    lab.run(*by_hand.GUEST_IMAGE, timeout=1800)
    return lab.deploy(playbook="post_setup", timeout=3600)


@pytest.fixture(scope="session")
def guests(project: Play, lab: Lab) -> dict[str, by_hand.Guest]:
    """Return two guests that run while the rest of the tests happens."""
    return by_hand.boot(lab)
