# SPDX-License-Identifier: Apache-2.0
"""The controller's half of a build: what it sends, and what it shows."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.hotstack.os.plugins.action import container_images
from ansible_collections.hotstack.os.plugins.plugin_utils import progress

VARIABLES = {
    **{name: name.replace("hotstack_os_", "") for name in container_images.SETTINGS},
    "hotstack_os_images": {"base": {}, "infra": {"parent": "base"}, "openstack": {"parent": "base"}},
    "hotstack_os_users": {},
    "hotstack_os_data_dir": "/data",
}
DEFINITIONS = {
    "base": {"reference": "base:1", "parent": ""},
    "infra": {"reference": "infra:1", "parent": "base:1"},
    "openstack": {"reference": "openstack:1", "parent": "base:1"},
    "keystone": {"reference": "keystone:1", "parent": "openstack:1"},
}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["infra"], ["base:1", "infra:1"]),
        (["keystone"], ["base:1", "openstack:1", "keystone:1"]),
        (list(DEFINITIONS), ["base:1", "infra:1", "openstack:1", "keystone:1"]),
    ],
)
def test_with_parents(names: list[str], expected: list[str]) -> None:
    assert [line["reference"] for line in container_images.with_parents(DEFINITIONS, names)] == expected


def test_unknown_image() -> None:
    with pytest.raises(AnsibleActionFail, match="There is no image infar; there are base, infra, keystone, openstack"):
        container_images.with_parents(DEFINITIONS, ["infar"])


class Modules:
    """Answers of the module, one after the other."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, Any]] = []

    def __call__(self, _name: str, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(arguments)
        return self.answers.pop(0)


def action(
    monkeypatch: pytest.MonkeyPatch,
    modules: Modules,
    polls: tuple[str, ...] = (),
    check_mode: bool = False,
    **arguments: Any,
) -> tuple[dict[str, Any], list[str]]:
    """Run the action and return its result and what it showed."""
    shown: list[str] = []
    outputs = list(polls)
    plugin = container_images.ActionModule.__new__(container_images.ActionModule)
    plugin._task = SimpleNamespace(args=arguments, check_mode=check_mode)
    plugin._templar = SimpleNamespace(template=lambda value: value)
    monkeypatch.setattr(plugin, "_execute_module", modules)
    monkeypatch.setattr(plugin, "_low_level_execute_command", lambda _command: {"rc": 0, "stdout": outputs.pop(0)})
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    monkeypatch.setattr(progress, "show", shown.append)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    return plugin.run(task_vars=VARIABLES), shown


def test_nothing_to_build(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = Modules({"changed": False, "missing": []})
    result, shown = action(monkeypatch, modules)
    assert result["msg"] == "All images are there already; nothing was built."
    assert shown == []
    call = modules.calls[0]
    # Build contexts are sent only when something is built.
    assert all("files" not in image for image in call["images"])
    assert call["folder"] == "/data/runtime/build"
    assert len(call["references"]) == 3
    assert "build" not in call


def test_without_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(VARIABLES, "hotstack_os_images")
    with pytest.raises(AnsibleActionFail, match="hotstack_os_images is not defined: the calling role must list"):
        action(monkeypatch, Modules())


def test_check_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _shown = action(
        monkeypatch, Modules({"changed": True, "missing": ["infra"]}), check_mode=True, names=["infra"]
    )
    assert result["msg"] == "Images would be built: infra."
    assert result["changed"] is True


def test_build(monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"progress": "/p", "result": "/r", "process": 1}
    modules = Modules({"changed": True, "missing": ["base", "infra"]}, {"changed": True, "missing": [], "run": run})
    polls = ("base: step 1/2\n", 'base: built\n=== result\n{"built": ["base", "infra"]}')
    result, shown = action(monkeypatch, modules, polls, prune=True)
    assert result["msg"] == "Images built: base, infra."
    assert result["built"] == ["base", "infra"]
    assert shown == [
        "Building base, infra; the logs are /data/runtime/build/<image>.log",
        "  base: step 1/2",
        "  base: built",
    ]
    assert [call["prune"] for call in modules.calls] == [True, False]
    assert "Containerfile" in modules.calls[1]["images"][0]["files"]


def test_failed_build(monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"progress": "/p", "result": "/r", "process": 1}
    modules = Modules({"changed": True, "missing": ["base"]}, {"run": run})
    result, _shown = action(monkeypatch, modules, ('=== result\n{"failed": true, "msg": "no such package"}',))
    assert (result["failed"], result["msg"]) == (True, "no such package")


@pytest.mark.parametrize(
    "answers",
    [
        [{"failed": True, "msg": "podman is not installed"}],
        [{"missing": ["base"]}, {"failed": True, "msg": "podman is not installed"}],
    ],
)
def test_failed_module(monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any]]) -> None:
    result, _shown = action(monkeypatch, Modules(*answers))
    assert (result["failed"], result["msg"]) == (True, "podman is not installed")


def test_wrong_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIABLES, "hotstack_os_images", {"base": {"parent": "base"}})
    with pytest.raises(AnsibleActionFail, match="its own ancestor"):
        action(monkeypatch, Modules())
