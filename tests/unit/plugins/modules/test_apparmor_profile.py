# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import apparmor, removal_traces
from ansible_collections.hotstack.os.plugins.modules import apparmor_profile as module

CONTENT = "profile hotstack-os {}\n"
LOADED = "snap.x (complain)\nhotstack-os (enforce)\n/usr/bin/a b (unconfined)\n"


class FakeHost:
    """AppArmor in a directory; the parser loads what it is given in enforce mode, or fails."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parameter, self.system, self.profiles_d = place / "enabled", place / "kernel", place / "apparmor.d"
        self.parameter.write_text("Y\n")
        self.system.mkdir()
        for name in ("disable", "force-complain"):
            (self.profiles_d / name).mkdir(parents=True)
        self.file = self.profiles_d / "hotstack-os"
        self.link = self.profiles_d / "disable/hotstack-os"
        self.status, self.ran = 0, 0
        self.load("")
        monkeypatch.setattr(apparmor, "PARAMETER", str(self.parameter))
        monkeypatch.setattr(apparmor, "FILE_SYSTEM", str(self.system))
        monkeypatch.setattr(apparmor, "FILE", str(self.file))
        monkeypatch.setattr(
            apparmor, "OVERRIDES", (str(self.link), str(self.profiles_d / "force-complain/hotstack-os"))
        )

    def load(self, text: str) -> None:
        (self.system / "profiles").write_text(text)

    def parser(self, arguments: list[str], text: str) -> tuple[int, str]:
        assert (arguments, text) == (["--replace"], CONTENT)
        self.ran += 1
        if self.status == 0:
            self.load(LOADED)
        return self.status, "syntax error\n"

    def run(self, check_mode: bool = False) -> dict[str, Any]:
        return module.run(CONTENT, self.parser, check_mode)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost(tmp_path, monkeypatch)


def test_the_profile_has_the_name_that_units_use_and_the_mark_of_ours() -> None:
    text = (Path(__file__).resolve().parents[4] / "roles/host_prep/files/apparmor-profile").read_text()
    assert re.findall(r"^profile (\S+)", text, re.MULTILINE) == [apparmor.PROFILE]
    assert re.findall(r"^@{containers} = (.*)", text, re.MULTILINE) == [f"{{,**//&}}{apparmor.PROFILE}{{,//&**}}"]
    assert removal_traces.MARKS[apparmor.FILE] in text


def test_it_is_loaded_and_kept_once(host: FakeHost) -> None:
    assert host.run(check_mode=True)["changed"]
    assert (host.ran, host.file.exists()) == (0, False)
    result = host.run()
    assert (result["changed"], result["enabled"], host.file.read_text()) == (True, True, CONTENT)
    assert result["diff"][1]["before"] == "not loaded\n"
    assert host.run() == {"changed": False, "enabled": True, "diff": []}
    assert host.ran == 1


@pytest.mark.parametrize(
    "state",
    [
        pytest.param("text", id="another text"),
        pytest.param("unloaded", id="not loaded"),
        pytest.param("complain", id="complain mode"),
        pytest.param("disabled", id="disabled"),
        pytest.param("mode", id="mode of the file"),
    ],
)
def test_what_is_not_in_force_is_loaded_again(host: FakeHost, state: str) -> None:
    host.run()
    if state == "text":
        host.file.write_text("profile hotstack-os flags=(complain) {}\n")
    elif state == "unloaded":
        host.load("")
    elif state == "complain":
        host.load("hotstack-os (complain)\n")
    elif state == "disabled":
        host.link.symlink_to(host.file)
    else:
        host.file.chmod(0o666)
    assert host.run()["changed"]
    assert not host.run()["changed"]
    assert (host.ran, host.file.read_text(), host.link.is_symlink()) == (2, CONTENT, False)


def test_a_rejected_profile_is_not_kept(host: FakeHost) -> None:
    host.status = 1
    with pytest.raises(module.ProfileError, match="rejects the profile hotstack-os: syntax error"):
        host.run()
    assert not host.file.exists()


def test_a_missing_parser(host: FakeHost) -> None:
    with pytest.raises(module.ProfileError, match="install the package apparmor"):
        module.run(CONTENT, None, True)


@pytest.mark.parametrize("kind", ["kernel parameter", "no parameter", "no file system"])
def test_a_host_without_apparmor_stays_as_it_is(host: FakeHost, kind: str) -> None:
    if kind == "kernel parameter":
        host.parameter.write_text("N\n")
    elif kind == "no parameter":
        host.parameter.unlink()
    else:
        (host.system / "profiles").unlink()
        host.system.rmdir()
    assert module.run(CONTENT, None, False) == {"changed": False, "enabled": False}
    assert not host.file.exists()


@pytest.mark.parametrize(
    ("label", "confined"),
    [
        ("hotstack-os (enforce)\n", True),
        ("crun//&hotstack-os (mixed)\n", True),
        ("busybox//&hotstack-os (mixed)\0", True),
        ("hotstack-os//&unconfined (enforce)\n", True),
        ("containers-default-0.62.2//&crun (mixed)\n", False),
        ("hotstack-os-other (enforce)\n", False),
        ("unconfined\n", False),
        ("", False),
    ],
)
def test_labels(label: str, confined: bool) -> None:
    assert apparmor.confines(label) is confined


def test_the_kernels_list_of_profiles() -> None:
    assert apparmor.parse_profiles(LOADED) == {
        "snap.x": "complain",
        "hotstack-os": "enforce",
        "/usr/bin/a b": "unconfined",
    }
