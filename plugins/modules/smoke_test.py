#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Boot guests in a cloud and try what their users would do."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: smoke_test
short_description: Boot guests in a cloud and try what their users would do
version_added: 0.1.0
description:
  - Creates a stack of Heat with two guests, and sees whether they boot, let in by SSH, know what the metadata says,
    pass tagged packets, write a volume, show console and screen, and reach the names and APIs of the cloud.
  - Shows each step with its seconds. What does not work is in RV(failures) and does not stop the rest.
  - Stack and keypair are deleted at the end, also after a failure.
  - Root needs nothing but the container image, another user a Python that has openstacksdk and a C(clouds.yaml).
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  cloud:
    description: The cloud, by its name in C(clouds.yaml).
    type: str
    required: true
  runtime_image:
    description: The container image that has openstacksdk, for a host whose Python lacks it.
    type: str
    required: true
  template:
    description: The stack's template, that of the role C(smoke_test) or one with the same parameters and outputs.
    type: str
    required: true
  stack:
    description: The stack's name. An earlier one is deleted first.
    type: str
    default: hotstack-smoke-test
  keypair:
    description: The keypair's name. An earlier one is deleted first.
    type: str
    default: hotstack-smoke-test
  image:
    description: The image of the guests, by name or id.
    type: str
    required: true
  flavor:
    description: Their flavor, by name or id.
    type: str
    required: true
  external_network:
    description: The network of their floating IPs, by name or id.
    type: str
    required: true
  ssh_user:
    description: The user that the image lets in, and who may use sudo.
    type: str
    default: cirros
  dns:
    description: The DNS server that guests ask.
    type: str
    required: true
  api_url:
    description: A URL of Keystone, that guests ask by its name.
    type: str
    required: true
  api_address:
    description: The address of that name.
    type: str
    required: true
  outside_url:
    description: A page outside that each guest fetches; empty for none.
    type: str
    default: ""
  instances_dir:
    description: The folder of guests' disks, which must be large enough for the flavor.
    type: path
    required: true
  keep:
    description: Whether to leave stack, keypair and private key.
    type: bool
    default: false
  stack_timeout:
    description: The most seconds that the stack may take.
    type: int
    default: 600
  boot_timeout:
    description: The most seconds from then until a guest lets in.
    type: int
    default: 600
  check_timeout:
    description: The most seconds that a check is tried for.
    type: int
    default: 120
  delete_timeout:
    description: The most seconds that the removal may take.
    type: int
    default: 300
attributes:
  check_mode:
    description: Looks at the settings alone, for there may be no cloud yet.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Test the cloud
  hotstack.os.smoke_test:
    cloud: hotstack-os
    runtime_image: "{{ hotstack_os_image_references['openstack'] }}"
    template: "{{ lookup('ansible.builtin.file', 'stack.yml') }}"
    image: cirros
    flavor: hotstack.small
    external_network: public
    dns: 172.31.0.129
    api_url: http://keystone.hotstack-os.local:5000/v3
    api_address: 172.31.0.129
    instances_dir: /var/lib/hotstack-os/nova-instances
"""

RETURN = r"""
failures:
  description: For each thing that does not work, what was expected, what was seen, and where to look.
  returned: when a test has ended
  type: list
  elements: str
report:
  description: Each step with its seconds, as lines to print.
  returned: when a test has ended
  type: list
  elements: str
steps:
  description: The same as data.
  returned: when a test has ended
  type: list
  elements: dict
  contains:
    name:
      description: What was tried.
      type: str
    result:
      description: V(ok), V(FAILED) or V(skipped).
      type: str
    seconds:
      description: How long it took; null where it was not tried.
      type: float
    note:
      description: Why it was skipped.
      type: str
seconds:
  description: How long all of it took.
  returned: when a test has ended
  type: float
run:
  description: Where to follow a test that has been started.
  returned: when one has been started
  type: dict
