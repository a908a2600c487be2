# SPDX-License-Identifier: Apache-2.0
"""Files in a temporary folder, and the commands that an imitated host is told."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import (
    apparmor,
    file_capabilities,
    removal_facts,
    removal_plan,
    removal_processes,
    removal_traces,
    service_units,
)
from ansible_collections.hotstack.os.plugins.module_utils import removal_work as work
from ansible_collections.hotstack.os.plugins.module_utils.removal_plan import Removal
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import Unit

US = pwd.getpwuid(os.geteuid())


class Tools:
    """Programs that note what they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.answers: dict[str, str] = {}
        self.failing: tuple[str, ...] = ()

    def __call__(self, *command: str) -> subprocess.CompletedProcess[str]:
        line = " ".join(command)
        self.told.append(line)
        text = next((text for start, text in self.answers.items() if line.startswith(start)), "")
        return subprocess.CompletedProcess(
            command, int(line.startswith(self.failing)) if self.failing else 0, text, text
        )


@pytest.fixture(name="tools")
def _tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    tools = Tools()
    monkeypatch.setattr(work, "run", tools)
    monkeypatch.setattr(removal_facts, "unit_states", lambda names: {name: Unit(active="a" in name) for name in names})
    return tools


def act(*removals: Removal) -> None:
    work.act(removals)


def test_every_kind_has_an_action() -> None:
    assert set(work.ACTIONS) == set(removal_plan.KINDS)


SIMPLE = [
    (Removal("container", "a"), ["podman rm --force --ignore --time=0 -- a"]),
    (Removal("network", "hotstack-os"), ["podman network rm -- hotstack-os"]),
    (Removal("image", "a"), ["podman rmi --ignore -- a"]),
    (Removal("table", "inet hotstack_os"), ["nft delete table inet hotstack_os"]),
    (Removal("port", "p", data="hot-ex"), ["ovs-vsctl --timeout=30 -- --if-exists del-port hot-ex p"]),
    (Removal("bridge", "hot-ex"), ["ovs-vsctl --timeout=30 -- --if-exists del-br hot-ex"]),
    (
        Removal("former bridge", "b", data={"datapath": "system", "mtu": None}),
        ["ovs-vsctl --timeout=30 -- set Bridge b datapath_type=system -- clear Interface b mtu_request"],
    ),
    (
        Removal("former bridge", "b", data={"datapath": "system", "mtu": 1500}),
        ["ovs-vsctl --timeout=30 -- set Bridge b datapath_type=system -- set Interface b mtu_request=1500"],
    ),
    (
        Removal("switch key", "k", data=("external_ids", "hostname", "former")),
        ['ovs-vsctl --timeout=30 -- set Open_vSwitch . external_ids:hostname="former"'],
    ),
    (
        Removal("switch key", "k", data=("other_config", "vlan-limit", "1")),
        ['ovs-vsctl --timeout=30 -- set Open_vSwitch . other_config:vlan-limit="1"'],
    ),
    (
        Removal("switch key", "k", data=("other_config", "vlan-limit", None)),
        ["ovs-vsctl --timeout=30 -- remove Open_vSwitch . other_config vlan-limit"],
    ),
    (Removal("address", "10.0.0.1/8", data="hot-ex"), ["ip address delete 10.0.0.1/8 dev hot-ex"]),
    (Removal("trusted", "10.0.0.0/8"), ["firewall-cmd --zone=trusted --remove-source=10.0.0.0/8"]),
    (
        Removal("state", "a.service", data={"active": False, "enabled": False}),
        ["systemctl stop -- a.service", "systemctl disable -- a.service"],
    ),
    (Removal("state", "a.service", data={"active": True, "enabled": True}), []),
    (
        Removal("account", "a", data={"comment": "c", "shell": "/s", "groups": ["g", "h"]}),
        ["usermod --comment c --shell /s --groups g,h a"],
    ),
    (Removal("reload", "systemd"), ["systemctl daemon-reload"]),
    (
        Removal("reload", "NetworkManager"),
        ["systemctl is-active NetworkManager", "systemctl reload NetworkManager"],
    ),
    (Removal("user", "a"), ["userdel a", "getent group a", "groupdel a"]),
    (Removal("user", "a", data=True), ["userdel a"]),
]


@pytest.mark.parametrize(("removal", "told"), SIMPLE, ids=[f"{it.kind} {n}" for n, (it, _) in enumerate(SIMPLE)])
def test_told(tools: Tools, removal: Removal, told: list[str]) -> None:
    act(removal)
    assert tools.told == told


