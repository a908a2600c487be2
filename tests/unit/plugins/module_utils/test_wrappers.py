# SPDX-License-Identifier: Apache-2.0
"""Wrappers that come, are updated and go, in a root folder of their own."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import wrappers

WRAPPER = "#!/usr/bin/python3\n# the module hotstack.os.mount_nfs_wrapper installs this\n"
CONFIG = "NFS_SHARE=a:/b\nLOCAL_PATH=/c\n"


@pytest.fixture
def place(tmp_path: Path) -> wrappers.Place:
    """The place of mount.nfs, with the distribution's program there."""
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "sbin").symlink_to("/usr/sbin")
    path = wrappers.resolve(str(tmp_path), "/sbin/mount.nfs")
    assert path == "/usr/sbin/mount.nfs"
    put(tmp_path / "usr/sbin/mount.nfs", "theirs")
    config = "/etc/hotstack/mount-wrapper.conf"
    return wrappers.Place(str(tmp_path), path, f"{path}.real", "mount_nfs_wrapper", config, CONFIG)


@pytest.fixture
def beside(place: wrappers.Place) -> wrappers.Place:
    """A place that shadows the program rather than takes its place."""
    return wrappers.Place(place.root, "/usr/local/bin/mount.nfs", place.path, place.module)


@pytest.fixture
def dpkg(place: wrappers.Place, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A dpkg that knows the program by its old name; returns the names that are diverted."""
    diverted: list[str] = []
    (Path(place.root) / "var/lib/dpkg").mkdir(parents=True)
    (Path(place.root) / "var/lib/dpkg/status").touch()

    def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        assert command[1:3] == ["--root", place.root]
        name, output = command[-1], ""
        if "--search" in command:
            output = f"nfs-common: {name}\n" if name == "/sbin/mount.nfs" else ""
        elif "--listpackage" in command:
            output = "LOCAL\n" if name in diverted else ""
        else:
            assert command[3:-2] == ["--quiet", "--local", "--no-rename", "--divert", f"{name}.real"]
            diverted.append(name) if command[-2] == "--add" else diverted.remove(name)
        return subprocess.CompletedProcess(command, 0, output, "")

    monkeypatch.setattr(wrappers, "run", run)
    monkeypatch.setattr("shutil.which", lambda name: name)
    return diverted


def put(path: Path, text: str, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def state(place: wrappers.Place) -> dict[str, str]:
    """Return the files of the root folder by path."""
    root = Path(place.root)
    return {
        f"/{path.relative_to(root)}": path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and "dpkg" not in path.parts
    }


INSTALLED = {
    "/etc/hotstack/mount-wrapper.conf": CONFIG,
    "/usr/sbin/mount.nfs": WRAPPER,
    "/usr/sbin/mount.nfs.real": "theirs",
}


def headers(outcome: wrappers.Outcome) -> list[str]:
    return [entry["after_header"] for entry in outcome.diff]


def test_there_and_back(place: wrappers.Place) -> None:
    Path(place.inside(place.path)).chmod(0o4755)
    before = state(place)
    assert len(wrappers.install(place, WRAPPER, dry=True).diff) == 3
    assert state(place) == before
    assert headers(wrappers.install(place, WRAPPER, dry=False)) == [place.config, place.real, place.path]
    assert state(place) == INSTALLED
    assert stat.S_IMODE(os.stat(place.inside(place.path)).st_mode) == 0o755
    assert stat.S_IMODE(os.stat(place.inside(place.real)).st_mode) == 0o4755
    assert not wrappers.install(place, WRAPPER, dry=False).diff
    assert len(wrappers.remove(place, dry=True).diff) == 3
    assert state(place) == INSTALLED
    wrappers.remove(place, dry=False)
    assert state(place) == before
    assert not Path(place.inside("/etc/hotstack")).exists()
    assert not wrappers.remove(place, dry=False).diff


def test_update(place: wrappers.Place) -> None:
    wrappers.install(place, WRAPPER + "# old\n", dry=False)
    Path(place.inside(place.config)).write_text("old")
    Path(place.inside(place.path)).chmod(0o700)
    outcome = wrappers.install(place, WRAPPER, dry=False)
    assert outcome.diff[1]["before"] == WRAPPER + "# old\n"
    assert state(place) == INSTALLED
    Path(place.inside(place.path)).chmod(0o700)
    outcome = wrappers.install(place, WRAPPER, dry=False)
    assert [(entry["before"], entry["after"]) for entry in outcome.diff] == [("mode 0700\n", "mode 0755\n")]


def test_program_that_an_update_put_over_the_wrapper(place: wrappers.Place) -> None:
    wrappers.install(place, WRAPPER, dry=False)
    put(Path(place.inside(place.path)), "newer")
    assert headers(wrappers.install(place, WRAPPER, dry=False)) == [place.real, place.path]
    assert state(place) == {**INSTALLED, place.real: "newer"}
    Path(place.inside(place.path)).unlink()
    put(Path(place.inside(place.path)), "newest")
    wrappers.remove(place, dry=False)
    assert state(place) == {place.path: "newest"}


def test_interrupted_after_the_second_name(place: wrappers.Place, dpkg: list[str]) -> None:
    os.link(place.inside(place.path), place.inside(place.real))
    wrappers.install(place, WRAPPER, dry=False)
    assert state(place) == INSTALLED
    wrappers.remove(place, dry=False)
    os.link(place.inside(place.path), place.inside(place.real))
    dpkg.append("/sbin/mount.nfs")
    wrappers.remove(place, dry=False)
    assert (state(place), dpkg) == ({place.path: "theirs"}, [])


def test_dpkg_is_told(place: wrappers.Place, dpkg: list[str]) -> None:
    assert "diversion of /sbin/mount.nfs" in headers(wrappers.install(place, WRAPPER, dry=False))
    assert dpkg == ["/sbin/mount.nfs"]
    put(Path(place.inside(place.real)), "newer")
    assert not wrappers.install(place, WRAPPER, dry=False).diff
    wrappers.remove(place, dry=True)
    assert dpkg == ["/sbin/mount.nfs"]
    wrappers.remove(place, dry=False)
    assert (state(place), dpkg) == ({place.path: "newer"}, [])


def test_dpkg_explains(place: wrappers.Place, dpkg: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    diversion = wrappers.Diversion(place)
    monkeypatch.setattr(wrappers, "run", lambda command: subprocess.CompletedProcess(command, 2, "", "busy\n"))
    with pytest.raises(wrappers.WrapperError, match=r"^dpkg-divert can't add /sbin/mount.nfs: busy$"):
        diversion.change("add")


def test_shadow(beside: wrappers.Place) -> None:
    assert headers(wrappers.install(beside, WRAPPER, dry=False)) == [beside.path]
    assert not wrappers.install(beside, WRAPPER, dry=False).diff
    assert state(beside) == {beside.path: WRAPPER, beside.real: "theirs"}
    wrappers.remove(beside, dry=False)
    assert state(beside) == {beside.real: "theirs"}


@pytest.mark.parametrize(
    ("found", "real", "diverted", "message"),
    [
        ("other", True, True, "/w is neither ours nor of a package; /w.real is. Remove /w."),
        ("nothing", False, False, "There is no /w; install the package that brings it."),
        ("wrapper", False, False, "There is no /w.real; install the package that brings it."),
    ],
)
def test_in_the_way(found: str, real: bool, diverted: bool, message: str) -> None:
    with pytest.raises(wrappers.WrapperError) as error:
        wrappers.must_keep(wrappers.Place("/", "/w", "/w.real", "m"), found, real, diverted)
    assert str(error.value) == message


def test_somebody_elses_wrapper_stays(beside: wrappers.Place) -> None:
    put(Path(beside.inside(beside.path)), "foreign")
    before = state(beside)
    for dry in (True, False):
        with pytest.raises(wrappers.WrapperError, match=r"^/usr/local/bin/mount.nfs is not ours; remove it if nothing"):
            wrappers.install(beside, WRAPPER, dry)
        assert not wrappers.remove(beside, dry).diff
    assert state(beside) == before


def test_foreign_program_beside_the_packages(place: wrappers.Place, dpkg: list[str]) -> None:
    wrappers.install(place, WRAPPER, dry=False)
    put(Path(place.inside(place.path)), "foreign")
    with pytest.raises(wrappers.WrapperError, match=r"neither ours nor of a package"):
        wrappers.remove(place, dry=False)


def test_check_mode_before_the_package_is_there(place: wrappers.Place, beside: wrappers.Place) -> None:
    Path(place.inside(place.path)).unlink()
    for where in (place, beside):
        assert wrappers.install(where, WRAPPER, dry=True).diff
        with pytest.raises(wrappers.WrapperError, match=r"^There is no /usr/sbin/mount.nfs; install the package"):
            wrappers.install(where, WRAPPER, dry=False)
    assert state(place) == {}


@pytest.mark.parametrize("first", [True, False])
def test_one_that_does_not_work_is_taken_back(
    place: wrappers.Place, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    if not first:
        wrappers.install(place, WRAPPER, dry=False)
    before = state(place)

    def try_out(where: wrappers.Place, self_test: str, option: str) -> None:
        assert (where, self_test, option) == (place, "test", "--x")
        raise wrappers.WrapperError("no")

    monkeypatch.setattr(wrappers, "try_out", try_out)
    broken = wrappers.Place(place.root, place.path, place.real, place.module, place.config, CONFIG + "#\n")
    monkeypatch.setattr(wrappers, "try_out", lambda where, *more: try_out(place, *more))
    with pytest.raises(wrappers.WrapperError, match=r"^no$"):
        wrappers.ensure(broken, WRAPPER + "broken", "test", "--x", dry=False)
    assert state(place) == before
    assert wrappers.ensure(broken, WRAPPER + "broken", "test", "--x", dry=True).diff


def test_self_test_runs_where_the_wrapper_is() -> None:
    here = wrappers.Place("/", "/w", "/w.real", "m")
    wrappers.try_out(here, "import sys; assert sys.argv[1:] == ['--x', '/w']", "--x")
    with pytest.raises(wrappers.WrapperError, match=r"^The self-test failed and what was there before is back: why$"):
        wrappers.try_out(here, "import sys; sys.exit('why')", "--x")


def test_self_test_of_another_root(tmp_path: Path) -> None:
    with pytest.raises(wrappers.WrapperError, match=r"chroot"):
        wrappers.try_out(wrappers.Place(str(tmp_path), "/w", "/w.real", "m"), "", "--x")


def test_links_stay_inside_the_root(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/sbin").symlink_to("bin")
    (tmp_path / "sbin").symlink_to("usr/sbin")
    (tmp_path / "out").symlink_to("/../../usr/bin")
    (tmp_path / "round").symlink_to("round")
    for path, expected in (
        ("/sbin/x", "/usr/bin/x"),
        ("/out/x", "/usr/bin/x"),
        ("/usr/../sbin/./x", "/usr/bin/x"),
        ("/none/y/x", "/none/y/x"),
    ):
        assert wrappers.resolve(str(tmp_path), path) == expected
    with pytest.raises(wrappers.WrapperError, match=r"^/round/x leads round in a circle.$"):
        wrappers.resolve(str(tmp_path), "/round/x")


@pytest.mark.parametrize(
    ("share", "path", "message"),
    [
        ("/b", "/c", "share is /b, but must be host:/path."),
        ("a:b", "/c", "share is a:b, but must be host:/path."),
        ("a:/b\nX=1", "/c", "share is a:/b\nX=1, but must be host:/path."),
        ("a:/b", "c", "local_path is c, but must be an absolute path."),
        ("a:/b", "/c\n", "local_path is /c\n, but must be an absolute path."),
    ],
)
def test_configuration_that_would_not_work(share: str, path: str, message: str) -> None:
    with pytest.raises(wrappers.WrapperError) as error:
        wrappers.mount_config(share, path)
    assert str(error.value) == message
    assert wrappers.mount_config("[fe80::1]:/b c", "/c d") == "NFS_SHARE=[fe80::1]:/b c\nLOCAL_PATH=/c d\n"
