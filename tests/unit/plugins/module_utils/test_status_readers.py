# SPDX-License-Identifier: Apache-2.0
"""How the facts are found out: from a folder that stands for the host, and programs that stand for the real ones."""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import (
    apparmor,
    container_plan,
    container_text,
    file_capabilities,
    kvm,
    service_units,
    status_checks,
    status_cloud,
    status_facts,
    status_readers,
)
from ansible_collections.hotstack.os.plugins.module_utils.status_readers import ReadError

USER = pwd.getpwuid(os.getuid()).pw_name

SYSTEMD = """\
Id=hotstack-os-keystone.service
LoadState=loaded
ActiveState=active
MemoryCurrent=77

Id=hotstack-os-db-sync.service
LoadState=loaded
ActiveState=activating
MemoryCurrent=[not set]
ControlGroup=
"""
LABELS = {"hotstack-os.digest": "d1"}
# What programs print, by the first words of their command.
PRINTED = {
    "systemctl show": SYSTEMD,
    "systemctl is-active --quiet": "",
    "podman ps": json.dumps(
        [{"Names": ["hotstack-os-nova-compute"], "Status": "Up (healthy)", "Pid": os.getpid(), "Labels": LABELS}]
    ),
    "podman exec": "cell\tcell0\t0\nhost\tnode\tcell1\n",
    "podman inspect": json.dumps({"Log": [{"ExitCode": 0}, {"ExitCode": 1, "Output": "port closed\n"}]}),
    "podman image": 1,
    "ip": "[]",
    "ovs-vsctl --timeout=3 list-br": "hot-ex\nhot-int\n",
    "ovs-vsctl --timeout=3 --format=json": '{"data": [[["map", [["system-id", "abc"], ["ovn-remote", "tcp:x:1"]]]]]}',
    "busctl": '{"data": [{"ours": {"interfaces": ["hot-ex"]}}]}',
    "nft": "table inet hotstack_os\n",
    "virsh": "Domain: 'notapet'\n  state.state=1\n  state.reason=1\n\n",
    "journalctl": f"it began\nit broke\n{'0a' * 32}\n",
    "/usr/local/libexec/hotstack-os-infra-setup check": "the address x\n",
}


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Answer commands from a table; a number there is an exit status."""
    answers: dict[str, Any] = dict(PRINTED)

    def attempt(*command: str, patience: float, **_options: Any) -> subprocess.CompletedProcess[str]:
        line = " ".join(command)
        key = max((key for key in answers if line.startswith(key)), key=len)
        answer = answers[key]
        if isinstance(answer, int):
            return subprocess.CompletedProcess(command, answer, "", f"{key} is broken")
        return subprocess.CompletedProcess(command, 0, answer, "")

    monkeypatch.setattr(status_readers, "attempt", attempt)
    return answers


class FakeManager:
    """A user's service manager."""

    answer = f"ActiveState=active\nMainPID=0\nExecStart={{ path={__file__} ; argv[]=x }}\n"

    def __init__(self, _user: object) -> None:
        pass

    def command(self, *_arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0 if self.answer else 1, self.answer, "no bus")


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: dict[str, Any]) -> status_readers.Reader:
    """Return a reader of a host of which all answers."""
    config, stamps = tmp_path / "config", tmp_path / "stamps"
    (config / "keystone").mkdir(parents=True)
    (config / "nova-compute").mkdir()
    (config / "nova-compute/nova.conf").write_text("[libvirt]\nvirt_type = qemu\n")
    stamps.mkdir()
    (stamps / "db-sync-d1").touch()
    (config / "keystone/a.conf").write_text("a")
    (config / "keystone/a.conf").chmod(0o640)
    (config / "keystone/b.conf").write_text("changed")
    (tmp_path / "credentials.json").write_text('{"admin_password": "right"}')
    labels = f"Label=hotstack-os.config.a.conf={status_facts.config_digest(0o640, 'a')}\n"
    labels += "Label=hotstack-os.config.b.conf=other\nLabel=hotstack-os.config.c.conf=gone\n"
    option = f"NoNewPrivileges=true\nPodmanArgs={apparmor.OPTION}\n"
    unit = container_text.seal(f"Image=localhost/keystone:1\n{option}Label=hotstack-os.digest=@DIGEST@\n{labels}")[0]
    (tmp_path / "hotstack-os-keystone.container").write_text(unit)
    monkeypatch.setattr(status_readers, "unit_file", lambda name: container_plan.unit_file(name, str(tmp_path)))
    monkeypatch.setattr(status_readers, "SYSTEM_ID_FILE", str(tmp_path / "system-id.conf"))
    (tmp_path / "profiles").write_text("hotstack-os (enforce)\n")
    (tmp_path / "enabled").write_text("Y\n")
    monkeypatch.setattr(apparmor, "PARAMETER", str(tmp_path / "enabled"))
    monkeypatch.setattr(apparmor, "FILE_SYSTEM", str(tmp_path))
    monkeypatch.setattr(apparmor, "FILE", str(tmp_path / "profiles"))
    monkeypatch.setattr(status_readers, "label_of", lambda pid: "crun//&hotstack-os (mixed)\n" if pid else "")
    monkeypatch.setattr(service_units, "Manager", FakeManager)
    monkeypatch.setattr(kvm, "begin", lambda user: (user, 7))
    monkeypatch.setattr(kvm, "finish", lambda child, _pipe: f"none for {child}")
    monkeypatch.setattr(
        status_cloud, "ask_ovsdb", lambda *_: {"result": [{"rows": [{"name": "abc", "hostname": "n"}]}]}
    )
    monkeypatch.setattr(status_cloud, "resolve", lambda *_: "192.0.2.1")
    monkeypatch.setattr(status_cloud, "speaks", lambda address, *_: address == "192.0.2.9")
    monkeypatch.setattr(socket, "gethostbyname", lambda name: f"address of {name}")
    monkeypatch.setattr(status_cloud, "Session", lambda *_: FakeSession())
    settings = {
        "hotstack_os_services": {
            "haproxy": {"port": 8404},
            "keystone": {"port": 5000, "public": "keystone"},
            "db-sync": {"one_shot": True},
        },
        "hotstack_os_addresses": {"haproxy": "192.0.2.9"},
        "hotstack_os_auth_url": "http://keystone",
        "hotstack_os_build_cache_dir": str(tmp_path / "builds"),
        "hotstack_os_config_dir": str(config),
        "hotstack_os_credentials_file": str(tmp_path / "credentials.json"),
        "hotstack_os_data_dir": str(tmp_path),
        "hotstack_os_domain": "cloud.example",
        "hotstack_os_instances_dir": str(tmp_path / "missing"),
        "hotstack_os_provider_address": "192.0.2.129",
        "hotstack_os_record_file": str(tmp_path / "created.json"),
        "hotstack_os_stamps_dir": str(stamps),
        "hotstack_os_user": USER,
        "hotstack_os_volume_mounts_dir": str(tmp_path),
        "hotstack_os_volumes_dir": str(tmp_path),
        "clouds_file": str(tmp_path / "clouds.yaml"),
        "image_cache": str(tmp_path / "images"),
    }
    return status_readers.Reader(settings, 1000.0, 3.0)


