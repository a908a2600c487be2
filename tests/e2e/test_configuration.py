# SPDX-License-Identifier: Apache-2.0
"""Every configuration file that was written says only what this release of OpenStack knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from lab import DATA_DIR, Lab

CONFIG = f"{DATA_DIR}/runtime/config"
SERVICES = ["keystone", "glance", "placement", "neutron", "nova", "cinder", "heat"]

# No service has these. They are added to each file: whatever keeps bad options from being found keeps them too.
CONTROLS = ["DEFAULT/no_option_of_anyone", "keystone_authtoken/no_option_of_anyone"]

# Runs in the image of the services: the validator of oslo.config with all options that a service can have.
VALIDATE = """
import importlib.metadata, json, logging, pathlib, sys, types
from keystoneauth1.loading import get_auth_plugin_conf_options, get_session_conf_options
from oslo_config import validator

# Cinder's options of a driver for another system want a module that nothing else does.
sys.modules["pkg_resources"] = types.SimpleNamespace(parse_version=str)

# How tokens are checked it leaves out, because it can't know the ways to sign in, which are added below.
validator.KNOWN_BAD_GROUPS = []

service = sys.argv[1]
shared = ("oslo.", "keystonemiddleware.", "os_vif", "os_brick", "glance.store", "osprofiler")
names = {entry.name for entry in importlib.metadata.entry_points(group="oslo.config.opts")}
chosen = [name for name in sorted(names) if name.split(".")[0] == service or name.startswith(shared)]
words = [word for name in chosen for word in ("--namespace", name)]

# What a service reads as soon as it knows how it signs in.
options = get_auth_plugin_conf_options("password") + get_session_conf_options()
sign_in = {"auth_type"} | {option.name.replace("-", "_") for option in options}

def signs_in(name):
    section, _, option = name.partition("/")
    return section in SIGN_IN and option in sign_in

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
        # Cinder's section for a kind of storage has the options of its section for all kinds.
        text = path.read_text().replace("\\n[nfs]\\n", "\\n[backend_defaults]\\n")
        for section, option in (name.split("/") for name in CONTROLS):
            text += f"\\n[{section}]\\n{option} = 1\\n"
        pathlib.Path("/tmp/file").write_text(text)
        sys.argv = ["validator", *words, "--input-file", "/tmp/file"]
        validator.main()
        unknown = [name for name in said if not name.startswith(DYNAMIC) and not signs_in(name)]
        result[str(path.relative_to("/config"))] = unknown
print(json.dumps(result))
"""

# Sections that are named after what they are for, which the validator can't know.
DYNAMIC = (
    "nova_sys_admin/",
    "vif_plug_ovs_privileged/",
    "privsep_osbrick/",
    "cinder_sys_admin/",
    "os_glance_staging_store/",
    "os_glance_tasks_store/",
)

# Sections with the options of a way to sign in, beside those which the validator knows of.
SIGN_IN = ("keystone_authtoken", "service_user", "nova")

# Files of other programs, or of ours.
OTHERS = ["uwsgi.ini", "mount-wrapper.conf", "health.conf"]


@pytest.fixture(scope="module")
def answers(deployed: Lab) -> Iterator[dict[str, Future[str]]]:
    """Return what the validator says of each service; it runs for two at a time."""
    image = deployed.run("podman", "inspect", "--format={{.ImageName}}", "hotstack-os-nova-api").strip()
    mount = f"--volume={CONFIG}:/config:ro"
    run = ["podman", "run", "--rm", "-i", "--network=none", "--user=0", mount, "--security-opt=label=disable", image]
    given = {"OTHERS": OTHERS, "DYNAMIC": DYNAMIC, "SIGN_IN": SIGN_IN, "CONTROLS": CONTROLS}
    program = "".join(f"{name} = {value!r}\n" for name, value in given.items()) + VALIDATE
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(deployed.run, *run, "python", "-", name, data=program) for name in SERVICES}


@pytest.mark.parametrize("service", SERVICES)
def test_options_are_known(answers: dict[str, Future[str]], service: str) -> None:
    """Validate each file of a service, with two options that nobody knows."""
    answer: dict[str, Any] = json.loads(answers[service].result())
    assert answer
    assert {path: sorted(said) for path, said in answer.items()} == dict.fromkeys(answer, CONTROLS)
