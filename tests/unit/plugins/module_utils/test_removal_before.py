# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from test_removal_facts import Tools

from ansible_collections.hotstack.os.plugins.module_utils import removal_before, removal_facts, removal_traces
from ansible_collections.hotstack.os.plugins.module_utils.removal_traces import Bridge, Subject, Switch

US = pwd.getpwuid(os.geteuid())


@pytest.fixture(name="tools")
def _tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    tools = Tools({})
    monkeypatch.setattr(removal_facts, "run", tools)
    return tools


def test_what_was_before(tools: Tools, tmp_path: Path) -> None:
    data = tmp_path / "data"
    subject = Subject(user=US.pw_name, home=f"{tmp_path}/home", data_dirs=(str(data),), base_image="debian")
    found = removal_before.before(subject)
    assert found["paths"][str(data)] is None
    assert found["users"][US.pw_name]["shell"] == US.pw_shell
    assert found["groups"] == {US.pw_name: grp.getgrnam(US.pw_name).gr_gid}
    assert found["images"] == {"debian": None}
    assert found["nft_tables"] == {removal_traces.PODMAN_TABLE: None}
    tools.answers = {"podman image exists debian": "", "podman image inspect": "7\n", "nft": "table inet netavark\n"}
    again = removal_before.before(Subject(user="no-such-user", data_dirs=(str(data),), base_image="debian"))
    assert (again["images"], again["nft_tables"], again["users"]) == ({}, {}, {"no-such-user": None})


def test_what_the_switch_was_before() -> None:
    found = Switch({"hot-ex": Bridge(mtu=1500), "hot-int": Bridge(marked=True)}, {}, {"vlan-limit": "1"})
    assert removal_before.before_switch(Subject(), found) == {
        "ovs_bridges": {"hot-int": None, "hot-ex": {"datapath": "system", "mtu": 1500}},
        "ovs_external_ids": {"ovn-bridge-datapath-type": None},
        "ovs_other_config": {"userspace-tso-enable": None, "vlan-limit": "1"},
    }


@pytest.mark.parametrize(
    ("inside", "kept"), [(["runtime"], None), (["runtime", "theirs"], ["theirs"]), (["theirs"], ["theirs"]), ([], [])]
)
def test_builds_before_the_first_deployment_are_not_of_others(tmp_path: Path, inside: list[str], kept: Any) -> None:
    for name in inside:
        (tmp_path / name).mkdir()
    known = removal_before.without_builds(removal_facts.describe(str(tmp_path)))
    assert known == (None if kept is None else {**(removal_facts.describe(str(tmp_path)) or {}), "entries": kept})
    assert removal_before.without_builds(None) is None
