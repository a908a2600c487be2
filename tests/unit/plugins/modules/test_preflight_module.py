# SPDX-License-Identifier: Apache-2.0
"""What the module reads from a real machine, and what it makes of the answers."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import kvm
from ansible_collections.hotstack.os.plugins.module_utils import preflight as judge
from ansible_collections.hotstack.os.plugins.modules import preflight

PARAMS: dict[str, Any] = {
    "systems": {"debian": 13},
    "system_names": "Debian 13",
    "podman_version": "5.0",
    "memory_mib": 1,
    "disks": [{"path": "/nowhere/at/all", "mib": 1}],
    "networks": ["172.31.0.0/25"],
    "own_names": ["hotstack-os"],
    "services": {
        "dnsmasq": {"port": 53},
        "haproxy": {"port": 8404, "address": 6},
        "keystone": {"port": 5000, "public": "keystone", "address": 11},
        "mariadb": {"port": 3306, "address": 3},
    },
    "entry_address": "127.0.0.9",
    "dns_address": "127.0.0.10",
    "user": "hotstack",
    "home": "/var/lib/hotstack",
    "ca_bundle": "",
    "clients": {},
    "settings": {},
    "former_settings": "/nowhere/deployment.json",
}


def test_wanted_from() -> None:
    wanted = preflight.wanted_from(PARAMS)
    assert wanted.systems == {"debian": "13"}
    assert set(wanted.listeners) == {
        ("tcp", "127.0.0.9", 5000),
        ("tcp", "127.0.0.9", 8404),
        ("tcp", "127.0.0.9", 53),
        ("udp", "127.0.0.9", 53),
        ("tcp", "127.0.0.10", 53),
        ("udp", "127.0.0.10", 53),
    }


def test_run_reports_all() -> None:
    result, notes = preflight.run(
        PARAMS, lambda _wanted: judge.Host(uid=7, os_id="debian", memory_mib=9, kvm_fault="x")
    )
    fix = "Run it as root or with become, as the playbooks of the collection do."
    assert result["problems"] == [f"User: found user id 7; needed root. {fix}"]
    assert result["problems"][0] in result["msg"]
    assert not result["changed"]
    assert not result["kvm"]
    assert len(notes) == 1


def test_run_is_content() -> None:
    result, notes = preflight.run(PARAMS, lambda _wanted: judge.Host(os_id="debian", memory_mib=9))
    assert result == {"changed": False, "problems": [], "kvm": True, "selinux": "disabled", "deployed": False}
    assert notes == []


def test_read_former(tmp_path: Path) -> None:
    (tmp_path / "data/mysql/data").mkdir(parents=True)
    (tmp_path / "mounts").mkdir()
    former = {"hotstack_os_data_dir": str(tmp_path / "data"), "hotstack_os_volume_mounts_dir": str(tmp_path / "mounts")}
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps({**former, "hotstack_os_mtu": 9216}))
    host = judge.Host()
    preflight.read_former(host, str(path))
    assert host.former == former
    assert host.has_database
    assert host.filled == {former["hotstack_os_data_dir"]}


@pytest.mark.parametrize("text", [None, "", "{", "{}"])
def test_read_former_without_one(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "deployment.json"
    if text is not None:
        path.write_text(text)
    host = judge.Host()
    preflight.read_former(host, str(path))
    assert host == judge.Host()


class FakeModule:
    """What main() uses of an AnsibleModule."""

    calls: ClassVar[list[str]] = []

    def __init__(self, argument_spec: dict[str, Any], supports_check_mode: bool) -> None:
        assert set(argument_spec) == set(PARAMS)
        assert supports_check_mode
        self.params = PARAMS
        FakeModule.calls.clear()

    def warn(self, text: str) -> None:
        FakeModule.calls.append(f"warn {text}")

    def fail_json(self, **result: Any) -> None:
        FakeModule.calls.append(f"fail {result['msg']}")
        raise SystemExit(1)

    def exit_json(self, **result: Any) -> None:
        FakeModule.calls.append(f"exit {result['changed']}")
        raise SystemExit(0)


OUTCOMES = [
    ({"problems": ["a"], "msg": "bad", "changed": False}, ["w"], ["warn w", "fail bad"]),
    ({"problems": [], "changed": False}, [], ["exit False"]),
]


@pytest.mark.parametrize(("result", "notes", "calls"), OUTCOMES)
def test_main(result: dict[str, Any], notes: list[str], calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "AnsibleModule", FakeModule)
    monkeypatch.setattr(preflight, "run", lambda _params: (result, notes))
    with pytest.raises(SystemExit):
        preflight.main()
    assert FakeModule.calls == calls


ANSWERS = [
    ("print('yes')", "yes\n", ""),
    ("import sys; sys.exit('broken')", "", "failing with: broken"),
    ("import sys; sys.exit(4)", "", "failing with: exit status 4"),
    ("import time; time.sleep(9)", "", "within 0.5 s"),
]


@pytest.mark.parametrize(("code", "shown", "fault"), ANSWERS)
def test_answer(code: str, shown: str, fault: str) -> None:
    found, wrong = preflight.answer([sys.executable, "-S", "-c", code], 0.5 if "sleep" in code else 20)
    assert found == shown
    assert fault in wrong
    assert bool(fault) == bool(wrong)


def test_answer_of_nobody() -> None:
    assert preflight.answer(["/nowhere"]) == ("", "`/nowhere` that can't be run (No such file or directory)")


def test_within() -> None:
    def fail() -> list[str]:
        raise OSError

    def sleep() -> list[str]:
        time.sleep(5)
        return ["late"]

    assert preflight.within(1, lambda: ["now"]) == ["now"]
    assert preflight.within(1, fail) is None
    assert preflight.within(0.05, sleep) is None


def test_free_space_of_a_folder_to_come(tmp_path: Path) -> None:
    assert preflight.free_space(str(tmp_path / "a" / "b")).device == os.stat(tmp_path).st_dev


def test_text_of_nothing() -> None:
    assert preflight.text_of("/nowhere") == ""


def test_listeners_have_owners() -> None:
    with socket.create_server(("127.0.0.9", 0)) as server:
        port = server.getsockname()[1]
        services = {**PARAMS["services"], "keystone": {"port": port, "public": "keystone", "address": 11}}
        found = preflight.read_listeners(preflight.wanted_from({**PARAMS, "services": services}))
    mine = [listener for listener in found if listener.port == port]
    assert len(mine) == 1
    assert f"(process {os.getpid()})" in mine[0].owner
    assert not mine[0].ours


def test_listener_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.9", 0)) as server:
        inode = os.readlink(f"/proc/self/fd/{server.fileno()}")[8:-1]
        cgroup = "0::/system.slice/hotstack-os-haproxy.service/supervisor\n"
        monkeypatch.setattr(preflight, "text_of", lambda path: cgroup if path.endswith("cgroup") else "conmon\n")
        found = preflight.owners({inode, "no such inode"})
    assert found == {inode: (f"conmon (process {os.getpid()})", True)}
    assert preflight.owners(set()) == {}


def test_podman_networks(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"name": "a", "subnets": [{"subnet": "10.9.0.0/24", "gateway": "10.9.0.1"}]}')
    (tmp_path / "b.json").write_text('{"name": "b", "subnets": null}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    assert preflight.read_podman_networks(str(tmp_path)) == {"podman": ["10.88.0.0/16"], "a": ["10.9.0.0/24"], "b": []}


def test_accounts() -> None:
    host = judge.Host()
    preflight.read_accounts(host, "root")
    assert host.user
    assert (host.user.uid, host.user.group, host.group_id) == (0, "root", 0)
    host = judge.Host()
    preflight.read_accounts(host, "nobody-of-this-name")
    assert host.user is None
    assert host.group_id is None


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    host = judge.Host()
    preflight.read_names(host)
    assert host.full_name
    assert host.name_addresses
    assert host.full_name_addresses


def test_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: Any, **_options: Any) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    host = judge.Host()
    preflight.read_names(host)
    assert host.name
    assert host.name_addresses is None


def test_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "systemctl": ("Id=firewalld.service\nActiveState=active\n", ""),
        "podman": ("podman version 5.4.2\n", ""),
        "libvirtd": ("", "silence"),
    }
    monkeypatch.setattr(preflight, "installed", lambda program: program in answers)
    monkeypatch.setattr(preflight, "answer", lambda arguments: answers[arguments[0]])
    host = judge.Host()
    preflight.read_tools(host)
    assert host.units["firewalld.service"]["ActiveState"] == "active"
    assert host.podman == "5.4.2"
    assert host.broken_tools == {"libvirtd": "silence"}


def test_broken_podman_and_open_vswitch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "installed", lambda program: program in ("podman", "ovs-vsctl"))
    monkeypatch.setattr(preflight, "answer", lambda arguments: ("", f"{arguments[0]} is silent"))
    monkeypatch.setattr(os.path, "exists", lambda _path: True)
    host = judge.Host()
    preflight.read_tools(host)
    assert host.broken_tools == {"podman": "podman is silent", "Open vSwitch": "ovs-vsctl is silent"}


def test_names_that_are_taken(tmp_path: Path) -> None:
    for name in ("br0/bridge", "eth0/device", "hot-int/statistics"):
        (tmp_path / name).mkdir(parents=True)
    names = ["br0", "eth0", "hot-int", "absent", ""]
    assert preflight.taken(names, str(tmp_path)) == {"br0": "a Linux bridge", "eth0": "a device"}


def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "lost").symlink_to("nowhere")
    names = ["folder", "file", "link", "lost", "absent", "file/below"]
    found = preflight.misplaced([*(f"{tmp_path}/{name}" for name in names), ""])
    assert found == {f"{tmp_path}/file": "no folder", f"{tmp_path}/link": "a link", f"{tmp_path}/lost": "a link"}


BUNDLES = [(None, "missing"), ("no", "empty"), ("-----BEGIN CERTIFICATE-----\n", "")]


@pytest.mark.parametrize(("content", "expected"), BUNDLES)
def test_this_machine_can_be_read(
    content: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kvm, "fault", lambda: "")
    monkeypatch.setattr(preflight, "read_tools", lambda _host: None)
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    clients = {"keystone_clouds_users": ["root", "nobody-of-this-name", 0]}
    (tmp_path / "link").symlink_to(tmp_path)
    changes = {"ca_bundle": str(bundle), "clients": clients, "settings": {judge.DATA: str(tmp_path / "link")}}
    host = preflight.read_host(preflight.wanted_from({**PARAMS, **changes}))
    assert host.misplaced == {str(tmp_path / "link"): "a link"}
    assert host.clients == {"root"}
    assert host.ca_bundle == expected
    assert host.os_id
    assert host.memory_mib > 0
    assert host.uid == os.geteuid()