def test_neighbours_go_together(tools: Tools) -> None:
    act(Removal("image", "a"), Removal("image", "b"), Removal("reload", "systemd"))
    assert tools.told == ["podman rmi --ignore -- a b", "systemctl daemon-reload"]


def test_a_failure_says_which(tools: Tools) -> None:
    tools.failing, tools.answers = ("podman rmi",), {"podman rmi": "in use\n"}
    with pytest.raises(work.RemovalError, match=r"podman rmi --ignore -- a failed: in use$"):
        act(Removal("image", "a"))


def test_group_that_went_with_the_user_is_not_removed_again(tools: Tools) -> None:
    tools.failing = ("getent",)
    act(Removal("user", "a"))
    assert tools.told[-1] == "getent group a"


def test_units_end_well_or_at_once(tools: Tools) -> None:
    act(Removal("unit", "a.service"), Removal("unit", "x.timer"))
    assert tools.told == [
        "systemctl disable -- a.service x.timer",
        "systemctl stop -- a.service",
        "systemctl reset-failed -- a.service x.timer",
    ]
    tools.told.clear()
    tools.answers = {"podman ps": "hotstack-os-a\n"}
    act(Removal("unit", "x.service", data="at once"))
    assert tools.told[1] == "systemctl stop --no-block -- x.service"
    assert tools.told[3] == "podman kill -- hotstack-os-a"


def test_trust_of_others_outlives_a_reload(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([{"1.0.0.0/8", "172.31.0.0/25", "2.0.0.0/8"}, {"2.0.0.0/8"}])
    monkeypatch.setattr(work, "trusted", lambda: next(looks))
    act(Removal("zones", "hotstack-os", data="172.31.0.0/25"))
    assert tools.told == ["firewall-cmd --reload", "firewall-cmd --zone=trusted --add-source=1.0.0.0/8"]


def test_trusted_sources(tools: Tools) -> None:
    tools.answers = {"firewall-cmd": "1.0.0.0/8 2.0.0.0/8\n"}
    assert work.trusted() == {"1.0.0.0/8", "2.0.0.0/8"}


# --- processes


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"])


def test_processes_end(monkeypatch: pytest.MonkeyPatch) -> None:
    child = sleeper()
    work.kill([child.pid, 2**22 + 1])
    assert child.wait() == -9
    monkeypatch.setattr(work, "PATIENCE", 0)
    monkeypatch.setattr(work, "running", lambda _pid: True)
    with pytest.raises(work.RemovalError, match="do not end"):
        work.kill([2**22 + 1])


def test_guests_of_that_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    child = sleeper()
    monkeypatch.setattr(removal_processes, "session", lambda: {child.pid: "another"})
    act(Removal("guest", "notapet-1", data=child.pid))
    assert child.poll() is None
    act(Removal("guest", "another", data=child.pid))
    assert child.wait() == -9


def test_session_is_stopped_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    child, manager = sleeper(), mock.Mock()
    monkeypatch.setattr(service_units, "Manager", lambda _user: manager)
    monkeypatch.setattr(removal_processes, "session", lambda: {child.pid: "", 2**22 + 1: "guest"})
    act(Removal("session", "a.service", data=US.pw_name))
    manager.command.assert_called_once_with("disable", "--now", "a.service")
    assert child.wait() == -9


def test_session_without_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal_processes, "session", dict)
    act(Removal("session", "a.service", data="no-such-user"))


