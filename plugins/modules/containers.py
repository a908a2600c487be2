#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Make containers run as systemd units: the host's half of the engine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: containers
short_description: Run the containers of a layer as systemd units
version_added: 0.1.0
description:
  - Renders a Quadlet unit and the configuration files of each container, compares them with the disk and with
    what the running containers were started from, writes what differs, and starts or restarts only that.
  - Waits until all of them are healthy, and names the one that is not, with its last log lines.
  - An action plugin renders the texts on the controller, with the templates of the calling role. They may use
    the variables of the task, C(container), C(service) (its line on the map) and C(hotstack_os_credentials).
  - The calling role must depend on the role P(hotstack.os.settings#role).
options:
  containers:
    description:
      - What should run.
      - With O(state=absent) only the names matter, and without O(containers) all of ours are meant.
    type: list
    elements: dict
    suboptions:
      name:
        description: The name on the map C(hotstack_os_services).
        type: str
        required: true
      image:
        description: The name of an image in C(hotstack_os_images).
        type: str
      command:
        description: The program and its arguments; without it, what the image says.
        type: list
        elements: str
        default: []
      user:
        description: A name in C(hotstack_os_users); without it, root.
        type: str
      config:
        description: The configuration files, mounted read-only and readable by the user's group.
        type: list
        elements: dict
        default: []
        suboptions:
          src:
            description: A template of the calling role.
            type: str
            required: true
          dest:
            description: The file's path in the container.
            type: str
            required: true
          mode:
            description: The file's mode.
            type: str
            default: "0640"
      directories:
        description: Directories of the host to mount, made with the user as their owner. They are never removed.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: The path on the host.
            type: path
            required: true
          dest:
            description: The path in the container.
            type: str
            required: true
          mode:
            description: The directory's mode.
            type: str
            default: "0750"
          options:
            description: The options of the mount.
            type: str
            default: rw,z
      volumes:
        description: Further mounts, as C(host:container:options); nothing is made for them.
        type: list
        elements: str
        default: []
      network:
        description:
          - The network of the container.
          - Without it V(bridge) if the map has an address for it or if it is a one-shot, otherwise V(host).
        type: str
        choices: [bridge, host, none]
      publish:
        description: Ports to publish, as C(address:port:port).
        type: list
        elements: str
        default: []
      health:
        description: A shell command that succeeds in the container once the service can be used.
        type: str
      privileged:
        description: Whether the container has all rights; otherwise it has none and cannot write to its image.
        type: bool
        default: false
      capabilities:
        description: The capabilities that it has nevertheless.
        type: list
        elements: str
        default: []
      environment:
        description: Environment variables; never secrets, everybody can read them.
        type: dict
        default: {}
      ulimits:
        description: Limits, as C(nofile=1024:1024).
        type: list
        elements: str
        default: []
      memory:
        description: The memory that it may use, such as V(512m).
        type: str
      essential:
        description: Whether the kernel kills it after the other containers when the host runs out of memory.
        type: bool
        default: false
      hostname:
        description: Its host name; without it its name on the map, and the host's own in the host's network.
        type: str
      start_timeout:
        description: How many seconds it may take to become healthy, or a one-shot to end.
        type: int
        default: 300
      stop_timeout:
        description: How many seconds it may take to stop.
        type: int
        default: 30
      tmpfs:
        description: Paths in the container that are kept in memory, with options if need be.
        type: list
        elements: str
        default: []
      unit:
        description: Further lines of the unit, by section (V(Unit), V(Container) or V(Service)) and key.
        type: dict
        default: {}
      labels:
        description: Further labels.
        type: dict
        default: {}
  state:
    description: Whether the containers run, or are removed with their units and configuration, but not their data.
    type: str
    choices: [present, absent]
    default: present
  texts:
    description: What the action plugin rendered. It fills this in; leave it alone.
    type: str
attributes:
  check_mode:
    support: full
    description: Says what would change and changes nothing.
  diff_mode:
    support: full
    description: Names the services that start or restart, and shows units and configuration without secrets.
author:
  - The hotstack.os authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Run the containers
  hotstack.os.containers:
    containers:
      - name: keystone
        image: keystone
        user: keystone
        command: [uwsgi, --ini, /etc/keystone/uwsgi.ini]
        config:
          - {src: keystone.conf.j2, dest: /etc/keystone/keystone.conf}
        health: busybox wget -q -O /dev/null http://localhost:5000/v3

- name: Remove one service, but not its data
  hotstack.os.containers:
    containers: [{name: keystone}]
    state: absent

- name: Remove all services
  hotstack.os.containers:
    state: absent
"""

RETURN = r"""
started:
  description: The services that did not run.
  returned: always
  type: list
  elements: str
  sample: [mariadb]
restarted:
  description: The services that ran, but were started from something else.
  returned: always
  type: list
  elements: str
  sample: [keystone]
removed:
  description: The services that are gone now.
  returned: always
  type: list
  elements: str
  sample: []
unchanged:
  description: The services that were as they should be.
  returned: always
  type: list
  elements: str
  sample: [memcached]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import container_host, container_work
from ansible_collections.hotstack.os.plugins.module_utils.container_spec import ARGUMENT_SPEC


def run(params: dict[str, Any], runner: container_host.Runner, check_mode: bool, diff: bool) -> dict[str, Any]:
    """Bring the host to the wanted state and return the module's result."""
    if not params["texts"]:
        raise container_host.HostError("The action plugin of hotstack.os.containers did not run; call it by that name.")
    job = container_work.Job.parse(params["texts"])
    if params["state"] == "present":
        return container_work.make_present(job, runner, check_mode, diff)
    definitions = params["containers"]
    names = None if definitions is None else [definition["name"] for definition in definitions]
    return container_work.make_absent(job, names, runner, check_mode, diff)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={**ARGUMENT_SPEC, "texts": {"type": "str", "no_log": True}},
        supports_check_mode=True,
    )

    def runner(argv: list[str]) -> tuple[int, str, str]:
        status, output, errors = module.run_command(argv)
        return status, output, errors

    try:
        result = run(module.params, runner, check_mode=module.check_mode, diff=module._diff)
    except (container_host.HostError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
