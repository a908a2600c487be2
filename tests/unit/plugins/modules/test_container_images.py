# SPDX-License-Identifier: Apache-2.0
"""Builds with a podman that only notes how it was called."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic

from ansible_collections.hotstack.os.plugins.module_utils import image_builder
from ansible_collections.hotstack.os.plugins.modules import container_images

PODMAN = """#!/bin/sh
echo "$@" >>{state}/calls
case $1 in
images) cat {state}/images.json;;
ps) cat {state}/containers.json;;
pull) if [ -e {state}/registry ]; then echo sha256:pulled; else echo "no such host" >&2; exit 125; fi;;
build)
    echo "STEP 1/2: FROM x"
    case "$*" in *context/{slow}) sleep 30;; esac
    case "$*" in *context/{broken}) echo "E: no such package"; exit 100;; esac
    echo "STEP 2/2: RUN y";;
rmi) case $2 in used) echo "in use" >&2; exit 2;; esac;;
esac
"""


def image(name: str, parent: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "parent": f"localhost/hotstack-os-{parent}:1" if parent else "",
        "reference": f"localhost/hotstack-os-{name}:1",
        "release": "2025.2",
        "digest": "d",
        "users": {},
        "arguments": {},
        "files": {"Containerfile": "ARG PARENT\nFROM ${PARENT}\n", "bin/run": "#!/bin/sh\n"},
    }


class Host:
    """A host with a podman of ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.install()
        self.images([])
        (folder / "containers.json").write_text("[]")

    def install(
        self, broken: str = "none", slow: str = "none", tools: tuple[str, ...] = ("podman", "mmdebstrap")
    ) -> None:
        (self.folder / "bin").mkdir(exist_ok=True)
        for tool in tools:
            program = self.folder / "bin" / tool
            text = PODMAN if tool == "podman" else '#!/bin/sh\necho "$@" >>{state}/calls; echo unpacking\n'
            program.write_text(
                text.replace("{state}", str(self.folder)).replace("{broken}", broken).replace("{slow}", slow)
            )
            program.chmod(0o755)

    def images(self, names: list[str]) -> None:
        label = {"io.hotstack-os.image": "x"}
        listed = [{"Id": name, "Names": [f"localhost/hotstack-os-{name}:1"], "Labels": label} for name in names]
        (self.folder / "images.json").write_text(json.dumps(listed))

    def calls(self, verb: str) -> list[str]:
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.split()[0] == verb]

    def parameters(self, **changes: Any) -> dict[str, Any]:
        return {
            "names": None,
            "prune": False,
            "build": True,
            "images": [image("base"), image("infra", "base"), image("openstack", "base")],
            "references": [],
            "folder": str(self.folder / "build"),
            "cache": str(self.folder / "cache"),
            "parallel": 2,
            "base": {"source": "bootstrap", "image": "debian:x", "suite": "trixie"},
            "package_mirror": "",
            "python_index": "",
            "proxy": "",
            "ca_bundle": "",
            **changes,
        }


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return Host(tmp_path)


def build(host: Host, **changes: Any) -> tuple[list[str], list[str]]:
    told: list[str] = []
    return image_builder.Builder(host.parameters(**changes), told.append).build(), told


def test_builds_what_is_missing_parents_first(host: Host) -> None:
    built, told = build(host)
    assert built == ["base", "infra", "openstack"]
    assert "infra" not in host.calls("build")[0]
    assert len(host.calls("build")) == 3
    assert any(line.startswith("infra: step 2/2") for line in told)
    assert any(line.startswith("openstack: built in") for line in told)
    folder = host.folder / "build"
    assert "STEP 1/2: FROM x" in (folder / "infra.log").read_text()
    timings = [json.loads(line) for line in (folder / "timings.jsonl").read_text().splitlines()]
    assert {line["image"] for line in timings} == {"base", "infra", "openstack"}
    # A proxy's password might be among them.
    assert not (folder / "settings").exists()
    assert not (folder / "context").exists()


def test_builds_nothing_twice(host: Host) -> None:
    host.images(["base", "infra", "openstack"])
    assert build(host)[0] == []
    assert host.calls("build") == []


