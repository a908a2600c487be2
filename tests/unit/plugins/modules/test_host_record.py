# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import removal_facts, removal_traces
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import Switch
from ansible_collections.hotstack.os.plugins.modules import host_record


def traces(path: Path) -> dict[str, Any]:
    """Return the parameter `traces` of a host below a folder."""
    return {
        "record_file": f"{path}/data/runtime/created.json",
        "user": "no-such-user",
        "home": f"{path}/home",
        "network": "hotstack-os",
        "subnet": "172.31.0.0/25",
        "bridges": ["hot-int", "hot-ex"],
        "addresses": ["172.31.0.129"],
        "data_dirs": [f"{path}/data"],
        "mounts_dir": f"{path}/data/nova-mnt",
        "build_cache": f"{path}/data/cache",
        "base_image": "debian",
    }


@pytest.fixture(name="host", autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal_facts, "run", mock.Mock(return_value=mock.Mock(returncode=127, stdout="", stderr="")))
    monkeypatch.setattr(removal_facts, "installed_packages", lambda: ("bash",))


def run(path: Path, moment: str, check_mode: bool = False, **more: Any) -> dict[str, Any]:
    return host_record.run({"moment": moment, "traces": traces(path), **more}, check_mode)


def record(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "data/runtime/created.json").read_text())
    return found


def test_recorded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path, "start", check_mode=True)["changed"]
    assert not (tmp_path / "data").exists()
    assert run(tmp_path, "start")["changed"]
    first = record(tmp_path)
    assert first["paths"][f"{tmp_path}/data"] is None
    assert first["packages_before"] == {"bash": None}
    monkeypatch.setattr(removal_facts, "installed_packages", lambda: ("bash", "podman"))
    assert run(tmp_path, "installed")["sections"] == ["packages", "packages_before"]
    assert record(tmp_path)["packages"] == {"podman": None}
    assert "packages_before" not in record(tmp_path)
    assert run(tmp_path, "switch")["changed"]
    second = record(tmp_path)
    assert second["ovs_bridges"] == {"hot-int": None, "hot-ex": None}
    for moment in ("start", "installed", "switch"):
        assert not run(tmp_path, moment)["changed"], moment
    assert record(tmp_path) == second


def test_what_was_recorded_of_the_switch_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "start")
    path = tmp_path / "data/runtime/created.json"
    path.write_text(json.dumps({**record(tmp_path), "ovs_external_ids": {"hostname": "former"}}))
    monkeypatch.setattr(removal_facts, "switch", lambda: Switch(external_ids={"ovn-bridge-datapath-type": "netdev"}))
    run(tmp_path, "switch")
    assert record(tmp_path)["ovs_external_ids"] == {"hostname": "former", "ovn-bridge-datapath-type": "netdev"}


@pytest.mark.parametrize("moment", ["start", "installed", "switch"])
def test_too_late_for_a_record(tmp_path: Path, moment: str) -> None:
    (tmp_path / "data" / "mysql").mkdir(parents=True)
    assert run(tmp_path, moment) == {"changed": False, "sections": []}
    assert removal_traces.DATA_MARKS


def test_build_of_images_comes_before(tmp_path: Path) -> None:
    (tmp_path / "data" / "runtime" / "build").mkdir(parents=True)
    assert run(tmp_path, "start")["changed"]
    assert record(tmp_path)["paths"][f"{tmp_path}/data"] is None


@pytest.mark.parametrize(("text", "changed"), [("[]", None), (None, True)])
def test_main(tmp_path: Path, text: str | None, changed: bool | None) -> None:
    if text:
        (tmp_path / "data/runtime").mkdir(parents=True)
        (tmp_path / "data/runtime/created.json").write_text(text)
    module = mock.Mock(params={"moment": "start", "traces": traces(tmp_path)}, check_mode=False)
    module.fail_json.side_effect = SystemExit
    with mock.patch.object(host_record, "AnsibleModule", return_value=module):
        if changed is None:
            with pytest.raises(SystemExit):
                host_record.main()
            assert "must hold a dictionary" in module.fail_json.call_args.kwargs["msg"]
        else:
            host_record.main()
            assert module.exit_json.call_args.kwargs["changed"] is changed


def test_files_of_clients_are_recorded_before_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home/a"
    (home / ".config").mkdir(parents=True)
    monkeypatch.setattr("pwd.getpwnam", mock.Mock(return_value=mock.Mock(pw_dir=str(home))))
    secret = tmp_path / "opt/secret.yaml"
    given: dict[str, Any] = {"files": [str(secret)], "users": ["a"]}
    assert run(tmp_path, "clients", **given)["sections"] == ["client_files"]
    (tmp_path / "data/runtime/created.json").unlink()
    monkeypatch.setattr("pwd.getpwnam", mock.Mock(side_effect=KeyError))
    run(tmp_path, "start")
    monkeypatch.setattr("pwd.getpwnam", mock.Mock(return_value=mock.Mock(pw_dir=str(home))))
    assert run(tmp_path, "clients", **given)["changed"]
    found = record(tmp_path)
    names = ["clouds.yaml", "cloud-secret.yaml"]
    folder = home / ".config/openstack"
    assert set(found["client_files"]) == {str(secret), *(f"{folder}/{name}" for name in names)}
    assert found["paths"][str(secret)] is found["paths"][f"{tmp_path}/opt"] is found["paths"][str(folder)] is None
    assert found["paths"][f"{home}/.config"]["entries"] == []
    assert not run(tmp_path, "clients", **given)["changed"]


def test_file_of_a_client_with_lines_of_ours_is_no_former_one(tmp_path: Path) -> None:
    run(tmp_path, "start")
    secret = tmp_path / "secret.yaml"
    secret.write_text("---\nhotstack_cloud_secrets:\n")
    run(tmp_path, "clients", files=[str(secret)], users=["no-such-user"])
    assert record(tmp_path)["client_files"] == {str(secret): None}
    assert str(secret) not in record(tmp_path)["paths"]


def test_switch_that_does_not_answer_is_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "start")
    monkeypatch.setattr(removal_facts, "switch", mock.Mock(side_effect=removal_facts.FactsError("It is down.")))
    assert run(tmp_path, "switch", check_mode=True)["changed"]
    module = mock.Mock(params={"moment": "switch", "traces": traces(tmp_path)}, check_mode=False)
    module.fail_json.side_effect = SystemExit
    with mock.patch.object(host_record, "AnsibleModule", return_value=module), pytest.raises(SystemExit):
        host_record.main()
    assert module.fail_json.call_args.kwargs["msg"] == "It is down."
    assert "ovs_bridges" not in record(tmp_path)


def test_main_names_the_file(tmp_path: Path) -> None:
    module = mock.Mock(params={"moment": "start", "traces": traces(tmp_path)}, check_mode=False)
    module.fail_json.side_effect = SystemExit
    (tmp_path / "data").touch()
    with mock.patch.object(host_record, "AnsibleModule", return_value=module), pytest.raises(SystemExit):
        host_record.main()
    assert str(tmp_path) in module.fail_json.call_args.kwargs["msg"]
