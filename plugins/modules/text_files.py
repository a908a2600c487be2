#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Write several small files in one go."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: text_files
short_description: Write several small files in one go
version_added: "0.1.0"
author: The hotstack.os authors (!UNKNOWN)
description:
  - Gives each file its content and mode, and names those that changed.
  - One run however many files there are, where M(ansible.builtin.template) in a loop takes two for each.
options:
  files:
    description: The files, owned by root. Folders that are missing are created.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where the file lies.
        type: path
        required: true
      content:
        description: Its text; a last line break is added if there is none.
        type: str
        required: true
      mode:
        description: Its mode.
        type: str
        default: "0644"
      mark:
        description: A text that shows that a file is ours. One without it is somebody else's and stays, with a warning.
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
- name: Write the files
  hotstack.os.text_files:
    files:
      - path: /etc/hotstack-os/network.nft
        content: "{{ lookup('ansible.builtin.template', 'network.nft.j2') }}"
"""

RETURN = r"""
paths:
  description: The files that were not yet as wanted.
  type: list
  elements: str
  returned: always
"""

import os
import stat
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hotstack.os.plugins.module_utils.files import make_folders, read_text, write_text


def run(files: list[dict[str, Any]], check_mode: bool) -> dict[str, Any]:
    """Compare all files, write those that differ, and name them."""
    diffs, paths, warnings = [], [], []
    for wanted in files:
        path, mode = wanted["path"], int(wanted["mode"], 8)
        content = wanted["content"] if wanted["content"].endswith("\n") else wanted["content"] + "\n"
        try:
            old_content, old_mode = read_text(path)
        except UnicodeDecodeError:
            old_content, old_mode = "(no text)\n", stat.S_IMODE(os.stat(path).st_mode)
        if (old_content, old_mode) == (content, mode):
            continue
        if old_content is not None and wanted.get("mark") and wanted["mark"] not in old_content:
            warnings.append(f"{path} is not ours and stays as it is; remove it to get the one of this collection.")
            continue
        paths.append(path)
        header = {"before_header": path, "after_header": path}
        diffs.append({**header, "before": old_content or "", "after": content})
        if old_content is not None and old_mode != mode:
            diffs.append({**header, "before": f"mode {old_mode:04o}\n", "after": f"mode {mode:04o}\n"})
        if not check_mode:
            make_folders(os.path.dirname(path))
            write_text(path, content, mode)
    result = {"changed": bool(paths), "paths": paths, "diff": diffs}
    return {**result, "warnings": warnings} if warnings else result


def main() -> None:
    """Speak to Ansible."""
    file = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "required": True},
        "mode": {"type": "str", "default": "0644"},
        "mark": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={"files": {"type": "list", "elements": "dict", "required": True, "options": file}},
        supports_check_mode=True,
    )
    try:
        result = run(module.params["files"], module.check_mode)
    except OSError as error:
        module.fail_json(msg=f"{error.filename} can't be written: {error.strerror}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
