# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.hotstack.os.plugins.module_utils import ovs_bridges as ovs

NAMES = ["hot-int", "hot-ex"]
GOOD = ovs.Bridge("system", 9216, 65534)
OWN = ovs.Bridge("netdev", 9216, 65534)
DEAD = ovs.Bridge("system", 9216, None, "could not open network device hot-ex")


def tables(*rows: list[list[Any]]) -> str:
    return "\n".join(json.dumps({"headings": [], "data": table}) for table in rows) + "\n"


def test_parse_joins_bridges_with_their_local_ports() -> None:
    output = tables(
        [
            ["hot-ex", "netdev", ["map", [["a", "b"]]]],
            ["br0", "", ["map", []]],
            ["odd", "", ["map", []]],
            ["gone", "", ["map", []]],
        ],
        [
            ["hot-ex", 9216, 65534, ["set", []]],
            ["br0", ["set", []], -1, "no such device"],
            ["gone", 9216, 65534, ["set", []]],
            ["tap0", ["set", []], 3, ["set", []]],
        ],
        [[["map", [["ovn-bridge-datapath-type", "netdev"], ["system-id", "x"]]]]],
    )
    state = ovs.parse(output, lambda name: name != "gone")
    assert state.bridges == {
        "hot-ex": OWN,
        "br0": ovs.Bridge("system", None, -1, "no such device"),
        "odd": ovs.Bridge("system", None, None, "it has no local port"),
        "gone": ovs.Bridge("system", 9216, None),
    }
    assert state.external_ids == {"ovn-bridge-datapath-type": "netdev", "system-id": "x"}


def test_parse_of_an_empty_database() -> None:
    assert ovs.parse(tables([], [], []), bool) == ovs.State()


@pytest.mark.parametrize(
    ("bridge", "expected"),
    [
        pytest.param(GOOD, True, id="works"),
        pytest.param(ovs.Bridge("system", None, 0), True, id="the smallest port"),
        pytest.param(DEAD, False, id="error"),
        pytest.param(ovs.Bridge("system", None, -1), False, id="refused"),
        pytest.param(ovs.Bridge("system"), False, id="not there yet"),
    ],
)
def test_works(bridge: ovs.Bridge, expected: bool) -> None:
    assert bridge.works is expected


@pytest.mark.parametrize(
    ("bridges", "setting", "expected"),
    [
        pytest.param({}, "system", "system", id="told"),
        pytest.param({"hot-int": GOOD, "hot-ex": GOOD}, "netdev", "netdev", id="told, against what is there"),
        pytest.param({}, "auto", None, id="nothing to go by"),
        pytest.param({"br0": GOOD}, "auto", None, id="only somebody else's bridge"),
        pytest.param({"hot-int": OWN, "hot-ex": OWN}, "auto", "netdev", id="tried before"),
        pytest.param({"hot-int": OWN}, "auto", "netdev", id="one of them was tried before"),
        pytest.param({"hot-int": DEAD, "hot-ex": DEAD}, "auto", None, id="a try that was killed half-way"),
        pytest.param({"hot-int": OWN, "hot-ex": GOOD}, "auto", None, id="contradicting each other"),
    ],
)
def test_known_datapath(bridges: dict[str, ovs.Bridge], setting: str, expected: str | None) -> None:
    assert ovs.known_datapath(ovs.State(bridges), NAMES, setting) == expected


OVN = ["set", "Open_vSwitch", ".", "external_ids:ovn-bridge-datapath-type=netdev"]


@pytest.mark.parametrize(
    ("bridges", "ids", "datapath", "expected"),
    [
        pytest.param({"hot-int": GOOD, "hot-ex": GOOD}, {}, "system", [], id="as wanted"),
        pytest.param(
            {"hot-int": OWN, "hot-ex": OWN}, {"ovn-bridge-datapath-type": "netdev"}, "netdev", [], id="as wanted, own"
        ),
        pytest.param(
            {"hot-int": GOOD},
            {"system-id": "x"},
            "system",
            [
                ["add-br", "hot-ex"],
                ["set", "Bridge", "hot-ex", "datapath_type=system", "external_ids:hotstack-os=created"],
                ["set", "Interface", "hot-ex", "mtu_request=9216"],
            ],
            id="one missing",
        ),
        pytest.param(
            {"hot-int": GOOD, "hot-ex": ovs.Bridge("system", None, 65534)},
            {},
            "system",
            [["set", "Interface", "hot-ex", "mtu_request=9216"]],
            id="another MTU",
        ),
        pytest.param(
            {"hot-int": OWN, "hot-ex": GOOD},
            {},
            "netdev",
            [["set", "Bridge", "hot-ex", "datapath_type=netdev"], OVN],
            id="another datapath",
        ),
        pytest.param(
            {"hot-int": GOOD, "hot-ex": GOOD},
            {"ovn-bridge-datapath-type": "netdev"},
            "system",
            [["remove", "Open_vSwitch", ".", "external_ids", "ovn-bridge-datapath-type"]],
            id="back to the kernel's",
        ),
    ],
)
def test_commands(
    bridges: dict[str, ovs.Bridge], ids: dict[str, str], datapath: str, expected: list[list[str]]
) -> None:
    assert ovs.commands(ovs.State(bridges, ids), NAMES, 9216, datapath) == expected


def test_broken_names_what_is_wrong() -> None:
    state = ovs.State({"hot-int": ovs.Bridge("system"), "hot-ex": DEAD, "br0": GOOD})
    assert ovs.broken(state, [*NAMES, "br0", "br1"]) == {
        "hot-int": "its local port did not come up",
        "hot-ex": "could not open network device hot-ex",
        "br1": "its local port did not come up",
    }


def test_the_outcome_leaves_others_alone() -> None:
    before = ovs.State({"br0": GOOD, "hot-ex": GOOD}, {"system-id": "x"})
    after = ovs.outcome(before, NAMES, 1500, "netdev")
    assert after.bridges["br0"] == GOOD
    assert after.external_ids == {"system-id": "x", "ovn-bridge-datapath-type": "netdev"}
    assert ovs.summary(before, NAMES) == {"hot-ex": {"datapath": "system", "mtu": 9216}}
    assert ovs.summary(after, NAMES) == {
        "hot-int": {"datapath": "netdev", "mtu": 1500},
        "hot-ex": {"datapath": "netdev", "mtu": 1500},
        "ovn-bridge-datapath-type": "netdev",
    }
