# SPDX-License-Identifier: Apache-2.0
"""Which keys of Open vSwitch's external-ids to set, and what to give back later."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ansible_collections.hotstack.os.plugins.module_utils.ovs_bridges import value

# By this key ovn-controller finds its OVN: whose it is, Open vSwitch is.
OWNER = "ovn-remote"

QUERY = ["--columns=external_ids", "list", "Open_vSwitch"]

Ids = Mapping[str, "str | None"]


class ForeignError(Exception):
    """Open vSwitch serves somebody else; the text says whom."""


def parse(output: str) -> dict[str, str]:
    """Return the keys from what QUERY printed as JSON."""
    rows = json.loads(output)["data"] if output.strip() else []
    return dict(value(rows[0][0])) if rows else {}


def check_owner(current: Ids, wanted: Ids, record: Ids) -> None:
    """Refuse an Open vSwitch that belongs to an OVN which we did not put there."""
    owner = current.get(OWNER)
    if OWNER in wanted and owner and owner != wanted[OWNER] and OWNER not in record:
        raise ForeignError(
            f"Open vSwitch of this host belongs to another OVN: external_ids:{OWNER} is {owner}, and this deployment"
            f" needs {wanted[OWNER]}. Take the host out of that OVN, then run"
            f" `ovs-vsctl remove Open_vSwitch . external_ids {OWNER}`."
        )


def differing(current: Ids, wanted: Ids) -> dict[str, str | None]:
    """Return the keys that are not as wanted; None stands for one that must go."""
    return {key: text for key, text in wanted.items() if current.get(key) != text}


def commands(changes: Ids) -> list[list[str]]:
    """Return the ovs-vsctl commands, of one transaction, that make these changes."""
    result = []
    texts = {key: text for key, text in changes.items() if text is not None}
    gone = [key for key, text in changes.items() if text is None]
    if texts:
        pairs = [f"external_ids:{key}={json.dumps(text)}" for key, text in texts.items()]
        result.append(["set", "Open_vSwitch", ".", *pairs])
    if gone:
        result.append(["remove", "Open_vSwitch", ".", "external_ids", *gone])
    return result