@pytest.fixture
def hanging() -> Iterator[Callable[[], None]]:
    """Return what does not return before the test is over."""
    over = threading.Event()

    def hang() -> None:
        over.wait(20)

    yield hang
    over.set()


def nobody(_facts: status_facts.Facts) -> list[str]:
    """Suspect no service."""
    return []


class FakeSession:
    """A cloud whose Cinder does not answer."""

    def agents(self, kind: str) -> list[status_facts.Agent]:
        if kind == "cinder":
            raise status_cloud.CloudError("status 503")
        return [status_facts.Agent(kind, "node", True, True)]


def test_all_facts(reader: status_readers.Reader, tmp_path: Path) -> None:
    keys = tmp_path / "keystone/fernet-keys"
    for folder in ("builds", "images", "keystone/fernet-keys", "rabbitmq"):
        (tmp_path / folder).mkdir(parents=True)
    keys.chmod(0o700)
    (keys / "0").touch(mode=0o600)
    (tmp_path / "rabbitmq/.erlang.cookie").touch(mode=0o400)
    (tmp_path / "cloud-secret.yaml").touch(mode=0o600)
    clients = {name: str(tmp_path / name) for name in ("ours.yaml", "theirs.yaml", "gone.yaml", "clouds.yaml")}
    (tmp_path / "ours.yaml").write_text("# BEGIN hotstack.os\n")
    (tmp_path / "theirs.yaml").write_text("clouds: {}\n")
    (tmp_path / "created.json").write_text(json.dumps({"client_files": dict.fromkeys(clients.values())}))
    facts = reader.read(nobody)
    assert facts.errors == {"agents of cinder": "status 503"}
    assert facts.units["hotstack-os-keystone.service"].active == "active"
    assert facts.memory == {"keystone": 77, "db-sync": 0}
    assert facts.containers["nova-compute"].digest == "d1"
    assert set(facts.mounts) == {"host", "nova-compute"}
    assert facts.unit_files["keystone"].intact
    assert facts.unit_files["keystone"].changed == tuple(str(tmp_path / f"config/keystone/{x}.conf") for x in "bc")
    assert "db-sync" not in facts.unit_files
    assert facts.stamps == {"db-sync-d1"}
    assert facts.unit_files["keystone"].profile is True
    assert facts.apparmor == status_facts.AppArmor(True, True, "enforce")
    assert facts.confined == {"nova-compute"}
    assert facts.setup == ["the address x"]
    assert facts.interfaces == {}
    assert facts.switch == status_facts.Switch(
        ("hot-ex", "hot-int"), {"system-id": "abc", "ovn-remote": "tcp:x:1"}, None
    )
    assert facts.chassis == {"abc": "n"}
    assert facts.cells == status_facts.Cells({"cell0": True}, {"node": "cell1"})
    assert set(facts.agents) == {"nova", "neutron"}
    assert facts.session
    assert facts.session.file_problem == f"{__file__} lacks the capability cap_net_admin"
    assert facts.guests == status_facts.Guests(1, 1)
    assert facts.virtualization == status_facts.Virtualization("qemu", f"none for {USER}")
    assert facts.zones == {"hot-ex": "ours"}
    assert facts.tables == ["table inet hotstack_os"]
    assert facts.names == {"dns": "192.0.2.1", "hosts": "address of keystone.cloud.example"}
    assert facts.entries == {"public": False, "direct": True}
    assert {str(tmp_path), str(tmp_path / "builds"), str(tmp_path / "images")} <= {disk.path for disk in facts.disks}
    modes = {file.path: file.mode for file in facts.modes}
    assert modes[str(tmp_path / "clouds.yaml")] is None
    assert modes[str(tmp_path / "config/keystone/a.conf")] == 0o640
    assert modes[str(tmp_path / "cloud-secret.yaml")] == 0o600
    assert [name for name, path in clients.items() if path in modes] == ["ours.yaml", "clouds.yaml"]
    assert len(modes) == len(facts.modes)
    own = {file.path: (file.mode, file.owner) for file in facts.modes if file.wanted == file.owner == USER}
    assert own[str(keys)] == (0o700, USER)
    assert own[str(keys / "0")] == (0o600, USER)
    assert own[str(tmp_path / "rabbitmq/.erlang.cookie")] == (0o400, USER)
    assert facts.clock
    assert facts.clock.written == 1000.0