def test_what_is_left_of_a_user_ends(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    child, same_number = sleeper(), sleeper()
    monkeypatch.setattr(removal_processes, "user_processes", lambda uid: [child.pid] if uid == 4711 else [])
    act(Removal("manager", "a", data=4711))
    assert tools.told == ["systemctl stop user@4711.service user-runtime-dir@4711.service user-4711.slice"]
    assert child.wait() == -9
    assert same_number.poll() is None
    same_number.kill()
    same_number.wait()


def test_lingering_ends(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal_traces, "LINGER_FOLDER", str(tmp_path))
    (tmp_path / "a").touch()
    act(Removal("lingering", "a"))
    asked = "loginctl show-user --property=Sessions --value"
    assert (tools.told, list(tmp_path.iterdir())) == (["loginctl disable-linger a", f"{asked} a"], [])
    act(Removal("lingering", US.pw_name))
    assert tools.told[-1] == f"systemctl stop user@{US.pw_uid}.service"
    tools.answers = {asked: "7\n"}
    act(Removal("lingering", US.pw_name))
    assert tools.told[-1] == f"{asked} {US.pw_name}"


# --- files


def known(**changed: Any) -> dict[str, Any]:
    return {"mode": "0640", "uid": os.getuid(), "gid": os.getgid(), **changed}


@pytest.mark.parametrize("mounted", [False, True])
def test_lines_of_ours_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: bool) -> None:
    path = tmp_path / "hosts"
    path.write_text("ours\n")
    path.chmod(0o644)
    before = path.stat().st_ino
    monkeypatch.setattr(removal_facts, "mounts", lambda _paths: {str(path): "/"} if mounted else {})
    act(Removal("lines", str(path), data={"text": "1 a\n", "former": known()}))
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("1 a\n", 0o640)
    assert (path.stat().st_ino == before) is mounted
    act(Removal("lines", str(path), data={"text": "2 b\n", "former": None}))
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("2 b\n", 0o640)


def test_former_file_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    act(Removal("former", str(path), data=known(content="a\udcff\n")))
    assert path.read_bytes() == b"a\xff\n"


def test_former_link_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("ours")
    act(Removal("former", str(path), data=known(link="/opt/theirs")))
    assert os.readlink(path) == "/opt/theirs"
    act(Removal("former", str(path), data=known(link="/opt/others")))
    assert os.readlink(path) == "/opt/others"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("recorded", [False, True])
def test_extended_attributes_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: bool) -> None:
    path = tmp_path / "hosts"
    path.write_text("ours\n")
    values = {"user.a": b"1", "security.b": b"2"}
    monkeypatch.setattr("os.listxattr", lambda _path: [] if recorded else list(values))
    monkeypatch.setattr("os.getxattr", lambda _path, name: values[name])
    told = mock.Mock(side_effect=[None, PermissionError(1, "not permitted")])
    monkeypatch.setattr("os.setxattr", told)
    xattrs = {"user.a": "31", "security.b": "32"}
    act(Removal("lines", str(path), data={"text": "a\n", "former": known(xattrs=xattrs) if recorded else None}))
    assert sorted(call.args for call in told.call_args_list) == [
        (str(path), "security.b", b"2"),
        (str(path), "user.a", b"1"),
    ]


@pytest.mark.parametrize("group", [4711, 4712])
def test_group_that_the_owner_can_not_give_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_text("ours\n")
    before = path.stat().st_ino
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.getegid", lambda: 4711)
    monkeypatch.setattr("os.getgroups", list)
    given = mock.Mock()
    monkeypatch.setattr("os.fchown", given)
    work.restore_text(str(path), "theirs\n", known(uid=1000, gid=group))
    assert path.read_text() == "theirs\n"
    assert given.call_args.args[1:] == (1000, 4711 if group == 4711 else -1)
    assert (path.stat().st_ino == before) is (group == 4712)


def test_file_that_can_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{tmp_path}/clouds.yaml"
    monkeypatch.setattr("os.fchown", mock.Mock(side_effect=PermissionError(1, "not permitted")))
    with pytest.raises(PermissionError) as caught:
        work.restore_text(path, "theirs\n", known())
    assert caught.value.filename == path


def test_files_go_with_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "below" / "file").touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to("outside")
    names = [f"{tmp_path}/{name}" for name in ("folder", "link", "none")]
    act(*(Removal("file", name) for name in names))
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]


def test_folders_go_if_they_are_empty(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b" / "c").mkdir(parents=True)
    act(Removal("folder", f"{tmp_path}/a"), Removal("folder", f"{tmp_path}/b"), Removal("folder", f"{tmp_path}/none"))
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_data_goes_but_for_mounts_and_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    for name in ("mysql/a", "runtime", "theirs", "share/disk/x", "share/old"):
        (data / name).mkdir(parents=True)
    (data / "runtime" / "created.json").touch()
    (data / "link").symlink_to("theirs")
    monkeypatch.setattr(
        removal_facts, "mounts", lambda paths: {f"{data}/share/disk": "/"} if paths == [str(data)] else {}
    )
    record = f"{data}/runtime/created.json"
    former = known(mode="0700", entries=["theirs"])
    names = ["mysql", "runtime", "share", "link"]
    act(Removal("data", str(data), data={"former": former, "names": names, "record": record}))
    assert sorted(str(path.relative_to(data)) for path in data.rglob("*")) == [
        "share",
        "share/disk",
        "share/disk/x",
        "theirs",
    ]
    assert data.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("former", "stays"), [(None, False), (known(entries=[]), True)])
