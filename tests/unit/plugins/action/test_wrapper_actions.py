# SPDX-License-Identifier: Apache-2.0
"""What the controller adds to a task that installs a wrapper."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from ansible_collections.hotstack.os.plugins.action import mount_nfs_wrapper, qemu_img_wrapper


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("hotstack.os.qemu_img_wrapper", "module hotstack.os.qemu_img_wrapper ", "Try the wrappers"),
        ("mount_nfs_wrapper", "module hotstack.os.mount_nfs_wrapper ", "Try the wrappers"),
    ],
)
def test_sources_are_sent(name: str, first: str, second: str) -> None:
    assert mount_nfs_wrapper.ActionModule is qemu_img_wrapper.ActionModule
    action = object.__new__(qemu_img_wrapper.ActionModule)
    action._task = mock.Mock(action=name, args={"root": "/srv"})
    with (
        mock.patch("ansible.plugins.action.ActionBase.run", return_value={}),
        mock.patch.object(qemu_img_wrapper.ActionModule, "_execute_module", return_value={"changed": True}) as execute,
    ):
        assert action.run(task_vars={"a": 1}) == {"changed": True}
    module, arguments = execute.call_args.args
    assert module == f"hotstack.os.{name.rpartition('.')[2]}"
    assert arguments["root"] == "/srv"
    check: dict[str, Any] = {"program": first, "self_test": second}
    assert all(text in arguments[key] for key, text in check.items())
    assert execute.call_args.kwargs == {"task_vars": {"a": 1}}
