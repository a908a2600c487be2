# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import html
import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import removal_facts as facts
from ansible_collections.hotstack.os.plugins.module_utils import removal_traces
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import Bridge, Subject, Switch, Unit

US = pwd.getpwuid(os.geteuid())


class Tools:
    """Programs of an imitated host: what each command line that begins so prints; others are not installed."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers
        self.failing: dict[str, int] = {}
        self.asked: list[str] = []

    def __call__(self, *command: str) -> subprocess.CompletedProcess[str]:
        line = " ".join(command)
        self.asked.append(line)
        for start, text in self.answers.items():
            if line.startswith(start):
                return subprocess.CompletedProcess(command, 0, text, "")
        status = next((status for start, status in self.failing.items() if line.startswith(start)), facts.ABSENT)
        return subprocess.CompletedProcess(command, status, "", "no\n")


@pytest.fixture(name="tools")
def _tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    tools = Tools({})
    monkeypatch.setattr(facts, "run", tools)
    return tools


def test_a_missing_program_fails() -> None:
    assert facts.run("no-such-program").returncode == 127
    assert facts.answer("no-such-program") == ""
    assert facts.rows("no-such-program") == []


def test_attributes_are_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("os.listxattr", lambda _path: ["user.a"])
    monkeypatch.setattr("os.getxattr", lambda _path, _name: b"\x01")
    assert (facts.describe(f"{tmp_path}/file") or {})["xattrs"] == {"user.a": "01"}
    monkeypatch.setattr("os.listxattr", mock.Mock(side_effect=OSError(95, "not supported")))
    assert "xattrs" not in (facts.describe(f"{tmp_path}/file") or {"xattrs": ""})


def test_paths_are_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"a\xff\r\n")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    monkeypatch.setattr(facts, "LARGEST", 8)
    (tmp_path / "large").write_bytes(b" " * 9)
    owner = {"uid": os.getuid(), "gid": os.getgid()}
    assert facts.describe(f"{tmp_path}/file") == {"mode": "0640", **owner, "content": "a\udcff\r\n"}
    link = facts.describe(f"{tmp_path}/link")
    assert link is not None
    assert link["link"] == "file"
    assert (facts.describe(str(tmp_path)) or {})["entries"] == ["file", "large", "link"]
    assert "content" not in (facts.describe(f"{tmp_path}/large") or {"content": ""})
    assert facts.describe(f"{tmp_path}/none") is None


def test_accounts() -> None:
    found = facts.account_of(US.pw_name)
    assert found is not None
    assert (found.uid, found.shell, found.comment) == (US.pw_uid, US.pw_shell, US.pw_gecos)
    assert facts.account_of("no-such-user") is None


def test_units_on_the_disk_and_in_memory(tools: Tools) -> None:
    tools.answers = {
        "systemctl list-units": "hotstack-os-a.service loaded active running\nhotstack-os-b.service not-found x y\n",
        "systemctl list-unit-files": "hotstack-os.target enabled enabled\nssh.service enabled enabled\n",
        "systemctl show": (
            "Id=hotstack-os-a.service\nLoadState=loaded\nActiveState=active\n\n"
            "Id=hotstack-os-b.service\nLoadState=not-found\nActiveState=inactive\n\n"
            "Id=hotstack-os.target\nLoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\n"
        ),
    }
    assert facts.our_units() == {"hotstack-os-a.service": Unit(active=True), "hotstack-os.target": Unit(enabled=True)}
    assert facts.unit_states([]) == {}


LISTED: list[dict[str, Any]] = [
    {
        "Id": "1",
        "Names": ["hotstack-os-nova-api"],
        "Image": "localhost/hotstack-os-nova:1",
        "ImageID": "n",
        "State": "running",
    },
    {"Id": "2", "Names": ["base-working-container"], "Image": "localhost/hotstack-os-base:1", "ImageID": "b"},
    {
        "Id": "3",
        "Names": ["theirs"],
        "Image": "localhost/theirs:1",
        "ImageID": "t",
        "Networks": ["a"],
        "State": "running",
    },
    {"Id": "4", "Names": ["guest-of-us"], "Image": "x", "ImageID": "t", "Networks": ["hotstack-os"], "State": "exited"},
    {"Id": "5", "Names": None, "Image": "localhost/hotstack-os-openstack:1", "ImageID": "o", "State": "running"},
]


def test_containers_are_told_apart() -> None:
    ours, others, used = facts.containers(Subject(), LISTED)
    assert ours == ("2", "hotstack-os-nova-api")
    assert others == ("5", "guest-of-us")
    assert used == {"t": "guest-of-us", "o": "5"}
    assert [name for name in facts.other_networks(LISTED) if name.startswith("container")] == ["container theirs"]


def test_images_that_others_use_stay() -> None:
    label = {"Labels": {"io.hotstack-os.image": "x"}}
    listed: list[dict[str, Any]] = [
        {"Id": "b", "Names": ["localhost/hotstack-os-base:1"], "Created": 1, **label},
        {"Id": "n", "Names": ["localhost/hotstack-os-nova:1"], "Created": 2, **label},
        {"Id": "d", "Created": 3, **label},
        {"Id": "t", "Names": ["localhost/theirs:1"], "Created": 4},
    ]
    assert facts.images(listed, set()) == ("d", "localhost/hotstack-os-nova:1", "localhost/hotstack-os-base:1")
    assert facts.images(listed, {"b", "d"}) == ("localhost/hotstack-os-nova:1",)


def table(headings: list[str], *data: list[Any]) -> str:
    return json.dumps({"headings": headings, "data": data})


def ids(**keys: str) -> list[Any]:
    return ["map", [[key.replace("_", "-"), text] for key, text in keys.items()]]


def test_switch_is_read() -> None:
    output = "\n".join(
        [
            table(
                ["name", "datapath_type", "external_ids", "ports"],
                [
                    "hot-int",
                    "netdev",
                    ids(hotstack_os="created"),
                    ["set", [["uuid", "p1"], ["uuid", "p2"], ["uuid", "p3"]]],
                ],
                ["theirs", "", ids(), ["uuid", "p4"]],
            ),
            table(
                ["_uuid", "name", "external_ids"],
                [["uuid", "p1"], "hot-int", ids()],
                [["uuid", "p2"], "patch", ids(ovn_localnet_port="x")],
                [["uuid", "p3"], "tap1", ids()],
                [["uuid", "p4"], "theirs", ids()],
            ),
            table(
                ["name", "external_ids", "mtu_request"],
                ["hot-int", ids(), 9216],
                ["tap1", ids(iface_id="y"), ["set", []]],
                ["theirs", ids(), ["set", []]],
            ),
            table(["external_ids", "other_config"], [ids(system_id="8"), ids(vlan_limit="0")]),
        ]
    )
    bridges = {
        "hot-int": Bridge(marked=True, datapath="netdev", mtu=9216, ports=("patch", "tap1")),
        "theirs": Bridge(),
    }
    assert facts.switch_of(output) == Switch(bridges, {"system-id": "8"}, {"vlan-limit": "0"})
    assert facts.switch_of("") == Switch()


def test_mounts_below_folders() -> None:
    text = (
        "1 0 0:1 / / rw shared:1 - ext4 /dev/a rw\n"
        "2 1 0:1 /lib/d/mnt /var/lib/d/mnt rw shared:2 - ext4 /dev/a rw\n"
        "3 1 0:2 / /var/lib/d/a\\040b rw - nfs x rw\n"
        "4 1 0:3 / /var/lib/data rw - ext4 /dev/b rw\n"
    )
    assert facts.mounts_below(text, ["/var/lib/d"]) == {"/var/lib/d/mnt": "/lib/d/mnt", "/var/lib/d/a b": "/"}
    assert "/proc" in facts.mounts(["/proc"])


def test_files_are_read_without_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    assert facts.readable(f"{tmp_path}/file") == "text"
    assert (
        facts.readable(f"{tmp_path}/link") == facts.readable(f"{tmp_path}/none") == facts.readable(str(tmp_path)) == ""
    )


def test_what_clients_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / removal_traces.OPENSTACK_DIRECTORY
    folder.mkdir(parents=True)
    (folder / "clouds.yaml").write_text("clouds:\n  # BEGIN hotstack.os\n  # END hotstack.os\n")
    (folder / "cloud-secret.yaml").write_text("---\nhotstack_cloud_secrets:\n  x: 1\n")
    monkeypatch.setattr(facts, "homes", lambda: [str(tmp_path)])
    monkeypatch.setattr(removal_traces, "HOSTS", str(tmp_path / "hosts"))
    monkeypatch.setattr(removal_traces, "CLOUDS", str(tmp_path / "clouds.yaml"))
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    everything = Subject(everything=True)
    assert facts.texts(Subject(), {}) == {}
    assert facts.secrets(Subject(), {}) == ()
    assert list(facts.texts(everything, {})) == [f"{folder}/clouds.yaml"]
    assert facts.secrets(everything, {}) == (f"{folder}/cloud-secret.yaml",)
    (folder / "cloud-secret.yaml").rename(tmp_path / "elsewhere.yaml")
    assert facts.secrets(everything, {}) == ()
    record = {"client_files": {f"{tmp_path}/elsewhere.yaml": None, "/etc/openstack/cloud-secret.yaml": None}}
    assert facts.secrets(everything, record) == (f"{tmp_path}/elsewhere.yaml",)
    (tmp_path / "elsewhere.yaml").write_text("theirs: 1\n")
    assert facts.secrets(everything, record) == ()


def test_homes_are_of_everybody() -> None:
    assert {user.pw_dir for user in pwd.getpwall()} == set(facts.homes())


@pytest.mark.parametrize(("text", "is_ours"), [("# Made by hotstack.os", True), ("#!/bin/sh", False)])
def test_paths_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, is_ours: bool) -> None:
    client = tmp_path / "openstack"
    client.write_text(text)
    (tmp_path / "hotstack-os-a").touch()
    (tmp_path / "lost").symlink_to("nowhere")
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setattr(removal_traces, "MARKS", {str(client): "# Made by hotstack.os"})
    monkeypatch.setattr(removal_traces, "SYSTEM_FILES", (str(client), f"{tmp_path}/hotstack-os*", f"{tmp_path}/lost"))
    monkeypatch.setattr(removal_traces, "HOST_FILES", ())
    found = facts.our_paths(Subject(everything=True, home=f"{tmp_path}/home", data_dirs=(str(data),)))
    ours = [path for path in found if path.startswith(str(tmp_path))]
    assert ours == [str(data), f"{tmp_path}/hotstack-os-a", f"{tmp_path}/lost", *([str(client)] if is_ours else [])]
    (tmp_path / "home").mkdir()
    less = facts.our_paths(Subject(home=f"{tmp_path}/home", data_dirs=(str(data),)))
    assert str(data) in less
    assert f"{tmp_path}/home" not in less


def test_addresses_of_ours(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [{"addr_info": [{"local": "172.31.0.129", "prefixlen": 25}, {"local": "10.0.0.1", "prefixlen": 8}]}]
    tools.answers = {"ip -json -4 address show dev hot-ex": json.dumps(shown)}
    subject = Subject(addresses=("172.31.0.129",))
    assert facts.addresses(subject) == ()
    monkeypatch.setattr("os.path.exists", lambda path: path == "/sys/class/net/hot-ex")
    assert facts.addresses(subject) == ("172.31.0.129/25",)


def test_tables_and_packages(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    tools.answers = {
        "nft list tables": "table inet netavark\ntable ip nat\n",
        "dpkg-query": "installed podman\nconfig-files old\ninstalled crun\ninstalled crun\n",
        "rpm": "crun\npodman\npodman\n",
    }
    assert facts.nft_tables() == ("inet netavark", "ip nat")
    monkeypatch.setattr("shutil.which", lambda name: name)
    assert facts.installed_packages() == ("crun", "podman")
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert facts.installed_packages() == ("crun", "podman")


def test_zones_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert facts.our_zones(["public", "hotstack-os"]) == ("hotstack-os",)
    monkeypatch.setattr(facts, "readable", lambda _path: "<zone/>")
    monkeypatch.setattr("os.path.exists", lambda _path: True)
    assert facts.our_zones(["public", "hotstack-os"]) == ()


def test_capabilities_of_daemons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libvirtd").touch()
    monkeypatch.setattr(removal_traces, "DAEMONS", (f"{tmp_path}/libvirtd", f"{tmp_path}/virtqemud"))
    assert facts.capabilities() == {f"{tmp_path}/libvirtd": ""}


@pytest.mark.parametrize("everything", [False, True])
def test_host_without_any_tool(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything: bool) -> None:
    subject = Subject(
        user="no-such-user",
        home=f"{tmp_path}/home",
        data_dirs=(f"{tmp_path}/data",),
        everything=everything,
        packages=True,
    )
    record = {"paths": {str(tmp_path): None}}
    (tmp_path / "hotstack-os-a-1.tar.gz").touch()
    monkeypatch.setattr(removal_traces, "ARCHIVES", f"{tmp_path}/hotstack-os-*.tar.gz")
    host = facts.read(subject, record)
    assert host.archives == ((f"{tmp_path}/hotstack-os-a-1.tar.gz",) if everything else ())
    assert (host.units, host.containers, host.networks, host.account) == ({}, (), (), None)
    assert list(host.files) == [str(tmp_path)]
    assert "systemctl list-units" in " ".join(tools.asked)


def test_folder_of_the_drop_in_is_looked_into(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "user@990.service.d"
    folder.mkdir()
    for name in ("hotstack-os.conf", "theirs.conf"):
        (folder / name).touch()
    drop_in = f"{tmp_path}/user@*.service.d/hotstack-os.conf"
    monkeypatch.setattr(removal_traces, "MANAGER_DROP_IN", drop_in)
    monkeypatch.setattr(removal_traces, "HOST_FILES", (drop_in,))
    host = facts.read(Subject(user="no-such-user", data_dirs=(f"{tmp_path}/data",), everything=True), {})
    assert host.entries[str(folder)] == ("hotstack-os.conf", "theirs.conf")


def test_switch_that_is_not_there(tools: Tools) -> None:
    assert facts.switch() == Switch()
    assert tools.asked[0].startswith("ovs-vsctl --timeout=30")


@pytest.mark.parametrize(
    ("shown", "unit"), [("", "openvswitch-switch.service"), ("openvswitch.service", "openvswitch.service")]
)
def test_switch_that_does_not_answer(tools: Tools, shown: str, unit: str) -> None:
    tools.failing = {"ovs-vsctl": 1}
    tools.answers = {"systemctl show": f"Id={shown}\nLoadState=loaded\nActiveState=inactive\n" if shown else ""}
    with pytest.raises(facts.FactsError, match=f"does not answer .no., .*`systemctl start {unit}`, then this again"):
        facts.switch()


@pytest.mark.parametrize(
    ("record", "found", "is_asked"),
    [
        ({"paths": {}, "ovs_bridges": {}}, (), True),
        ({"paths": {}, "ovs_external_ids": {}}, (), True),
        ({"paths": {}}, ("/etc/hotstack-os",), False),
        ({}, ("/etc/hotstack-os",), True),
        ({}, ("/home/theirs",), False),
    ],
    ids=["recorded", "keys recorded", "nothing told yet", "files without a record", "nothing"],
)
def test_switch_is_asked_if_it_was_told_anything(
    tools: Tools, tmp_path: Path, record: dict[str, Any], found: tuple[str, ...], is_asked: bool
) -> None:
    subject = Subject(data_dirs=(str(tmp_path),))
    assert facts.told_switch(subject, record, found) is is_asked
    (tmp_path / "mysql").mkdir()
    assert facts.told_switch(subject, {}, ())


@pytest.mark.parametrize(
    "tool", ["podman ps", "podman network", "podman images", "podman image", "nft", "firewall-cmd"]
)
def test_a_tool_that_fails_is_no_answer(tools: Tools, tmp_path: Path, tool: str) -> None:
    tools.failing = {tool: 125}
    subject = Subject(everything=True, user="no-such-user", data_dirs=(f"{tmp_path}/data",), base_image="debian")
    with pytest.raises(facts.FactsError, match=f"`{tool}.*` failed .no., and nothing was changed: run that"):
        facts.read(subject, {})


@pytest.mark.parametrize(("status", "text", "runs"), [(0, "public\n", True), (252, "", False), (127, "", False)])
def test_firewalld_runs_or_not(tools: Tools, tmp_path: Path, status: int, text: str, runs: bool) -> None:
    tools.failing = {"firewall-cmd": status}
    tools.answers = {"firewall-cmd": text} if text else {}
    subject = Subject(everything=True, user="no-such-user", data_dirs=(f"{tmp_path}/data",))
    assert facts.read(subject, {}).firewall is runs


def test_base_image_of_others(tools: Tools, tmp_path: Path) -> None:
    listed = [{"Id": "3", "Names": ["theirs"], "Image": "debian", "ImageID": "7"}]
    tools.answers = {"podman ps": json.dumps(listed), "podman image exists": "", "podman image inspect": "7\n"}
    subject = Subject(everything=True, user="no-such-user", data_dirs=(f"{tmp_path}/data",), base_image="debian")
    host = facts.read(subject, {})
    assert (host.base_image, host.base_user) == (True, "theirs")
    tools.answers, tools.failing = {}, {"podman image exists": 1}
    assert facts.image_id("debian") == ""


@pytest.mark.parametrize(("inside", "is_known"), [("mysql", True), ("runtime", False), ("theirs", False)])
def test_deployment_is_known_by_its_data(tmp_path: Path, inside: str, is_known: bool) -> None:
    (tmp_path / inside).mkdir()
    assert facts.deployed(Subject(data_dirs=(str(tmp_path),))) is is_known


@pytest.mark.parametrize(
    ("text", "is_refused"), [("{", False), ("", False), ('{"hotstack_os_data_dir": "/srv"}', True)]
)
def test_settings_of_the_deployment_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, is_refused: bool
) -> None:
    (tmp_path / "deployment.json").write_text(text)
    monkeypatch.setattr(removal_traces, "SETTINGS_FILE", f"{tmp_path}/deployment.json")
    if is_refused:
        with pytest.raises(facts.FactsError, match="add -e hotstack_os_data_dir=/srv, then"):
            facts.check_settings(Subject())
    else:
        facts.check_settings(Subject())


@pytest.mark.parametrize(
    ("everything", "noted", "is_refused"), [(True, "{}", True), (True, '{"a": 1}', False), (False, "{}", False)]
)
def test_guests_count_where_nothing_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything: bool, noted: str, is_refused: bool
) -> None:
    disk = tmp_path / "srv & more/disk"
    disk.parent.mkdir()
    disk.touch()
    (tmp_path / "deployment.json").write_text(noted)
    monkeypatch.setattr(removal_traces, "SETTINGS_FILE", f"{tmp_path}/deployment.json")
    folder = tmp_path / "home/.config/libvirt/qemu"
    folder.mkdir(parents=True)
    text = f"<disk><source file='{tmp_path}/gone'/></disk><disk><source file='{html.escape(str(disk))}'/></disk>"
    (folder / "notapet-1.xml").write_text(text)
    (folder / "theirs.xml").write_text(text)
    subject = Subject(home=f"{tmp_path}/home", everything=everything)
    assert facts.disks(subject) == {"notapet-1": [str(disk)]}
    if is_refused:
        with pytest.raises(facts.FactsError, match=f"Guest notapet-1 has the disk {disk}, which"):
            facts.check_settings(subject)
    else:
        facts.check_settings(subject)
    facts.check_settings(Subject(home=subject.home, everything=everything, data_dirs=(str(tmp_path),)))


def test_domains_and_containers_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "etc"
    for path in (
        system / "foreign.xml",
        tmp_path / "a/.config/libvirt/qemu/by-hand.xml",
        tmp_path / "ours/.config/libvirt/qemu/notapet-1.xml",
        tmp_path / "a/.local/share/containers/storage/overlay-containers/containers.json",
    ):
        path.parent.mkdir(parents=True)
        path.write_text('[{"id": "1"}]')
    monkeypatch.setattr(removal_traces, "DOMAINS", (f"{system}/*.xml",))
    monkeypatch.setattr(facts, "homes", lambda: [f"{tmp_path}/a", f"{tmp_path}/ours"])
    subject = Subject(home=f"{tmp_path}/ours")
    expected = {"domain": ("by-hand", "foreign"), "container": ("b", f"of {tmp_path}/a")}
    assert facts.foreign(subject, ["b"]) == expected
    (tmp_path / "a/.local/share/containers/storage/overlay-containers/containers.json").write_text("[]")
    assert facts.foreign(subject, [])["container"] == ()


def test_what_is_read_is_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert facts.run("sh", "-c", "echo $LC_ALL").stdout == "C\n"
