# SPDX-License-Identifier: Apache-2.0
"""The form of capabilities on the disk, and what adding and taking away does to them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import file_capabilities
from ansible_collections.hotstack.os.plugins.module_utils.file_capabilities import NONE
from ansible_collections.hotstack.os.plugins.module_utils.file_capabilities import FileCapabilities as Caps

ADMIN, RAW = 1 << 12, 1 << 13
BPF = 1 << 39


@pytest.mark.parametrize(
    ("data", "expected", "text"),
    [
        pytest.param(
            "0100000200100000000000000000000000000000",
            Caps(ADMIN, 0, True),
            "cap_net_admin=ep",
            id="setcap",
        ),
        pytest.param(
            "0000000200300000002000000000000000000000",
            Caps(ADMIN | RAW, RAW),
            "cap_net_admin=p cap_net_raw=ip",
            id="inheritable, not effective",
        ),
        pytest.param("0100000200000000000000008000000000000000", Caps(BPF, 0, True), "cap_bpf=ep", id="upper half"),
        pytest.param(
            "010000030010000000000000000000000000000040420f00",
            Caps(ADMIN, 0, True, 1000000),
            "cap_net_admin=ep",
            id="of a user namespace",
        ),
    ],
)
def test_decode_and_encode(data: str, expected: Caps, text: str) -> None:
    assert file_capabilities.decode(bytes.fromhex(data)) == expected
    assert file_capabilities.encode(expected).hex() == data
    assert str(expected) == text


def test_decode_the_oldest_revision() -> None:
    assert file_capabilities.decode(bytes.fromhex("010000010010000000000000")) == Caps(ADMIN, 0, True)


def test_a_capability_without_a_name_is_shown_by_number() -> None:
    assert str(Caps(1 << 60)) == "cap_60=p"


@pytest.mark.parametrize("data", ["", "0100", "01000002", "0100000900100000000000000000000000000000"])
def test_decode_refuses_what_it_does_not_know(data: str) -> None:
    with pytest.raises(file_capabilities.CapabilityError, match="does not know"):
        file_capabilities.decode(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("before", "state", "names", "after"),
    [
        pytest.param(NONE, "present", ["cap_net_admin"], Caps(ADMIN, 0, True), id="first"),
        pytest.param(
            Caps(RAW, BPF),
            "present",
            ["cap_net_admin"],
            Caps(ADMIN | RAW, BPF, True),
            id="added",
        ),
        pytest.param(Caps(ADMIN, 0, True), "present", ["CAP_NET_ADMIN"], Caps(ADMIN, 0, True), id="there"),
        pytest.param(Caps(ADMIN), "present", ["cap_net_admin"], Caps(ADMIN, 0, True), id="made effective"),
        pytest.param(
            Caps(ADMIN | RAW, ADMIN, True),
            "absent",
            ["cap_net_admin"],
            Caps(RAW, 0, True),
            id="less",
        ),
        pytest.param(Caps(ADMIN, 0, True), "absent", ["cap_net_admin"], NONE, id="last"),
        pytest.param(NONE, "absent", ["cap_net_admin"], NONE, id="never there"),
        pytest.param(Caps(RAW, RAW), "exact", ["cap_net_admin"], Caps(ADMIN, 0, True), id="replaced"),
        pytest.param(Caps(RAW, RAW), "exact", [], NONE, id="all removed"),
        pytest.param(Caps(RAW), "present", [], Caps(RAW), id="nothing to add"),
        pytest.param(
            Caps(RAW, 0, True, 7),
            "present",
            ["cap_net_admin"],
            Caps(ADMIN | RAW, 0, True, 7),
            id="uid",
        ),
    ],
)
def test_wanted(before: Caps, state: str, names: list[str], after: Caps) -> None:
    assert file_capabilities.wanted(before, state, names) == after


def test_not_effective() -> None:
    assert file_capabilities.wanted(NONE, "exact", ["cap_net_raw"], effective=False) == Caps(RAW)


def test_unknown_name() -> None:
    with pytest.raises(file_capabilities.CapabilityError, match="no capability called net_admin"):
        file_capabilities.mask(["net_admin"])


def test_links_folders_and_absent_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("anywhere")
    for name, message in {"link": "is a link", "absent": "can't be opened", ".": "not a regular file"}.items():
        with (
            pytest.raises(file_capabilities.CapabilityError, match=message),
            file_capabilities.opened(f"{tmp_path}/{name}"),
        ):
            pass


def test_a_file_system_without_attributes_has_no_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> bytes:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "getxattr", refuse)
    number = errno.EOPNOTSUPP
    assert not file_capabilities.read(0)
    number = errno.EIO
    with pytest.raises(OSError, match="no"):
        file_capabilities.read(0)


def test_write_says_what_the_system_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "setxattr", refuse)
    (tmp_path / "file").touch()
    with pytest.raises(file_capabilities.CapabilityError, match="Operation not permitted"):
        file_capabilities.ensure(str(tmp_path / "file"), "exact", ["cap_net_raw"], True, dry=False)
