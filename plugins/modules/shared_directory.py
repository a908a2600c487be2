#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Make folders that the members of a group share."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: shared_directory
short_description: Make folders that the members of a group share
version_added: 0.1.0
description:
  - Makes folders with an owner, a group and a mode, by default so that all members of the group can work in them.
  - On request also mends what lies below such a folder, made perhaps by a program with other habits.
  - Never follows a symbolic link.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  path:
    description: The folder, as an absolute path. Parents that are missing are made with mode 0755.
    type: path
  owner:
    description: The name of the owner.
    type: str
    default: root
  group:
    description: The name of the group.
    type: str
    default: kvm
  mode:
    description:
      - The mode, an octal number in quotes. With the setgid bit of the default, what is made inside gets the group.
    type: str
    default: "2775"
  mend:
    description:
      - Whether to mend what lies below. Everything gets the group, files also group read and write, folders also
        group access and the setgid bit. Owners stay.
      - Links, special files, files with several names and other file systems are left alone.
    type: bool
    default: false
  directories:
    description: Several folders in one run, instead of O(path). Each has the options above.
    type: list
    elements: dict
    suboptions:
      path:
        description: The folder.
        type: path
        required: true
      owner:
        description: The name of the owner.
        type: str
        default: root
      group:
        description: The name of the group.
        type: str
        default: kvm
      mode:
        description: The mode, as an octal number in quotes.
        type: str
        default: "2775"
      mend:
        description: Whether to mend what lies below.
        type: bool
        default: false
attributes:
  check_mode:
    description: Reports what would change without changing it.
    support: full
  diff_mode:
    description: Shows owner, group and mode of each folder, and the paths below that are mended.
    support: full
"""

EXAMPLES = r"""
- name: Make the folder of the guests
  hotstack.os.shared_directory:
    path: /var/lib/hotstack-os/nova-instances
    owner: hotstack
    mend: true
"""

RETURN = r"""
mended:
  description: The paths below the folders whose group or mode was changed.
  returned: success
  type: list
  elements: str
"""

import grp
import pwd
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import file_access
from ansible_collections.hotstack.os.plugins.module_utils.file_access import Access, AccessError

FOLDER: dict[str, Any] = {
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "kvm"},
    "mode": {"type": "str", "default": "2775"},
    "mend": {"type": "bool", "default": False},
}
ARGUMENTS: dict[str, Any] = {
    "path": {"type": "path"},
    **FOLDER,
    "directories": {
        "type": "list",
        "elements": "dict",
        "options": {"path": {"type": "path", "required": True}, **FOLDER},
    },
}


def wanted(folder: dict[str, Any], check_mode: bool) -> Access:
    """Return the access that a folder should have. In check mode its user and group may be still to come."""
    if not folder["path"].startswith("/"):
        raise AccessError(f"The path {folder['path']} is not absolute.")
    uid = gid = None
    try:
        uid = pwd.getpwnam(folder["owner"]).pw_uid
    except KeyError:
        if not check_mode:
            raise AccessError(f"User {folder['owner']} does not exist on this host.") from None
    try:
        gid = grp.getgrnam(folder["group"]).gr_gid
    except KeyError:
        if not check_mode:
            raise AccessError(f"Group {folder['group']} does not exist on this host.") from None
    return Access(uid, gid, file_access.parse_mode(folder["mode"]))


def describe(access: Access | None, folder: dict[str, Any]) -> dict[str, str]:
    """Return what a diff shows of a folder."""
    if access is None:
        return {"state": "absent"}
    owner = folder["owner"] if access.uid is None else name_of(pwd.getpwuid, access.uid)
    group = folder["group"] if access.gid is None else name_of(grp.getgrgid, access.gid)
    return {"owner": owner, "group": group, "mode": f"{access.mode:04o}"}


def name_of(lookup: Any, number: int) -> str:
    """Return the name of a user or group, or its number if it has none."""
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the folders to what is wanted and return the paths that were mended."""
    folders = params["directories"] or [params]
    plan = [(folder, file_access.current(folder["path"]), wanted(folder, check_mode)) for folder in folders]
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    mended: list[str] = []
    for folder, found, access in plan:
        if found != access:
            before[folder["path"]], after[folder["path"]] = describe(found, folder), describe(access, folder)
            if not check_mode:
                file_access.ensure_folder(folder["path"], access)
        if folder["mend"] and found is not None:
            mended += file_access.mend_below(folder["path"], access.gid, dry=check_mode)
    if mended:
        after["mended"] = mended
    return {"changed": bool(after), "mended": mended, "diff": {"before": before, "after": after}}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        mutually_exclusive=[("path", "directories")],
        required_one_of=[("path", "directories")],
    )
    try:
        result = run(module.params, module.check_mode)
    except AccessError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename} can't be mended: {error.strerror}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
