# SPDX-License-Identifier: Apache-2.0
"""The way of settings through Ansible: a play with the role `preflight` and extra variables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleError

from ansible_collections.hotstack.os.plugins.action import validate_settings

PLAY = """---
- name: Look at the settings
  hosts: localhost
  gather_facts: false
  vars:
    hotstack_os_host_name: node1
  roles:
    - hotstack.os.preflight
"""

BAD = {
    "numbers and words": (
        {"hotstack_os_mtu": "90000", "hotstack_os_debug": "maybe", "hotstack_os_datapath": "fast"},
        [
            "3 settings are not usable; nothing was changed.",
            "- hotstack_os_mtu is '90000', but must be a whole number from 1280 to 65521.",
            "- hotstack_os_debug is 'maybe', but must be true or false.",
            "- hotstack_os_datapath is 'fast', but must be one of auto, netdev, system.",
        ],
    ),
    "a typo and what follows from another setting": (
        {"hotstack_os_data_dri": "/srv", "hotstack_os_data_dir": "/etc"},
        ["3 settings are not usable", "did you mean hotstack_os_data_dir?", "'/etc', but must be a folder of its own"],
    ),
    "a secret": (
        {"hotstack_os_credentials_given": '{"admin_password": "Swordf"}'},
        ["A setting is not usable", "hotstack_os_credentials_given['admin_password'] is given with 6 characters"],
    ),
    "a reference to nothing": (
        {"hotstack_os_region": "{{ nothing_of_this_name }}"},
        ["A setting is not usable", "hotstack_os_region refers to something that is not defined, but must be a value."],
    ),
}


@pytest.mark.parametrize(("extra", "expected"), BAD.values(), ids=BAD)
def test_bad_settings_end_a_play(extra: dict[str, str], expected: list[str], tmp_path: Path) -> None:
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", str(play)]
    for name, value in extra.items():
        command += [
            "-e",
            f'{{"{name}": {value}}}' if value.startswith("{") and "{{" not in value else f"{name}='{value}'",
        ]
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1", "COLUMNS": "1000"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=tmp_path)
    output = (done.stdout + done.stderr).replace("\\n", "\n").replace("\\'", "'")
    assert done.returncode == 2, output
    assert "TASK [hotstack.os.preflight : Check the settings]" in output
    assert "Check the host]" not in output, "the host was not looked at"
    for text in expected:
        assert text in output, output
    assert "Swordf" not in output


class Templar:
    """Resolve nothing but one bad reference."""

    def template(self, value: Any) -> Any:
        if value == "{{ bad }}":
            raise AnsibleError("bad is undefined")
        return value


class Encrypted:
    """What ansible-core 2.17 makes of `!vault`."""

    _ciphertext = b"x"

    def __str__(self) -> str:
        return "Swordfish"


def test_encrypted_values_are_texts() -> None:
    given = {"hotstack_os_credentials_given": {"admin_password": Encrypted()}}
    assert plugin().run(task_vars=given)["problems"] == []


def plugin() -> validate_settings.ActionModule:
    task = mock.MagicMock(async_val=0, check_mode=False, diff=False)
    return validate_settings.ActionModule(task, mock.MagicMock(), mock.MagicMock(), None, Templar(), None)


def test_no_problem() -> None:
    result = plugin().run(task_vars={"hotstack_os_mtu": 1500, "something_else": 1})
    assert result["problems"] == []
    assert not result["changed"]
    assert "failed" not in result


def test_problems() -> None:
    result = plugin().run(task_vars={"hotstack_os_mtu": 1, "hotstack_os_region": "{{ bad }}"})
    assert result["failed"]
    assert len(result["problems"]) == 2
    assert result["msg"].count("\n- ") == 2
