# SPDX-License-Identifier: Apache-2.0
"""Every configuration file that was written says only what this release of OpenStack knows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lab import Lab

CONFIG = "/var/lib/hotstack-os/runtime/config"
SERVICES = ["keystone", "glance", "placement", "heat"]

# Runs in the image of the services: the validator of oslo.config with all options that a service can have.
VALIDATE = """
import importlib.metadata, json, logging, pathlib, sys, types
from oslo_config import validator

# Cinder's options of a driver for another system want a module that nothing else does.
sys.modules["pkg_resources"] = types.SimpleNamespace(parse_version=str)

service = sys.argv[1]
shared = ("oslo.", "keystonemiddleware.", "os_vif", "os_brick", "glance.store", "osprofiler")
names = {entry.name for entry in importlib.metadata.entry_points(group="oslo.config.opts")}
chosen = [name for name in sorted(names) if name.split(".")[0] == service or name.startswith(shared)]
words = [word for name in chosen for word in ("--namespace", name)]

said = []
class Keep(logging.Handler):
    def emit(self, record):
        if "is not part of the sample config" in record.getMessage():
            said.append(record.getMessage().split()[0])

logging.getLogger().addHandler(Keep(logging.WARNING))
result = {}
for path in sorted(pathlib.Path("/config").glob("*/*")):
    if path.parent.name.split("-")[0] == service and path.suffix in (".conf", ".ini") and path.name not in OTHERS:
        said.clear()
        sys.argv = ["validator", *words, "--input-file", str(path)]
        validator.main()
        result[str(path.relative_to("/config"))] = [name for name in said if not name.startswith(DYNAMIC)]
print(json.dumps(result))
"""

# Sections that are named after what they are for, which the validator can't know.
DYNAMIC = (
    "nova_sys_admin/",
    "vif_plug_ovs_privileged/",
    "privsep_osbrick/",
    "os_glance_staging_store/",
    "os_glance_tasks_store/",
)

# Files of other programs, or of ours.
OTHERS = ["uwsgi.ini", "mount-wrapper.conf", "health.conf"]


@pytest.mark.parametrize("service", SERVICES)
def test_options_are_known(deployed: Lab, service: str) -> None:
    """Validate each file of a service."""
    image = deployed.run("podman", "inspect", "--format={{.ImageName}}", "hotstack-os-nova-api").strip()
    mount = f"--volume={CONFIG}:/config:ro"
    run = ["podman", "run", "--rm", "-i", "--network=none", "--user=0", mount, "--security-opt=label=disable", image]
    program = f"OTHERS, DYNAMIC = {OTHERS!r}, {DYNAMIC!r}\n{VALIDATE}"
    answer: dict[str, Any] = json.loads(deployed.run(*run, "python", "-", service, data=program))
    assert answer
    assert {path: said for path, said in answer.items() if said} == {}
