# SPDX-License-Identifier: Apache-2.0
"""Which images are built, with which commands, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import image_builds

PLAIN = {"package_mirror": "", "python_index": "", "proxy": "", "ca_bundle": ""}


def image(name: str, parent: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "parent": f"localhost/hotstack-os-{parent}:1" if parent else "",
        "reference": f"localhost/hotstack-os-{name}:1",
        "release": "2025.2",
        "digest": "d" * 64,
        "users": {"mysql": 4, "haproxy": 2} if name == "infra" else {},
        "files": {"Containerfile": "ARG PARENT\nFROM ${PARENT}\nARG USERS\n"},
    }


IMAGES = [image("base"), image("infra", "base"), image("openstack", "base"), image("keystone", "openstack")]


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("STEP 3/8: RUN install-packages gcc\n", ("1", "step 3/8", "RUN install-packages gcc")),
        ("[2/2] STEP 1/4: FROM base", ("2", "stage 2/2, step 1/4", "FROM base")),
        ("[1/1] STEP 1/4: FROM base", ("1", "step 1/4", "FROM base")),
    ],
)
def test_steps(line: str, step: tuple[str, str, str]) -> None:
    assert image_builds.read_step(line) == step


@pytest.mark.parametrize("line", ["", "COMMIT x", "Setting up STEP 1/2: x", "STEP x/2: y"])
def test_lines_without_a_step(line: str) -> None:
    assert image_builds.read_step(line) is None


def test_progress_is_short() -> None:
    step = image_builds.Step("1", "step 1/2", "RUN  create-users \t && " + "x" * 80)
    line = image_builds.progress_line("infra", step, 12.4)
    assert line.startswith("infra: step 1/2, 12 s: RUN create-users && xxx")
    assert line.endswith("...")
    assert len(line) < 100
    assert image_builds.repeated_line("infra", [step], 12.4) == line


def test_progress_of_stages_beside_each_other() -> None:
    steps = [
        image_builds.Step("1", "stage 1/2, step 5/5", "RUN x"),
        image_builds.Step("2", "stage 2/2, step 3/5", "COPY y"),
    ]
    line = image_builds.repeated_line("openstack", steps, 60)
    assert line == "openstack: stage 1/2, step 5/5 and stage 2/2, step 3/5, 60 s"


@pytest.mark.parametrize(
    ("waiting", "running", "ready"),
    [
        ({"base", "infra", "openstack", "keystone"}, set(), ["base"]),
        ({"infra", "openstack", "keystone"}, {"base"}, []),
        ({"infra", "openstack", "keystone"}, set(), ["infra", "openstack"]),
        ({"keystone"}, {"openstack"}, []),
        ({"keystone"}, {"infra"}, ["keystone"]),
    ],
)
def test_parents_come_first(waiting: set[str], running: set[str], ready: list[str]) -> None:
    assert image_builds.ready_images(IMAGES, waiting, running) == ready


def test_only_what_is_missing() -> None:
    assert image_builds.missing_images(IMAGES, {"localhost/hotstack-os-base:1"}) == ["infra", "openstack", "keystone"]


def test_superseded_images() -> None:
    label = {"io.hotstack-os.image": "infra"}
    listed: list[dict[str, Any]] = [
        {"Id": "old-parent", "Names": ["localhost/hotstack-os-base:0"], "Labels": label, "Created": 1},
        {"Id": "old-child", "Names": ["localhost/hotstack-os-infra:0"], "Labels": label, "Created": 2},
        {"Id": "untagged", "Names": None, "Labels": label, "Created": 3},
        {"Id": "wanted", "Names": ["localhost/hotstack-os-infra:1"], "Labels": label},
        {"Id": "foreign", "Names": ["localhost/hotstack-os-mine:1"], "Labels": None},
        {"Id": "made from ours", "Names": ["localhost/my-nova:1"], "Labels": label, "Created": 4},
    ]
    old = image_builds.superseded_images(listed, {"localhost/hotstack-os-infra:1"})
    assert [line["Id"] for line in old] == ["untagged", "old-child", "old-parent"]


def test_abandoned_containers() -> None:
    listed: list[dict[str, Any]] = [
        {"Id": "ours", "Image": "localhost/hotstack-os-base:1", "Names": ["hotstack-os-base-working-container"]},
        {"Id": "second", "Image": "localhost/hotstack-os-base:1", "Names": ["hotstack-os-base-working-container-1"]},
        {"Id": "service", "Image": "localhost/hotstack-os-infra:1", "Names": ["hotstack-os-mariadb"]},
        {"Id": "foreign", "Image": "localhost/other:1", "Names": ["other-working-container"]},
        {"Id": "nameless", "Image": "localhost/hotstack-os-base:1", "Names": None},
    ]
    assert image_builds.abandoned_containers(listed) == ["ours", "second"]


def test_settings_of_a_plain_build() -> None:
    assert image_builds.build_settings(PLAIN, "trixie", "") == {"apt.conf": "", "environment": "", "ca.pem": ""}


def test_settings_with_everything() -> None:
    parameters = {
        **PLAIN,
        "package_mirror": "http://mirror.example/debian",
        "python_index": "http://index.example/simple?a=b&c",
        "proxy": "http://user:word@proxy.example:3128",
    }
    files = image_builds.build_settings(parameters, "trixie", "certificate")
    assert files["sources.list"] == (
        "deb http://mirror.example/debian trixie main\ndeb http://mirror.example/debian trixie-updates main\n"
    )
    assert 'Dir::Etc::SourceList "/run/hotstack-os-build/sources.list";' in files["apt.conf"]
    assert 'Acquire::http::Proxy "http://user:word@proxy.example:3128";' in files["apt.conf"]
    assert 'Acquire::https::CAInfo "/run/hotstack-os-build/ca.pem";' in files["apt.conf"]
    assert "export UV_DEFAULT_INDEX='http://index.example/simple?a=b&c'\n" in files["environment"]
    assert files["ca.pem"] == "certificate"


def test_environment() -> None:
    assert image_builds.build_environment(PLAIN, {"PATH": "/bin"}) == {"PATH": "/bin"}
    environment = image_builds.build_environment({**PLAIN, "proxy": "http://p:1"}, {"PATH": "/bin"})
    assert environment["PATH"] == "/bin"
    assert environment["https_proxy"] == environment["HTTP_PROXY"] == "http://p:1"


def test_bootstrap_command() -> None:
    command = image_builds.bootstrap_command(PLAIN, "trixie", "/b/rootfs.tar")
    assert command[-2:] == ["trixie", "/b/rootfs.tar"]
    parameters = {**PLAIN, "package_mirror": "http://m/debian", "ca_bundle": "/etc/ca.pem"}
    command = image_builds.bootstrap_command(parameters, "trixie", "/b/rootfs.tar")
    assert command[-3:] == [
        "/b/rootfs.tar",
        "deb http://m/debian trixie main",
        "deb http://m/debian trixie-updates main",
    ]
    assert '--aptopt=Acquire::https::CAInfo "/etc/ca.pem"' in command
    # What apt was told for this build only is not in the root filesystem.
    assert '--customize-hook=rm "$1/etc/apt/apt.conf.d/99mmdebstrap"' in command


def test_build_command() -> None:
    command = image_builds.build_command(IMAGES[1], "localhost/hotstack-os-base:1", "/b", "/c")
    assert command[:2] == ["podman", "build"]
    assert command[command.index("--tag") + 1] == "localhost/hotstack-os-infra:1"
    assert "--build-arg=PARENT=localhost/hotstack-os-base:1" in command
    assert "--build-arg=USERS=haproxy:2 mysql:4" in command
    # The Containerfile does not ask for it, and podman would warn.
    assert not [part for part in command if "RELEASE" in part]
    assert f"--label=io.hotstack-os.digest={'d' * 64}" in command
    assert "/c:/run/hotstack-os-cache:z" in command
    assert command[-1] == "/b/context/infra"


def test_rootfs_is_named_after_the_base_image() -> None:
    assert image_builds.rootfs_reference(image("base")) == "localhost/hotstack-os-rootfs:1"


def test_failure_shows_the_last_lines() -> None:
    message = image_builds.failure("infra", 100, [f"line {number}" for number in range(50)], "/b/infra.log")
    assert message.startswith("Image infra could not be built: exit status 100. Its last lines are:\nline 20\n")
    assert message.endswith("line 49\nThe whole log is /b/infra.log.")


def test_timing() -> None:
    assert image_builds.timing("infra", 12.345, 99.9) == '{"image": "infra", "seconds": 12.3, "finished": 100}\n'
