#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Keep one file of generated and given secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: credentials
short_description: Keep one file of generated and given secrets
version_added: 0.1.0
description:
  - Keeps a JSON file with one secret per name, which only root can read.
  - A secret that is in the file already stays, unless it is given or to be renewed. A new name gets a random one of
    letters and digits.
  - No secret is ever returned or shown, not even in a diff.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  path:
    description: The file. Its folder must exist.
    type: path
    required: true
  names:
    description: The names that the file must have. Further names in it are kept.
    type: list
    elements: str
    required: true
  given:
    description: Secrets to use instead of generated ones, by name.
    type: dict
    default: {}
  lengths:
    description: The number of characters of those secrets that must have an exact one, by name. Others have 40.
    type: dict
    default: {}
  renew:
    description: The names of secrets that get another random one. Every run with it makes new ones.
    type: list
    elements: str
    default: []
  fixed:
    description: The names of secrets that never change once they are in the file; the module refuses another value.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Reports what would change without changing it.
    support: full
  diff_mode:
    description: Shows the names of the secrets that are new or replaced.
    support: full
"""

EXAMPLES = r"""
- name: Keep the secrets of the deployment
  hotstack.os.credentials:
    path: /var/lib/hotstack-os/credentials.json
    names: [admin_password, heat_encryption_key]
    lengths:
      heat_encryption_key: 32

- name: Make another password for the administrator
  hotstack.os.credentials:
    path: /var/lib/hotstack-os/credentials.json
    names: [admin_password, heat_encryption_key]
    renew: [admin_password]
"""

RETURN = r"""
added:
  description: Names of the secrets that are new.
  returned: success
  type: list
  elements: str
replaced:
  description: Names of the secrets that got another value, given or random.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import credentials

ARGUMENTS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "given": {"type": "dict", "default": {}, "no_log": True},
    "lengths": {"type": "dict", "default": {}},
    "renew": {"type": "list", "elements": "str", "default": []},
    "fixed": {"type": "list", "elements": "str", "default": []},
}


def describe(names: list[str], private: bool) -> dict[str, Any]:
    """Return what a diff may show of a file of secrets."""
    return {"secrets": names, "readable": "by root alone" if private else "by others too"}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the file to what is wanted and return what had to be done."""
    before, private = credentials.read(params["path"])
    after = credentials.complete(
        before,
        params["names"],
        params["given"],
        params["lengths"],
        renew=params["renew"],
        fixed=params["fixed"],
    )
    done = credentials.changes(before, after)
    changed = before != after or not private
    if changed and not check_mode:
        credentials.write(params["path"], after)
    marked = [name + (" (replaced)" if name in done["replaced"] else "") for name in after]
    return {
        "changed": changed,
        **done,
        "diff": {"before": describe(list(before), private), "after": describe(marked, True)},
    }


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except credentials.CredentialsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
