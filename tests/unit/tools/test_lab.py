# SPDX-License-Identifier: Apache-2.0
"""What tools/lab decides, and what the lab host's runtime leaves out."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import json
import subprocess
import tarfile
from pathlib import Path
from types import ModuleType

import pytest
from lablib import before, cli, deploy, images, machine, paths, podman, process, remove
from lablib.machine import Machine
from lablib.process import LabError

ROOT = Path(__file__).resolve().parents[3]
ALL = ("cpuset", "cpu", "io", "memory", "pids")
ORDINARY = Machine(systemd=True, cgroup2=True, can_raise_limits=True, controllers=ALL, nofile=524288, nproc=-1)
CONSTRAINED = Machine(
    systemd=False, cgroup2=False, can_raise_limits=False, controllers=("hugetlb",), nofile=20000, nproc=96365
)


@pytest.mark.parametrize(
    ("arguments", "own", "rest"),
    [
        pytest.param(["up"], ["up"], [], id="no command"),
        pytest.param(["exec", "--", "ls", "-l"], ["exec"], ["ls", "-l"], id="exec"),
        pytest.param(["exec", "ls", "--help"], ["exec"], ["ls", "--help"], id="exec without --"),
        pytest.param(["exec", "--", "sh", "--", "x"], ["exec"], ["sh", "--", "x"], id="only the first -- is ours"),
        pytest.param(["exec", "--help"], ["exec", "--help"], [], id="help of exec"),
        pytest.param(["exec"], ["exec"], [], id="exec of nothing"),
        pytest.param(
            ["deploy", "--playbook", "x", "--", "--check"], ["deploy", "--playbook", "x"], ["--check"], id="deploy"
        ),
    ],
)
def test_split(arguments: list[str], own: list[str], rest: list[str]) -> None:
    assert cli.split(arguments) == (own, rest)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["nosuch"], "tools/lab: Argument COMMAND: invalid choice: 'nosuch'"),
        ([], "tools/lab: The following arguments are required: COMMAND"),
        (["down", "--prune"], "tools/lab: Unrecognized arguments: --prune"),
        (["logs", "--lines", "many"], "tools/lab logs: Argument --lines: invalid int value: 'many'"),
    ],
)
def test_wrong_usage_is_one_sentence(command: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith(sentence)
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["exec"], "Say what to run"),
        (["up", "--", "x"], "takes no command or options after --"),
        (["exec", "--", "true"], "hotstack-test does not run; tools/lab up starts it."),
        (["deploy"], "hotstack-test does not run; tools/lab up starts it."),
        (["reboot"], "hotstack-test does not run; tools/lab up starts it."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    command: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOTSTACK_LAB_NAME", "hotstack-test")
    monkeypatch.setenv("HOTSTACK_LAB_DIR", str(tmp_path / "lab"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert cli.main(command) == 1
    printed = capsys.readouterr().err
    assert sentence in printed
    assert printed.count("\n") == 1


def test_not_root(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert cli.main(["up"]) == 1
    assert "must run as root" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "deploy", "install", "exec", "shell", "reboot", "status", "logs", "down"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert "HOTSTACK_LAB_NAME" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("service", "follow", "expected"),
    [
        (None, False, ["--unit=hotstack-os*", "--lines=9", "--no-pager"]),
        ("keystone", True, ["--unit=hotstack-os-keystone.service", "--lines=9", "--follow"]),
    ],
)
def test_journal(service: str | None, follow: bool, expected: list[str]) -> None:
    assert cli.journal(service, 9, follow=follow) == ["journalctl", *expected]


@pytest.mark.parametrize("name", ["", "x", "Lab", "1lab", "lab_1", "../lab", "a" * 40, "lab-"])
def test_bad_names_of_labs(name: str) -> None:
    with pytest.raises(LabError, match="HOTSTACK_LAB_NAME"):
        paths.lab_paths(name, "/var/lib/hotstack-lab")


@pytest.mark.parametrize("state", ["", "relative", "/", "/var"])
def test_bad_folders(state: str) -> None:
    with pytest.raises(LabError, match="HOTSTACK_LAB_DIR"):
        paths.lab_paths("hotstack-lab", state)


def test_folders_of_labs_are_apart(tmp_path: Path) -> None:
    one, other = paths.lab_paths("one", str(tmp_path / "x")), paths.lab_paths("other", str(tmp_path / "x"))
    assert one.lab != other.lab
    assert one.cache == other.cache
    assert one.runtime == Path("/run/x")


@pytest.mark.parametrize(
    ("mask", "expected"),
    [("000001ffffffffff", True), ("00000000a80425fb", False), ("0000000001000000", True), ("0", False)],
)
def test_has_capability(mask: str, expected: bool) -> None:
    status = f"Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{mask}\n"
    assert machine.has_capability(status, machine.CAP_SYS_RESOURCE) is expected


def test_ordinary_machine_needs_no_adjustment() -> None:
    outer = machine.outer_containers_conf(ORDINARY, Path("/s"), Path("/run/s"), runc="/usr/sbin/runc")
    assert 'cgroup_manager = "systemd"' in outer
    assert "runtime" not in outer
    assert "ulimits" not in outer
    assert machine.inner_containers_conf(ORDINARY) == "[containers]\n"
    assert not ORDINARY.needs_namespace


def test_constrained_machine() -> None:
    outer = machine.outer_containers_conf(CONSTRAINED, Path("/s"), Path("/run/s"), runc="/usr/sbin/runc")
    inner = machine.inner_containers_conf(CONSTRAINED)
    assert 'cgroup_manager = "cgroupfs"' in outer
    assert 'runtime = "runc"' in outer
    for conf in (outer, inner):
        assert 'default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]' in conf
        assert "pids_limit = 0" in conf
    assert f'hotstack-lab = ["{machine.INNER_RUNTIME}"]' in inner
    assert (paths.DEFINITION / "files" / machine.INNER_RUNTIME.lstrip("/")).stat().st_mode & 0o111
    assert CONSTRAINED.needs_namespace


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch x\n", ["10.0.0.2", "10.0.0.3"]),
        ("nameserver 127.0.0.53\n", []),
        ("nameserver ::1\nnameserver fd00::1\n", ["fd00::1"]),
        ("", []),
    ],
)
def test_nameservers(text: str, expected: list[str]) -> None:
    assert machine.nameservers(text) == expected


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ("default via 192.0.2.1 dev eth0\n192.0.2.0/24 dev eth0\n", "10.213.77.0/24"),
        ("10.213.0.0/17 dev eth0\n", "10.213.128.0/24"),
        ("10.213.77.9 dev tun0\nunreachable 10.213.78.0/24\n", "10.213.78.0/24"),
    ],
)
def test_free_subnet(routes: str, expected: str) -> None:
    assert str(machine.free_subnet(routes)) == expected


def test_no_free_subnet() -> None:
    with pytest.raises(LabError, match="No free network"):
        machine.free_subnet("10.0.0.0/8 dev eth0\n")


def test_storage_of_labs(tmp_path: Path) -> None:
    lab = paths.lab_paths("lab", str(tmp_path / "x"))
    assert "additionalimagestores" not in podman.storage_conf(lab, "")
    assert 'additionalimagestores = ["/other/storage"]' in podman.storage_conf(lab, "/other/storage")


def test_network_of_labs() -> None:
    made = podman.network(machine.free_subnet("10.213.77.0/24 dev hotstack-lab0\n"))
    assert (made["name"], made["network_interface"]) == ("hotstack-lab1", "hotstack-lab1")
    assert made["subnets"] == [{"subnet": "10.213.78.0/24", "gateway": "10.213.78.1"}]
    made = podman.network(machine.free_subnet(""))
    assert made["network_interface"] == "hotstack-lab0"
    assert made["subnets"] == [{"subnet": "10.213.77.0/24", "gateway": "10.213.77.1"}]
    assert made["dns_enabled"] is False


@pytest.mark.parametrize(
    ("settings", "environment", "expected"),
    [
        ("", {}, ""),
        ("global.index-url='https://mirror.example/simple'\n", {}, "https://mirror.example/simple"),
        ("global.index-url='https://a.example'\n", {"PIP_INDEX_URL": "https://b.example"}, "https://b.example"),
        ("global.index-url='file:///opt/simple'\n", {}, ""),
        ("global.extra-index-url='https://c.example'\n", {}, ""),
    ],
)
def test_remote_index(settings: str, environment: dict[str, str], expected: str) -> None:
    assert machine.remote_index(settings, environment) == expected


def test_proxies() -> None:
    environment = {"http_proxy": "http://p:1", "HTTPS_PROXY": "http://p:2", "no_proxy": "", "HOME": "/root"}
    assert machine.proxies(environment) == {"http_proxy": "http://p:1", "HTTPS_PROXY": "http://p:2"}


def test_apt_settings() -> None:
    dump = 'APT "";\nAcquire::Check-Date "false";\nAcquire::http::Proxy "";\nAcquire::https::Proxy "http://p:1";\n'
    assert machine.apt_settings(dump) == 'Acquire::Check-Date "false";\nAcquire::https::Proxy "http://p:1";\n'


def test_missing_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"podman", "git", "runc"}
    monkeypatch.setattr("shutil.which", lambda name, path=None: None if name in missing else f"/bin/{name}")
    assert machine.missing_programs(manager="apt-get", can_raise_limits=True) == ["git", "podman"]
    assert machine.missing_programs(manager="dnf", can_raise_limits=False) == ["git-core", "podman", "runc"]


def definition(folder: Path) -> Path:
    """Return a small definition of an image."""
    (folder / "files").mkdir()
    for name in ("Containerfile", "requirements.txt", "unpack-collections", "files/program"):
        (folder / name).write_text(name)
    return folder


def test_image_is_named_after_its_inputs(tmp_path: Path) -> None:
    folder = definition(tmp_path)
    first = images.host_reference(folder)
    assert images.host_reference(folder) == first
    (folder / "create.yml").write_text("not a part of the image")
    assert images.host_reference(folder) == first
    (folder / "files/program").chmod(0o755)
    second = images.host_reference(folder)
    assert second != first
    (folder / "requirements.txt").write_text("other")
    assert images.host_reference(folder) not in {first, second}


def test_working_tree_is_what_git_sees(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name in ("tracked", "new", "ignored.log", "removed"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".gitignore").write_text("*.log\n")
    subprocess.run(["git", "add", "tracked", "removed"], cwd=tmp_path, check=True)
    (tmp_path / "removed").unlink()
    assert deploy.working_tree(tmp_path) == [".gitignore", "new", "tracked"]


def test_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no git checkout"):
        deploy.working_tree(tmp_path)


def test_pack_depends_on_content_and_mode_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    packed, digest = deploy.pack(tmp_path, ["a"])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        member = archive.getmember("a")
        content = archive.extractfile(member)
        assert content is not None
        assert (content.read(), member.uid, member.mode) == (b"one", 0, 0o644)
    (tmp_path / "a").unlink()
    (tmp_path / "a").write_text("one")
    assert deploy.pack(tmp_path, ["a"])[1] == digest
    (tmp_path / "a").chmod(0o755)
    assert deploy.pack(tmp_path, ["a"])[1] != digest


RULES = [
    "filter -N NETAVARK_FORWARD",
    'filter -A FORWARD -m comment --comment "netavark firewall plugin rules" -j NETAVARK_FORWARD',
    "nat -N NETAVARK-1",
    "nat -A POSTROUTING -s 10.213.77.0/24 -j NETAVARK-1",
    "nft table inet netavark",
]


def test_undo_of_rules() -> None:
    comment = "netavark firewall plugin rules"
    assert before.undo(RULES, RULES) == []
    assert before.undo(RULES, []) == [
        ["nft", "delete", "table", "inet", "netavark"],
        [
            *["iptables", "-w", "-t", "filter", "-D", "FORWARD", "-m", "comment", "--comment"],
            comment,
            "-j",
            "NETAVARK_FORWARD",
        ],
        ["iptables", "-w", "-t", "nat", "-D", "POSTROUTING", "-s", "10.213.77.0/24", "-j", "NETAVARK-1"],
        ["iptables", "-w", "-t", "filter", "-X", "NETAVARK_FORWARD"],
        ["iptables", "-w", "-t", "nat", "-X", "NETAVARK-1"],
    ]


def test_only_empty_folders_go(tmp_path: Path) -> None:
    for name in ("empty/deep", "used/empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "used/file").write_text("")
    before.remove_empty(tmp_path / "empty")
    before.remove_empty(tmp_path / "used")
    before.remove_empty(tmp_path / "absent")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "used"]


def test_mounts_below() -> None:
    mounts = "x / ext4 rw 0 0\nx /s ext4 rw 0 0\nx /s/a ext4 rw 0 0\nx /sx ext4 rw 0 0\n"
    assert remove.mounts_below(mounts, Path("/s"), Path("/none")) == ["/s/a", "/s"]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (b"Step 1\nError: no space\n\n", "podman run x ended with status 9: Error: no space"),
        (b"", "podman run x ended with status 9: it printed nothing"),
    ],
)
def test_failure_is_one_sentence(output: bytes, expected: str) -> None:
    assert process.failure(["podman", "run", "x", "y"], 9, output) == expected


def test_phases_are_recorded_if_they_succeed(tmp_path: Path) -> None:
    phases = process.Phases(tmp_path / "timings.jsonl", "lab")
    with phases.phase("good"):
        pass
    with pytest.raises(LabError), phases.phase("bad"):
        raise LabError("bad")
    recorded = [json.loads(line) for line in (tmp_path / "timings.jsonl").read_text().splitlines()]
    assert [(line["lab"], line["phase"]) for line in recorded] == [("lab", "good")]


def runtime() -> ModuleType:
    """Return the program of the lab host that takes limits away."""
    path = paths.DEFINITION / "files/usr/local/libexec/hotstack-lab-limits"
    loader = importlib.machinery.SourceFileLoader("hotstack_lab_limits", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("controllers", "kept"),
    [
        pytest.param([], {"devices"}, id="none"),
        pytest.param(["memory"], {"devices", "memory"}, id="memory"),
        pytest.param(["memory", "cpu", "pids"], {"devices", "memory", "cpu", "pids"}, id="all"),
    ],
)
def test_runtime_leaves_out_what_cannot_be_held(controllers: list[str], kept: set[str]) -> None:
    resources = {"devices": [], "memory": {"limit": 1}, "cpu": {}, "pids": {}}
    config = runtime().without({"linux": {"resources": resources}}, controllers)
    assert set(config["linux"]["resources"]) == kept


def test_runtime_without_resources() -> None:
    assert runtime().without({"process": {}}, []) == {"process": {}}
    config = {"linux": {"resources": {"unified": {"memory.high": "1", "io.max": "1"}}}}
    assert runtime().without(config, ["io"]) == {"linux": {"resources": {"unified": {"io.max": "1"}}}}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--systemd-cgroup", "create", "--bundle", "/b", "id"], "/b"),
        (["create", "--bundle=/b", "id"], "/b"),
        (["run", "-b", "/b", "id"], "/b"),
        (["start", "id"], ""),
        ([], ""),
    ],
)
def test_runtime_finds_the_bundle(arguments: list[str], expected: str) -> None:
    assert runtime().bundle(arguments) == expected
