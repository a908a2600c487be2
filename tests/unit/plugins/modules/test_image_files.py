# SPDX-License-Identifier: Apache-2.0
"""The module that brings files of images, and its half on the controller."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.plugins.action import ActionBase

from ansible_collections.hotstack.os.plugins.action import image_files as action
from ansible_collections.hotstack.os.plugins.module_utils import image_downloads
from ansible_collections.hotstack.os.plugins.modules import image_files
from ansible_collections.hotstack.os.plugins.plugin_utils import progress


def parameters(folder: Path, **values: Any) -> dict[str, Any]:
    line = {"name": "cirros", "url": "http://127.0.0.1:9/c.img", "file": "", "checksum": "", "disk_format": "raw"}
    rest: dict[str, Any] = {"names": None, "refresh": False, "proxy": "http://127.0.0.1:9", "ca_bundle": ""}
    return {"images": [line], "cache": str(folder / "cache"), **rest, **values}


def local(folder: Path) -> dict[str, Any]:
    (folder / "local.img").write_bytes(b"1")
    return {"name": "local", "url": "", "file": str(folder / "local.img"), "checksum": "", "disk_format": "raw"}


def test_check_mode(tmp_path: Path) -> None:
    wanted = parameters(tmp_path)
    assert image_files.run(wanted, True) == {"changed": True, "files": {}, "failures": {}}
    (tmp_path / "cache").mkdir()
    path = tmp_path / "cache" / image_downloads.cache_name(wanted["images"][0]["url"], "")
    path.write_bytes(b"1")
    wanted["images"].append(local(tmp_path))
    foreseen = image_files.run(wanted, True)
    assert foreseen["changed"] is False
    assert {name: file["path"] for name, file in foreseen["files"].items()} == {
        "cirros": str(path),
        "local": str(tmp_path / "local.img"),
    }


def test_local_files_need_no_process(tmp_path: Path) -> None:
    result = image_files.run(parameters(tmp_path, images=[local(tmp_path)]), False)
    assert list(result["files"]) == ["local"]


def test_downloads_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_downloads, "ATTEMPTS", 1)
    bundle = tmp_path / "ca.pem"
    wanted = parameters(tmp_path)
    wanted["images"].append(local(tmp_path))
    run = image_files.run({**wanted, "names": ["cirros"]}, False)["run"]
    os.waitpid(run["process"], 0)
    result = json.loads(Path(run["result"]).read_text())
    assert list(result["failures"]) == ["cirros"]
    assert result["files"] == {}
    assert "cirros: failed" in Path(run["progress"]).read_text()
    run = image_files.run({**wanted, "ca_bundle": str(bundle)}, False)["run"]
    os.waitpid(run["process"], 0)
    assert "ended unexpectedly" in json.loads(Path(run["result"]).read_text())["msg"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"changed": False, "files": {}}, {"changed": False, "files": {}}),
        ({"run": {"process": 1}}, {"changed": True, "files": {"a": {}}}),
        ({"failed": True, "msg": "no"}, {"failed": True, "msg": "no"}),
    ],
)
def test_action(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], expected: dict[str, Any]) -> None:
    plugin = action.ActionModule.__new__(action.ActionModule)
    plugin._task = SimpleNamespace(args={"cache": "/c"})
    monkeypatch.setattr(plugin, "_execute_module", lambda name, arguments, task_vars: dict(answer))
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    monkeypatch.setattr(progress, "follow", lambda *_arguments: {"changed": True, "files": {"a": {}}})
    assert plugin.run(task_vars={}) == expected


class EndedError(Exception):
    """The module ended."""


@pytest.mark.parametrize("error", [None, PermissionError(13, "Permission denied", "/c")])
def test_main(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    ended: dict[str, Any] = {}

    class Module:
        params: dict[str, Any] = {}  # noqa: RUF012
        check_mode = False

        def __init__(self, **_options: Any) -> None:
            pass

        def exit_json(self, **values: Any) -> None:
            ended.update(values)
            raise EndedError

        fail_json = exit_json

    def run(*_arguments: Any) -> dict[str, Any]:
        if error:
            raise error
        return {"changed": False}

    monkeypatch.setattr(image_files, "AnsibleModule", Module)
    monkeypatch.setattr(image_files, "run", run)
    with pytest.raises(EndedError):
        image_files.main()
    assert ended == ({"msg": "/c: Permission denied."} if error else {"changed": False})


def test_a_password_in_a_url_is_not_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    given = {"images": [], "cache": str(tmp_path), "proxy": "http://me:Swordfish@server/", "_ansible_check_mode": True}
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit):
        image_files.main()
    printed = capsys.readouterr().out
    assert json.loads(printed)["changed"] is False
    assert "Swordfish" not in printed
