#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Register services, users, projects, roles and domains in Keystone."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: keystone_service
short_description: Register services, users, projects, roles and domains in Keystone
version_added: 0.1.0
description:
  - Creates what is missing and updates what differs, a password, a URL and a description included. Removes nothing.
  - Works in one process with one token and Python's standard library, so a host needs no OpenStack client.
  - A password is compared by logging in with it.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  auth_url:
    description: Keystone's URL, with the version.
    type: str
    required: true
  credentials_file:
    description: The JSON file on the host that has the passwords.
    type: path
    required: true
  user:
    description: The user who registers.
    type: str
    default: admin
  password_credential:
    description: The name of that user's password in O(credentials_file).
    type: str
    default: admin_password
  project:
    description: The project that the user registers from.
    type: str
    default: admin
  timeout:
    description: The seconds for which a Keystone that does not answer is tried again, times the host's time factor.
    type: int
    default: 60
  region:
    description: The region of the endpoints.
    type: str
    required: true
  domains:
    description: Domains that must exist.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The domain's name.
        type: str
        required: true
      description:
        description: What it is for.
        type: str
        default: ""
  roles:
    description: The names of roles that must exist.
    type: list
    elements: str
    default: []
  projects:
    description: Projects that must exist.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The project's name.
        type: str
        required: true
      domain:
        description: The domain that it is in.
        type: str
        default: Default
      description:
        description: What it is for.
        type: str
        default: ""
  users:
    description: Users that must exist, and what they may.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The user's name.
        type: str
        required: true
      domain:
        description: The domain that the user is in.
        type: str
        default: Default
      description:
        description: What the user is for.
        type: str
        default: ""
      password_credential:
        description: The name of the user's password in O(credentials_file).
        type: str
        required: true
      grants:
        description: Roles of the user, each on a project of the domain Default or on a domain.
        type: list
        elements: dict
        default: []
        suboptions:
          role:
            description: The role's name.
            type: str
            required: true
          project:
            description: The project that the role holds for.
            type: str
          domain:
            description: The domain that the role holds for.
            type: str
  services:
    description: Services that must be in the catalog, with the same URL for public, internal and admin.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The service's name.
        type: str
        required: true
      type:
        description: The service's type, by which it is recognized.
        type: str
        required: true
      description:
        description: What the service does.
        type: str
        default: ""
      url:
        description: The URL of its endpoints.
        type: str
        required: true
attributes:
  check_mode:
    description: Can run in check mode without changing anything, also before there is a Keystone.
    support: full
  diff_mode:
    description: Returns what changed, without passwords.
    support: full
"""

EXAMPLES = r"""
- name: Register Glance
  hotstack.os.keystone_service:
    auth_url: http://keystone.hotstack-os.local:5000/v3
    credentials_file: /var/lib/hotstack-os/credentials.json
    region: RegionOne
    projects:
      - {name: service, description: Service users}
    users:
      - name: glance
        password_credential: glance_service_password
        grants:
          - {role: admin, project: service}
          - {role: service, project: service}
    services:
      - {name: glance, type: image, url: http://glance.hotstack-os.local:9292}
"""

RETURN = r"""
steps:
  description: What was created or updated, in order.
  type: list
  elements: str
  returned: always
  sample: ["create user Default glance"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import identity, keystone_client, time_factor
from ansible_collections.hotstack.os.plugins.module_utils.credentials import CredentialsError
from ansible_collections.hotstack.os.plugins.module_utils.credentials_file import read_credential

ARGUMENTS: dict[str, Any] = {
    "auth_url": {"type": "str", "required": True},
    "credentials_file": {"type": "path", "required": True},
    "user": {"type": "str", "default": "admin"},
    "password_credential": {"type": "str", "default": "admin_password", "no_log": False},
    "project": {"type": "str", "default": "admin"},
    "timeout": {"type": "int", "default": 60},
    "region": {"type": "str", "required": True},
    "domains": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": {"type": "str", "required": True}, "description": {"type": "str", "default": ""}},
    },
    "roles": {"type": "list", "elements": "str", "default": []},
    "projects": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "domain": {"type": "str", "default": "Default"},
            "description": {"type": "str", "default": ""},
        },
    },
    "users": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "domain": {"type": "str", "default": "Default"},
            "description": {"type": "str", "default": ""},
            "password_credential": {"type": "str", "required": True, "no_log": False},
            "grants": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "role": {"type": "str", "required": True},
                    "project": {"type": "str"},
                    "domain": {"type": "str"},
                },
                "mutually_exclusive": [("project", "domain")],
                "required_one_of": [("project", "domain")],
            },
        },
    },
    "services": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "type": {"type": "str", "required": True},
            "description": {"type": "str", "default": ""},
            "url": {"type": "str", "required": True},
        },
    },
}


def register(
    params: dict[str, Any], check_mode: bool, passwords: dict[str, str], wanted: list[identity.Thing]
) -> tuple[identity.State, list[identity.Step]]:
    """Read, decide, act; return what was there and what was done."""
    client = keystone_client.KeystoneClient(
        params["auth_url"], 0 if check_mode else params["timeout"] * time_factor.current()
    )
    client.authenticate(params["user"], passwords[params["password_credential"]], params["project"])
    state = keystone_client.read_state(client, wanted)
    steps = identity.plan(wanted, state)
    before = {name: dict(values) for name, values in state.items()}
    if not check_mode:
        for step in steps:
            keystone_client.carry_out(client, step, state)
    return before, steps


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Register everything and report."""
    names = {params["password_credential"], *(user["password_credential"] for user in params["users"])}
    passwords = {name: read_credential(params["credentials_file"], name, check_mode) for name in names}
    wanted = identity.wanted_things(params, passwords)
    try:
        before, steps = register(params, check_mode, passwords, wanted)
    except keystone_client.KeystoneError as error:
        if check_mode and (error.status == 401 or isinstance(error, keystone_client.KeystoneUnreachableError)):
            # Before the first run, or before a changed password of the administrator is in force.
            before, steps = {}, identity.plan(wanted, {})
        elif error.status == 409:
            # What a call that was tried again had already made before its answer was lost is there now.
            before, steps = register(params, check_mode, passwords, wanted)
        else:
            raise
    return {
        "changed": bool(steps),
        "steps": [f"{step.verb} {step.thing.kind} {' '.join(step.thing.key)}" for step in steps],
        "diff": {"before": identity.describe(wanted, before), "after": identity.describe(wanted, steps=steps)},
    }


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except (keystone_client.KeystoneError, CredentialsError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
