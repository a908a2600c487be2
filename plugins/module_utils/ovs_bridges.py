# SPDX-License-Identifier: Apache-2.0
"""What to tell Open vSwitch so that bridges become as they should be."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

# What ovn-controller reads to create its ports on the same datapath as ours.
OVN_DATAPATH = "ovn-bridge-datapath-type"
# The mark of a bridge that we created, for whoever cleans up.
MARK = "hotstack-os"

# Everything that `read` needs, in one call of ovs-vsctl.
QUERY = (
    ["--columns=name,datapath_type,external_ids", "list", "Bridge"],
    ["--columns=name,mtu_request,ofport,error", "list", "Interface"],
    ["--columns=external_ids", "list", "Open_vSwitch"],
)


@dataclass(frozen=True)
class Bridge:
    """A bridge as the database has it, with its local port."""

    datapath: str
    mtu: int | None = None
    port: int | None = None
    error: str = ""

    @property
    def works(self) -> bool:
        """Whether its local port came to life, which it does not on a datapath that the kernel lacks."""
        return self.port is not None and self.port >= 0 and not self.error


@dataclass(frozen=True)
class State:
    """The bridges of the host, and the keys that OVN reads."""

    bridges: dict[str, Bridge] = field(default_factory=dict)
    external_ids: dict[str, str] = field(default_factory=dict)


def value(cell: Any) -> Any:
    """Return the Python value of a database cell: a map as a dict, an empty set as None."""
    if isinstance(cell, list) and len(cell) == 2:
        kind, content = cell
        if kind == "map":
            return dict(content)
        if kind == "set":
            return content[0] if content else None
    return cell


def parse(output: str, alive: Callable[[str], bool]) -> State:
    """Return the state from what the commands of QUERY printed: one JSON table after the other.

    A bridge that moved to a datapath which does not work keeps its old port number in the database; only the kernel
    knows that its interface is gone, so `alive` asks there.
    """
    decoder = json.JSONDecoder()
    tables: list[list[list[Any]]] = []
    rest = output.strip()
    while rest:
        table, end = decoder.raw_decode(rest)
        tables.append([[value(cell) for cell in row] for row in table["data"]])
        rest = rest[end:].lstrip()
    bridges, interfaces, roots = tables
    ports = {name: (mtu, port, error or "") for name, mtu, port, error in interfaces}
    found = {}
    for name, datapath, _ids in bridges:
        mtu, port, error = ports.get(name, (None, None, "it has no local port"))
        found[name] = Bridge(datapath or "system", mtu, port if alive(name) else None, error)
    return State(found, roots[0][0] if roots else {})


def known_datapath(state: State, names: Sequence[str], setting: str) -> str | None:
    """Return the datapath to use, or None where only a try can tell: the bridges that work are the record of one."""
    if setting != "auto":
        return setting
    found = {state.bridges[name].datapath for name in names if name in state.bridges and state.bridges[name].works}
    return found.pop() if len(found) == 1 else None


def commands(state: State, names: Sequence[str], mtu: int, datapath: str) -> list[list[str]]:
    """Return the ovs-vsctl commands, of one transaction, that lead from the state to these bridges."""
    result: list[list[str]] = []
    for name in names:
        bridge = state.bridges.get(name)
        if bridge is None:
            result.append(["add-br", name])
            result.append(["set", "Bridge", name, f"datapath_type={datapath}", f"external_ids:{MARK}=created"])
        elif bridge.datapath != datapath:
            result.append(["set", "Bridge", name, f"datapath_type={datapath}"])
        if bridge is None or bridge.mtu != mtu:
            result.append(["set", "Interface", name, f"mtu_request={mtu}"])
    if datapath == "netdev" and state.external_ids.get(OVN_DATAPATH) != datapath:
        result.append(["set", "Open_vSwitch", ".", f"external_ids:{OVN_DATAPATH}={datapath}"])
    if datapath == "system" and OVN_DATAPATH in state.external_ids:
        result.append(["remove", "Open_vSwitch", ".", "external_ids", OVN_DATAPATH])
    return result


def broken(state: State, names: Sequence[str]) -> dict[str, str]:
    """Return what is wrong with each of these bridges that does not work."""
    result = {}
    for name in names:
        bridge = state.bridges.get(name)
        if bridge is None or not bridge.works:
            result[name] = (bridge.error if bridge else "") or "its local port did not come up"
    return result


def summary(state: State, names: Sequence[str]) -> dict[str, Any]:
    """Return what a diff shows of the bridges."""
    shown: dict[str, Any] = {
        name: {"datapath": state.bridges[name].datapath, "mtu": state.bridges[name].mtu}
        for name in names
        if name in state.bridges
    }
    if OVN_DATAPATH in state.external_ids:
        shown[OVN_DATAPATH] = state.external_ids[OVN_DATAPATH]
    return shown


def outcome(state: State, names: Sequence[str], mtu: int, datapath: str) -> State:
    """Return the state that the commands lead to."""
    ids = {key: text for key, text in state.external_ids.items() if key != OVN_DATAPATH}
    if datapath == "netdev":
        ids[OVN_DATAPATH] = datapath
    return State({**state.bridges, **{name: Bridge(datapath, mtu) for name in names}}, ids)
