#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Keep our clouds in a clouds.yaml."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: clouds_file
short_description: Keep our clouds in a clouds.yaml
version_added: 0.1.0
description:
  - Writes clouds into the file that OpenStack clients read, between two marks; what others wrote there stays as it is.
  - Passwords come from the host's file of credentials, so Ansible never sees them.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  path:
    description:
      - The file. Folders that are missing are created, for their owner alone if there is an O(owner).
      - Without it C(~/.config/openstack/clouds.yaml) of O(owner).
    type: path
  owner:
    description: The user who owns the file; without it, the one who runs the module. Only the owner can read it.
    type: str
  credentials_file:
    description: The JSON file on the host that has the passwords.
    type: path
    required: true
  part:
    description: The name of a part of the file, so that several roles can have their clouds in it.
    type: str
    default: ""
  clouds:
    description: All clouds of that part; one that is no longer here is removed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The cloud's name.
        type: str
        required: true
      auth_url:
        description: Keystone's URL.
        type: str
        required: true
      username:
        description: The user, of the domain Default.
        type: str
        required: true
      password_credential:
        description: The name of the password in O(credentials_file).
        type: str
        required: true
      project_name:
        description: The project, of the domain Default.
        type: str
        required: true
      region_name:
        description: The region.
        type: str
        required: true
attributes:
  check_mode:
    description: Can run in check mode without changing anything.
    support: full
  diff_mode:
    description: Names the clouds that changed, without passwords.
    support: full
"""

EXAMPLES = r"""
- name: Let root's clients find the cloud
  hotstack.os.clouds_file:
    path: /etc/openstack/clouds.yaml
    credentials_file: /var/lib/hotstack-os/credentials.json
    clouds:
      - name: hotstack-os-admin
        auth_url: http://keystone.hotstack-os.local:5000/v3
        username: admin
        password_credential: admin_password
        project_name: admin
        region_name: RegionOne
"""

RETURN = r"""
path:
  description: The file.
  type: str
  returned: always
"""

import os
import pwd
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import clouds
from ansible_collections.hotstack.os.plugins.module_utils.credentials import CredentialsError
from ansible_collections.hotstack.os.plugins.module_utils.credentials_file import read_credential
from ansible_collections.hotstack.os.plugins.module_utils.files import (
    acting_as,
    make_folders,
    read_text,
    write_text,
)

MODE = 0o600
# Where clients look, in a home.
FILE = ".config/openstack/clouds.yaml"


def wanted_clouds(params: dict[str, Any], check_mode: bool) -> dict[str, dict[str, Any]]:
    """Return our clouds as clients expect them."""
    result = {}
    for cloud in params["clouds"]:
        password = read_credential(params["credentials_file"], cloud["password_credential"], check_mode)
        result[cloud["name"]] = {
            "auth": {
                "auth_url": cloud["auth_url"],
                "username": cloud["username"],
                "password": password,
                "project_name": cloud["project_name"],
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": cloud["region_name"],
            "interface": "public",
            "identity_api_version": "3",
        }
    return result


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Compare and write."""
    if not (params["path"] or params["owner"]):
        raise clouds.CloudsError("Give a path or an owner.")
    try:
        owner = pwd.getpwnam(params["owner"]) if params["owner"] else None
    except KeyError:
        if check_mode:
            # Our own user comes with an earlier task.
            return {"changed": True, "path": params["path"] or f"~{params['owner']}/{FILE}", "diff": {}}
        raise clouds.CloudsError(f"The user {params['owner']} does not exist on this host.") from None
    path = params["path"] or os.path.join(owner.pw_dir if owner else "", FILE)
    wanted = wanted_clouds(params, check_mode)
    try:
        with acting_as(owner):
            before, mode = read_text(path)
            after = clouds.merge(before or "", wanted, params["part"])
            changed = (before, mode) != (after, MODE)
            if changed and not check_mode:
                make_folders(os.path.dirname(path), private=owner is not None)
                write_text(path, after, MODE)
    except (clouds.CloudsError, OSError, UnicodeDecodeError) as error:
        raise clouds.CloudsError(f"{path} can't be changed: {error}") from None
    state = "clouds of ours: " + ", ".join(wanted)
    diff = {"before": "another file, mode or content\n" if changed else f"{state}\n", "after": f"{state}\n"}
    return {"changed": changed, "path": path, "diff": {**diff, "before_header": path, "after_header": path}}


def main() -> None:
    """Run as an Ansible module."""
    text = {"type": "str", "required": True}
    cloud = dict.fromkeys(("name", "auth_url", "username", "project_name", "region_name"), text)
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path"},
            "owner": {"type": "str"},
            "credentials_file": {"type": "path", "required": True},
            "part": {"type": "str", "default": ""},
            "clouds": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {**cloud, "password_credential": {**text, "no_log": False}},
            },
        },
        required_one_of=[("path", "owner")],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except (clouds.CloudsError, CredentialsError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