def test_half_of_it_is_broken(
    reader: status_readers.Reader, commands: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("podman ps", "podman exec", "ovs-vsctl --timeout=3 list-br", "virsh", "systemctl is-active --quiet"):
        commands[key] = 1
    monkeypatch.setattr(FakeManager, "answer", "")
    (Path(reader.setting("credentials_file"))).unlink()
    config = Path(reader.setting("config_dir"), "nova-compute/nova.conf")
    config.write_text("[libvirt]\n")
    facts = reader.read(nobody)
    assert set(facts.errors) == {"containers", "cells", "switch", "guests", "session", "agents", "virtualization"}
    assert facts.errors["virtualization"] == f"{config} has no virt_type"
    assert facts.errors["cells"] == "`podman exec hotstack-os-mariadb` failed: podman exec is broken"
    assert "FileNotFoundError" in facts.errors["agents"]
    assert facts.zones is None


def test_ovn_does_not_answer(reader: status_readers.Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_cloud, "ask_ovsdb", lambda *_: {"error": "closed"})
    Path(status_readers.SYSTEM_ID_FILE).write_text("abc\n")
    reader.switch()
    assert reader.facts.errors == {"chassis": "closed"}
    assert reader.facts.switch
    assert reader.facts.switch.next_id == "abc"


@pytest.mark.parametrize("answer", ["ActiveState=inactive\nExecStart=\n", ""])
def test_no_session(reader: status_readers.Reader, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(FakeManager, "answer", answer)
    with pytest.raises(ReadError, match=r"has no unit|does not answer: no bus"):
        reader.session()


def test_explain(reader: status_readers.Reader) -> None:
    facts = reader.read(lambda facts: ["keystone", "unknown"] if facts.units and facts.unit_files else [])
    assert facts.why == {"keystone": status_facts.Why("it broke", "port closed", True)}
    assert set(facts.errors) == {"agents of cinder"}


@pytest.mark.parametrize("hangs", ["podman ps", "podman inspect", "virsh"])
def test_a_program_that_hangs(
    reader: status_readers.Reader, monkeypatch: pytest.MonkeyPatch, hangs: str, hanging: Callable[[], None]
) -> None:
    """Whatever hangs, with no limit of its own, is given up with all the rest; what answers is there."""
    answers = status_readers.attempt

    def attempt(*command: str, patience: float, **options: Any) -> subprocess.CompletedProcess[str]:
        if " ".join(command).startswith(hangs):
            hanging()
        return answers(*command, patience=patience, **options)

    monkeypatch.setattr(status_readers, "attempt", attempt)
    reader.patience = 0.5
    began = time.monotonic()
    facts = reader.read(lambda _facts: ["keystone"])
    assert 1 <= time.monotonic() - began < 5
    assert facts.units
    late = [name for name, said in facts.errors.items() if "no answer" in said]
    assert late == {"podman ps": ["containers"], "podman inspect": [], "virsh": ["guests"]}[hangs]
    # While something else hangs there is time to ask for the reasons.
    assert hangs != "virsh" or facts.why


def test_an_api_that_hangs(
    reader: status_readers.Reader, monkeypatch: pytest.MonkeyPatch, hanging: Callable[[], None]
) -> None:
    """The list that is not there is named, and not the login, although that took nearly all of the time."""

    class Session:
        patience = 0.0

        def agents(self, kind: str) -> list[status_facts.Agent]:
            if kind == "nova":
                hanging()
            return [status_facts.Agent(kind, f"{self.patience:.1f}", True, True)]

    def login(*_arguments: Any) -> Session:
        reader.end -= reader.patience
        return Session()

    monkeypatch.setattr(status_cloud, "Session", login)
    began = time.monotonic()
    facts = reader.read(nobody)
    assert time.monotonic() - began < 2
    assert set(facts.errors) == {"agents of nova"}
    assert {kind: listed[0].host for kind, listed in facts.agents.items()} == {"neutron": "0.2", "cinder": "0.2"}


def test_one_limit_for_what_is_asked_one_after_the_other(
    reader: status_readers.Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    answers = status_readers.attempt

    def attempt(*command: str, patience: float, **options: Any) -> subprocess.CompletedProcess[str]:
        given.append(patience)
        reader.end -= 1.4
        return answers(*command, patience=patience, **options)

    monkeypatch.setattr(status_readers, "attempt", attempt)
    reader.explain("keystone")
    assert given == [pytest.approx(3.0, abs=0.5), pytest.approx(1.6, abs=0.5), pytest.approx(0.2, abs=0.1)]


def test_a_job_that_hangs_is_left_behind() -> None:
    done = threading.Event()

    def hang() -> None:
        done.wait(20)

    began = time.monotonic()
    errors = status_readers.together({"hangs": hang, "works": lambda: None}, 0.1)
    assert errors == {"hangs": "there was no answer within 0 s"}
    assert time.monotonic() - began < 5
    done.set()


def test_commands() -> None:
    assert status_readers.output("echo", "yes", patience=5) == "yes\n"
    with pytest.raises(ReadError, match="`sh -c 'echo no >&2; exit 3'` failed: no"):
        status_readers.output("sh", "-c", "echo no >&2; exit 3", patience=5)
    with pytest.raises(ReadError, match="failed: status 3"):
        status_readers.output("sh", "-c", "exit 3", patience=5)
    with pytest.raises(ReadError, match="did not end within 0 s"):
        status_readers.output("sleep", "20", patience=0.05)
    with pytest.raises(ReadError, match="can't be run: No such file"):
        status_readers.output("/nowhere", patience=5)


def test_resident_memory(tmp_path: Path) -> None:
    for group, pids in (("unit", "1\n"), ("unit/inner", "2\n3\n")):
        (tmp_path / "cgroup" / group).mkdir(parents=True)
        (tmp_path / "cgroup" / group / "cgroup.procs").write_text(pids)
    for pid, pages in (("1", 10), ("2", 5)):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "statm").write_text(f"100 {pages} 1 1 0 1 0\n")
    size = os.sysconf("SC_PAGE_SIZE")
    assert status_readers.resident("/unit", str(tmp_path / "cgroup"), str(tmp_path)) == 15 * size
    assert status_readers.resident("") == 0


@pytest.mark.parametrize(("answer", "known"), [(0, True), (5, False), (-1, False)])
def test_clock(monkeypatch: pytest.MonkeyPatch, answer: int, known: bool) -> None:
    class Library:
        def __init__(self, _name: object) -> None:
            pass

        def adjtimex(self, _argument: object) -> int:
            return answer

    monkeypatch.setattr(ctypes, "CDLL", Library)
    assert status_readers.synchronised() is known


def test_capability_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "program").touch()
    there = file_capabilities.FileCapabilities(permitted=1 << 12, effective=True)
    monkeypatch.setattr(file_capabilities, "read", lambda _descriptor: there)
    assert status_readers.file_problem(str(tmp_path / "program"), 1 << 12) == ""
    assert "lacks" in status_readers.file_problem(str(tmp_path / "program"), 1 << 13)
    assert "can't be opened" in status_readers.file_problem(str(tmp_path / "missing"), 1)


def test_owner_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert status_readers.mode_of(str(tmp_path)).owner == str(os.getuid())


def test_facts_of_a_broken_host_can_be_judged(reader: status_readers.Reader, commands: dict[str, Any]) -> None:
    """Whatever is missing, there is a report."""
    for key in commands:
        commands[key] = 1
    settings = {
        **reader.settings,
        "hotstack_os_container_gateway": "192.0.2.1",
        "hotstack_os_container_network": "192.0.2.0/25",
        "hotstack_os_dns_address": "192.0.2.10",
        "hotstack_os_host_name": "node",
        "hotstack_os_integration_bridge": "hot-int",
        "hotstack_os_mtu": 9216,
        "hotstack_os_network_name": "hotstack-os",
        "hotstack_os_provider_bridge": "hot-ex",
        "hotstack_os_provider_network": "192.0.2.128/25",
        "hotstack_os_virt_type": "auto",
    }
    report = status_checks.report(settings, reader.read(nobody))
    assert not report.well
    assert all(line.command for line in report.lines if not line.good)


def test_what_is_read_is_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert status_readers.output("sh", "-c", "echo $LC_ALL", patience=9) == "C\n"
