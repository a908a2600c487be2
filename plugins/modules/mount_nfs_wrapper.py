#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Install the wrapper of mount.nfs."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mount_nfs_wrapper
short_description: Let a folder of the host stand for an NFS share
version_added: 0.1.0
description:
  - Installs a wrapper as C(/sbin/mount.nfs). It bind-mounts a folder of this host for one share, and runs
    the distribution's program, kept as C(/sbin/mount.nfs.real), for everything else.
  - On Debian and Ubuntu dpkg is told of it, so updates of the package C(nfs-common) go to the program aside.
  - RPM knows nothing like it. An update puts the package's program over the wrapper, and the next run of this module
    mends that. Run the module with O(state=absent) before the package is removed.
  - The images of this collection have the wrapper already.
    This is for a nova-compute or cinder-volume that runs outside of containers.
author:
  - The hotstack.os authors (!UNKNOWN)
options:
  state:
    description: Whether the wrapper and its configuration are there.
    type: str
    choices: [present, absent]
    default: present
  share:
    description: The share, as C(host:/path). Needed for O(state=present).
    type: str
  local_path:
    description: The folder that stands for it, an absolute path. Needed for O(state=present).
    type: str
  root:
    description: The root folder of the system to install it in. In any other than V(/), C(chroot) runs the self-test.
    type: path
    default: /
  program:
    description: The text of the wrapper. The collection fills it in.
    type: str
  self_test:
    description: The text of the program that tries the wrapper after a change. The collection fills it in.
    type: str
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: Shows the texts before and after.
    support: full
"""

EXAMPLES = r"""
- name: Let a folder stand for the share of the volumes
  hotstack.os.mount_nfs_wrapper:
    share: hotstack-os.fakenfs.local:/var/lib/hotstack-os/cinder-nfs
    local_path: /var/lib/hotstack-os/cinder-nfs

- name: Go back to the distribution's program
  hotstack.os.mount_nfs_wrapper:
    state: absent
"""

RETURN = r"""
path:
  description: Where the wrapper is.
  type: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils import wrappers

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "share": {"type": "str"},
    "local_path": {"type": "str"},
    "root": {"type": "path", "default": "/"},
    "program": {"type": "str"},
    "self_test": {"type": "str"},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring wrapper and configuration to their state."""
    root = params["root"]
    path = wrappers.resolve(root, "/sbin/mount.nfs")
    text = ""
    if params["state"] == "present":
        text = wrappers.mount_config(params["share"], params["local_path"])
    config = wrappers.resolve(root, "/etc/hotstack/mount-wrapper.conf")
    place = wrappers.Place(root, path, f"{path}.real", "mount_nfs_wrapper", config, text)
    return wrappers.bring(place, params, "--mount-nfs", check_mode)


def main() -> None:
    """Speak to Ansible."""
    required = [("state", "present", ("share", "local_path"))]
    wrappers.answer(AnsibleModule(argument_spec=ARGUMENTS, required_if=required, supports_check_mode=True), run)


if __name__ == "__main__":
    main()
