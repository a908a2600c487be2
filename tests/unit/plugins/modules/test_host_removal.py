# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from test_host_record import traces

from ansible_collections.hotstack.os.plugins.module_utils import (
    records,
    removal_facts,
    removal_processes,
    removal_traces,
    removal_work,
)
from ansible_collections.hotstack.os.plugins.modules import host_removal


@pytest.fixture(name="path")
def _path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a host in which only data and one file of ours are."""
    monkeypatch.setattr(removal_facts, "run", mock.Mock(return_value=mock.Mock(returncode=127, stdout="", stderr="")))
    monkeypatch.setattr(removal_traces, "SYSTEM_FILES", (f"{tmp_path}/file",))
    for name in ("SYSTEM_FOLDERS", "HOST_FOLDERS", "HOST_FILES", "DAEMONS"):
        monkeypatch.setattr(removal_traces, name, ())
    for name in ("texts", "other_networks"):
        monkeypatch.setattr(removal_facts, name, lambda *_arguments: {})
    monkeypatch.setattr(removal_processes, "session", dict)
    monkeypatch.setattr(removal_facts, "secrets", lambda *_arguments: ())
    monkeypatch.setattr(removal_traces, "SETTINGS_FILE", f"{tmp_path}/none")
    monkeypatch.setattr(removal_traces, "ARCHIVES", f"{tmp_path}/none")
    (tmp_path / "file").touch()
    (tmp_path / "data" / "mysql").mkdir(parents=True)
    records.write_section(f"{tmp_path}/data/runtime/created.json", "paths", {f"{tmp_path}/data": None})
    return tmp_path


def run(path: Path, check_mode: bool = False, **choices: bool) -> dict[str, Any]:
    params = {"traces": traces(path), "everything": False, "images": True, "packages": False, **choices}
    return host_removal.run(params, check_mode)


def test_services_go_and_data_stays(path: Path) -> None:
    assert run(path)["removals"] == [f"file {path}/file"]
    assert [entry.name for entry in path.iterdir()] == ["data"]
    assert not run(path)["changed"]


def test_everything_goes_once(path: Path) -> None:
    listed = run(path, check_mode=True, everything=True)
    assert (path / "file").exists()
    done = run(path, everything=True)
    assert done == listed
    assert done["diff"]["before"] == f"file {path}/file\ndata in {path}/data\n"
    assert list(path.iterdir()) == []
    assert run(path, everything=True) == {
        "changed": False,
        "removals": [],
        "kept": [],
        "diff": {"before": "", "after": ""},
    }


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (removal_work.RemovalError("It is in use."), "It is in use. Run it again once the cause is gone"),
        (PermissionError(1, "not permitted", "/a"), "/a can't be removed: not permitted."),
    ],
)
def test_main_explains(path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    monkeypatch.setattr(removal_work, "act", mock.Mock(side_effect=error))
    params = {"traces": traces(path), "everything": False, "images": True, "packages": False}
    module = mock.Mock(params=params, check_mode=False)
    module.fail_json.side_effect = SystemExit
    with mock.patch.object(host_removal, "AnsibleModule", return_value=module), pytest.raises(SystemExit):
        host_removal.main()
    assert message in module.fail_json.call_args.kwargs["msg"]


def test_main_refuses_before_anything_goes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal_facts, "switch", mock.Mock(side_effect=removal_facts.FactsError("It is down.")))
    params = {"traces": traces(path), "everything": True, "images": True, "packages": False}
    module = mock.Mock(params=params, check_mode=False)
    module.fail_json.side_effect = SystemExit
    records.write_section(f"{path}/data/runtime/created.json", "ovs_bridges", {"hot-ex": None})
    with mock.patch.object(host_removal, "AnsibleModule", return_value=module), pytest.raises(SystemExit):
        host_removal.main()
    assert module.fail_json.call_args.kwargs["msg"] == "It is down."
    assert (path / "file").exists()


def test_other_settings_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path / "deployment.json").write_text('{"hotstack_os_data_dir": "/srv"}')
    monkeypatch.setattr(removal_traces, "SETTINGS_FILE", f"{path}/deployment.json")
    with pytest.raises(removal_facts.FactsError, match="hotstack_os_data_dir=/srv"):
        run(path, everything=True)
    assert (path / "file").exists()


def test_main_reports(path: Path) -> None:
    params = {"traces": traces(path), "everything": False, "images": True, "packages": False}
    module = mock.Mock(params=params, check_mode=True)
    with mock.patch.object(host_removal, "AnsibleModule", return_value=module):
        host_removal.main()
    assert module.exit_json.call_args.kwargs["changed"] is True
