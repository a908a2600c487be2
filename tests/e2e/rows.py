# SPDX-License-Identifier: Apache-2.0
"""Tables of cases of which a few are tried every day, and the others in full runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest


def rows(table: Mapping[str, tuple[Any, ...]], *, every_day: Collection[str]) -> list[Any]:
    """Return the lines of a table as parameters of a test; those not named by `every_day` have the mark `full`."""
    assert set(every_day) <= set(table)
    return [
        pytest.param(*values, id=name, marks=() if name in every_day else pytest.mark.full)
        for name, values in table.items()
    ]