def test_certificates_must_be_readable(host: Host, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        build(host, ca_bundle=str(tmp_path / "none.pem"))


def test_certificates_reach_the_build(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("certificate")
    monkeypatch.setattr(image_builder.Builder, "remove_inputs", lambda _self: None)
    build(host, ca_bundle=str(tmp_path / "ca.pem"))
    assert (host.folder / "build" / "settings" / "ca.pem").read_text() == "certificate"
    assert (host.folder / "build" / "context" / "infra" / "bin" / "run").read_text() == "#!/bin/sh\n"


@pytest.mark.parametrize(
    ("source", "registry", "parent"),
    [
        ("registry", True, "sha256:pulled"),
        ("auto", True, "sha256:pulled"),
        ("auto", False, "localhost/hotstack-os-rootfs:1"),
        ("bootstrap", True, "localhost/hotstack-os-rootfs:1"),
    ],
)
def test_source_of_the_base_image(host: Host, source: str, registry: bool, parent: str) -> None:
    if registry:
        (host.folder / "registry").touch()
    build(host, base={"source": source, "image": "debian:x", "suite": "trixie"})
    assert f"--build-arg=PARENT={parent} " in host.calls("build")[0]
    assert bool(host.calls("import")) == parent.startswith("localhost")


def test_root_filesystem_is_made_once(host: Host) -> None:
    host.images(["rootfs"])
    build(host)
    assert host.calls("import") == []


def test_registry_without_answer(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    base = {"source": "registry", "image": "debian:x", "suite": "trixie"}
    with pytest.raises(
        image_builder.BuildError, match=r"debian:x could not be pulled: no such host\. Without a registry"
    ):
        build(host, base=base)
    monkeypatch.setattr(image_builder, "PULL_SECONDS", 0.1)
    podman = host.folder / "bin" / "podman"
    podman.write_text(podman.read_text().replace("pull)", "pull) exec sleep 5;"))
    with pytest.raises(image_builder.BuildError, match=r"no answer in 0.1 s"):
        build(host, base=base)


def test_a_password_of_a_mirror_never_gets_into_the_base_image(host: Host) -> None:
    with pytest.raises(image_builder.BuildError, match="hotstack_os_package_mirror has a user") as raised:
        build(host, package_mirror="http://me:Swordfish@mirror/debian")
    assert "Swordfish" not in str(raised.value)
    assert "Swordfish" not in (host.folder / "calls").read_text()


def test_missing_tools(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(image_builder.BuildError, match="mmdebstrap is not installed on this host"):
        build(host)
    (host.folder / "bin" / "podman").unlink()
    monkeypatch.setenv("PATH", str(host.folder / "bin"))
    with pytest.raises(
        image_builder.BuildError, match="podman is not installed on this host; it is needed to list images"
    ):
        image_builder.listed_images()


def test_podman_that_fails(host: Host) -> None:
    (host.folder / "bin" / "podman").write_text("#!/bin/sh\necho broken storage >&2; exit 1\n")
    with pytest.raises(image_builder.BuildError, match="podman could not list images: broken storage"):
        image_builder.listed_images()


def test_failure_ends_the_others(host: Host) -> None:
    host.install(broken="infra", slow="openstack")
    started = time.monotonic()
    with pytest.raises(image_builder.BuildError) as raised:
        build(host)
    assert time.monotonic() - started < 15
    assert "Image infra could not be built: exit status 100" in str(raised.value)
    assert "E: no such package" in str(raised.value)
    assert "infra.log" in str(raised.value)
    assert not (host.folder / "build" / "settings").exists()


def test_nothing_starts_after_a_stop(host: Host) -> None:
    builder = image_builder.Builder(host.parameters(), lambda _line: None)
    builder.stop()
    with pytest.raises(image_builder.BuildError, match="because another one failed"):
        builder.run("infra", ["true"], str(host.folder / "log"), 0)


def test_long_steps_are_told_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_builder, "REPEAT_SECONDS", 0.1)
    told: list[str] = []
    builder = image_builder.Builder(host.parameters(), told.append)
    builder.run("infra", ["sh", "-c", "echo STEP 1/2: RUN x; sleep 0.5"], str(host.folder / "log"), time.monotonic())
    assert len(told) > 2


def test_a_second_build_waits(host: Host) -> None:
    host.images(["base", "infra", "openstack"])
    folder = host.folder / "build"
    folder.mkdir()
    holder = subprocess.Popen(["flock", str(folder / "lock"), "sleep", "30"], start_new_session=True)
    while subprocess.run(["flock", "--nonblock", str(folder / "lock"), "true"], check=False).returncode == 0:
        time.sleep(0.05)
    threading.Timer(0.5, lambda: os.killpg(holder.pid, signal.SIGKILL)).start()
    assert build(host)[1] == ["Waiting for another build to end"]
    holder.wait()


def test_remains_of_a_killed_build_are_removed(host: Host) -> None:
    container = {"Id": "abc", "Image": "localhost/hotstack-os-base:1", "Names": ["hotstack-os-base-working-container"]}
    (host.folder / "containers.json").write_text(json.dumps([container]))
    build(host)
    assert host.calls("rm") == ["rm --force abc"]


def test_module_says_what_is_missing(host: Host) -> None:
    host.images(["base"])
    for check_mode, wanted in ((True, True), (False, False)):
        result = container_images.run(host.parameters(build=wanted), check_mode)
        assert result == {"changed": True, "missing": ["infra", "openstack"], "removed": [], "kept": []}
    host.images(["base", "infra", "openstack"])
    assert container_images.run(host.parameters(), False)["changed"] is False


def test_check_mode_on_a_fresh_host(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.folder / "bin" / "podman").unlink()
    monkeypatch.setenv("PATH", str(host.folder / "bin"))
    assert container_images.run(host.parameters(prune=True), True)["missing"] == ["base", "infra", "openstack"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_prune(host: Host, check_mode: bool) -> None:
    host.images(["base", "infra", "openstack", "rootfs", "used", "old"])
    (host.folder / "containers.json").write_text(json.dumps([{"Id": "1", "ImageID": "used"}]))
    references = [line["reference"] for line in host.parameters()["images"]]
    result = container_images.run(host.parameters(prune=True, references=references), check_mode)
    old, used = "localhost/hotstack-os-old:1", "localhost/hotstack-os-used:1"
    assert (result["removed"], result["kept"], result["changed"]) == ([old], [used], True)
    assert bool(host.calls("rmi")) != check_mode


def test_start_leaves_a_process_that_builds(host: Host) -> None:
    (host.folder / "build").mkdir()
    (host.folder / "build" / "run-1.json").write_text("{}")
    run = container_images.run(host.parameters(), False)["run"]
    os.waitpid(run["process"], 0)
    assert json.loads(Path(run["result"]).read_text()) == {"built": ["base", "infra", "openstack"]}
    assert "infra: built in" in Path(run["progress"]).read_text()
    assert not (host.folder / "build" / "run-1.json").exists()


def test_build_reports_what_it_built(host: Host) -> None:
    told: list[str] = []
    assert container_images.build(host.parameters(), told.append) == {"built": ["base", "infra", "openstack"]}
    assert told


class EndedError(Exception):
    """The module ended."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, ""),
        (image_builder.BuildError("no podman"), "no podman"),
        (PermissionError(13, "Permission denied", "/b"), "/b: Permission denied."),
    ],
)
def test_main(monkeypatch: pytest.MonkeyPatch, error: Exception | None, message: str) -> None:
    ended: dict[str, Any] = {}

    class Module:
        params: dict[str, Any] = {}  # noqa: RUF012
        check_mode = False

        def __init__(self, **_arguments: Any) -> None:
            pass

        def exit_json(self, **result: Any) -> None:
            ended.update(result)

        def fail_json(self, **result: Any) -> None:
            ended.update(result)
            raise EndedError

    def run(_params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
        if error:
            raise error
        return {"changed": False}

    monkeypatch.setattr(container_images, "AnsibleModule", Module)
    monkeypatch.setattr(container_images, "run", run)
    if error:
        with pytest.raises(EndedError):
            container_images.main()
        assert ended == {"msg": message}
    else:
        container_images.main()
        assert ended == {"changed": False}


@pytest.mark.parametrize("name", ["proxy", "package_mirror", "python_index"])
def test_a_password_in_a_url_is_not_reported(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    given = {name: "http://me:Swordfish@server/", "_ansible_check_mode": True}
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    with pytest.raises(SystemExit):
        container_images.main()
    printed = capsys.readouterr().out
    assert json.loads(printed)["changed"] is False
    assert "Swordfish" not in printed