def test_folder_of_data_goes_if_it_was_not_there(tmp_path: Path, former: dict[str, Any] | None, stays: bool) -> None:
    data = tmp_path / "data"
    (data / "mysql").mkdir(parents=True)
    act(Removal("data", str(data), data={"former": former, "names": ["mysql"], "record": "/none"}))
    assert data.exists() is stays


def test_record_goes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    (data / "runtime").mkdir(parents=True)
    record = data / "runtime" / "created.json"
    record.touch()
    (data / "broken").mkdir()
    removal = Removal("data", str(data), data={"former": None, "names": None, "record": str(record)})
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", mock.Mock(side_effect=OSError("broken")))
        with pytest.raises(OSError, match="broken"):
            act(removal)
    assert record.exists()
    act(removal)
    assert not data.exists()


def test_mount_itself_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    monkeypatch.setattr(removal_facts, "mounts", lambda _paths: {str(tmp_path): "/"})
    work.delete_tree(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_unmounted_if_it_is_mounted(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal_facts, "mounts", lambda paths: {"/a": "/"} if paths == ["/a"] else {})
    act(Removal("mount", "/a"), Removal("mount", "/b"))
    assert tools.told == ["umount -- /a"]


def test_capability_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    ensure = mock.Mock()
    monkeypatch.setattr(file_capabilities, "ensure", ensure)
    act(Removal("capability", "/usr/sbin/libvirtd", "cap_net_admin"))
    ensure.assert_called_once_with("/usr/sbin/libvirtd", "absent", ["cap_net_admin"], True, dry=False)


def test_profile_is_unloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apparmor, "REMOVE", str(tmp_path / "remove"))
    work.act([Removal("profile", "hotstack-os")])
    assert (tmp_path / "remove").read_text() == "hotstack-os"


def test_forwarding_ends() -> None:
    with mock.patch("builtins.open", mock.mock_open()) as opened:
        act(Removal("forwarding", "net.ipv4.ip_forward"))
    opened.assert_called_once_with("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii")
    opened().write.assert_called_once_with("0\n")


# --- packages

APT = "apt-get --yes --quiet --option=DPkg::Lock::Timeout=300 --option=APT::AutoRemove::SuggestsImportant=false"


def test_packages_go(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    tools.answers = {f"{APT} --simulate": "Purg a [1]\nRemv b:amd64 [1]\n"}
    act(Removal("package", "a"), Removal("package", "b"))
    assert tools.told[-1] == f"env DEBIAN_FRONTEND=noninteractive {APT} purge -- a b"


def test_packages_that_others_need_stay(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    tools.answers = {
        f"{APT} --simulate purge -- a b": "Purg a [1]\nPurg b [1]\nRemv theirs [1]\n",
        f"{APT} --simulate purge -- a": "Purg a [1]\nRemv theirs [1]\n",
        f"{APT} --simulate purge -- b": "Purg b [1]\n",
    }
    act(Removal("package", "a"), Removal("package", "b"))
    assert tools.told[-1] == f"env DEBIAN_FRONTEND=noninteractive {APT} purge -- b"


def test_packages_of_rpm(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    act(Removal("package", "a"))
    assert tools.told == ["rpm --erase --test a", "rpm --erase a"]


def test_packages_of_rpm_that_others_need_stay(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    needed = "error: Failed dependencies:\n\tliba.so()(64bit) is needed by (installed) theirs-1\n"
    tools.answers = {"rpm --erase --test a b": needed, "rpm --query --whatprovides": "a\n"}
    act(Removal("package", "a"), Removal("package", "b"))
    assert tools.told == [
        "rpm --erase --test a b",
        "rpm --query --whatprovides --queryformat=%{NAME}\\n liba.so()(64bit)",
        "rpm --erase --test b",
        "rpm --erase b",
    ]
    tools.answers = {"rpm --erase --test": needed, "rpm --query": "other\n"}
    with pytest.raises(work.RemovalError, match=r"need some of them: liba.so\(\)\(64bit\)"):
        act(Removal("package", "a"))


def test_no_package_is_left_to_go(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    tools.answers = {f"{APT} --simulate purge -- a": "Purg a [1]\nRemv theirs [1]\n"}
    act(Removal("package", "a"))
    assert "DEBIAN_FRONTEND" not in " ".join(tools.told)