"""

import fcntl
import os
import shutil
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import background, smoke_checks, smoke_cloud, time_factor
from ansible_collections.hotstack.os.plugins.module_utils.cloud_program import (
    CloudProgram,
    CloudProgramError,
    sources_of,
)
from ansible_collections.hotstack.os.plugins.module_utils.files import in_home
from ansible_collections.hotstack.os.plugins.module_utils.smoke_checks import SmokeError
from ansible_collections.hotstack.os.plugins.module_utils.smoke_host import Host
from ansible_collections.hotstack.os.plugins.module_utils.smoke_run import SmokeRun

NAME: dict[str, Any] = {"type": "str", "required": True}
ARGUMENTS: dict[str, Any] = {
    "cloud": NAME,
    "runtime_image": NAME,
    "template": NAME,
    "stack": {"type": "str", "default": "hotstack-smoke-test"},
    "keypair": {"type": "str", "default": "hotstack-smoke-test", "no_log": False},
    "image": NAME,
    "flavor": NAME,
    "external_network": NAME,
    "ssh_user": {"type": "str", "default": "cirros"},
    "dns": NAME,
    "api_url": NAME,
    "api_address": NAME,
    "outside_url": {"type": "str", "default": ""},
    "instances_dir": {"type": "path", "required": True},
    "keep": {"type": "bool", "default": False},
    "stack_timeout": {"type": "int", "default": 600},
    "boot_timeout": {"type": "int", "default": 600},
    "check_timeout": {"type": "int", "default": 120},
    "delete_timeout": {"type": "int", "default": 300},
}

FOLDER = "~/.cache/hotstack-os/smoke-test"
# What the program that asks the cloud is made of.
PROGRAM = (smoke_checks, smoke_cloud)


def capacity(instances_dir: str) -> dict[str, int]:
    """Return the most that this host could give to one guest, by the names of Placement."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    found = {"VCPU": os.cpu_count() or 0, "MEMORY_MB": memory}
    if os.path.isdir(instances_dir):
        found["DISK_GB"] = shutil.disk_usage(instances_dir).total // 10**9
    return found


def test(params: dict[str, Any], sources: dict[str, str], tell: background.Tell) -> dict[str, Any]:
    """Test, and leave no key behind that is not wanted any more."""
    params = {**params, **{name: params[name] * time_factor.current() for name in smoke_checks.TIMEOUTS}}
    folder = tempfile.mkdtemp(prefix="hotstack-os-smoke-test-")
    kept = False
    try:
        host = Host(folder, params["ssh_user"])
        with tempfile.TemporaryDirectory(dir=folder) as program:
            cloud = CloudProgram(program, params["runtime_image"], sources, "smoke_cloud", params["cloud"])
            try:
                run = SmokeRun(params, capacity(params["instances_dir"]), cloud, host, tell)
                result = run.run()
                kept = params["keep"] and bool(run.facts)
            finally:
                cloud.close()
    except CloudProgramError as error:
        raise SmokeError(str(error)) from None
    finally:
        if not kept:
            shutil.rmtree(folder)
    return {"changed": kept, **result}


def start(params: dict[str, Any]) -> dict[str, Any]:
    """Start the test and return where to follow it; there is one at a time."""
    sources = sources_of(PROGRAM)
    folder = in_home(FOLDER)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(os.path.join(folder, "lock"), "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            process = lock.read().strip()
            raise SmokeError(f"A smoke test runs already, as process {process}; it ends by itself.") from None

        def work(tell: background.Tell) -> dict[str, Any]:
            # The lock is this process's too, for as long as it lives.
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            return test(params, sources, tell)

        return background.start(folder, work, SmokeError, "smoke test")


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    found = smoke_checks.problems(module.params)
    if found:
        module.fail_json(msg="\n".join(found))
    if module.check_mode:
        module.exit_json(changed=False)
    try:
        module.exit_json(changed=False, run=start(module.params))
    except SmokeError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}.")


if __name__ == "__main__":
    main()
