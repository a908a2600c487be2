# SPDX-License-Identifier: Apache-2.0
"""Which cells of Nova are made and mended."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).resolve().parents[2] / "containerfiles/nova/nova_db_sync.py"
spec = importlib.util.spec_from_file_location("nova_db_sync", PATH)
assert spec
assert spec.loader
nova_db_sync = importlib.util.module_from_spec(spec)
spec.loader.exec_module(nova_db_sync)

WANTED = nova_db_sync.wanted_cells("zero", "one")


class Objects:
    """Nova's objects, as far as cells go, over a list."""

    def __init__(self, *cells: tuple[str, str, str, str]) -> None:
        self.cells: list[Any] = []
        self.writes: list[str] = []
        outer = self

        class CellMapping:
            def __init__(self, _context: Any, **values: Any) -> None:
                self.__dict__.update(values)
                self._clean = dict(values)

            def create(self) -> None:
                outer.cells.append(self)
                outer.writes.append(f"create {self.name}")  # type: ignore[attr-defined]

            def save(self) -> None:
                if any(self.__dict__[key] != value for key, value in self._clean.items()):
                    outer.writes.append(f"save {self.name}")  # type: ignore[attr-defined]

        class CellMappingList:
            @staticmethod
            def get_all(_context: Any) -> list[Any]:
                return list(outer.cells)

        self.CellMapping, self.CellMappingList = CellMapping, CellMappingList
        for uuid, name, messages, database in cells:
            mapping = CellMapping(None, uuid=uuid, name=name, transport_url=messages, database_connection=database)
            self.cells.append(mapping)

    def state(self) -> list[tuple[str, str, str, str]]:
        return [(cell.uuid, cell.name, cell.transport_url, cell.database_connection) for cell in self.cells]


CASES: dict[str, tuple[list[Any], list[str]]] = {
    "an empty database": ([], ["create cell0", "create cell1"]),
    "a run that was broken off": ([WANTED[0]], ["create cell1"]),
    "all there": (WANTED, []),
    "a cell with a password in it": (
        [WANTED[0], ("one", "cell1", "rabbit://nova:old@host/", WANTED[1][3])],
        ["save cell1"],
    ),
}


@pytest.mark.parametrize(("before", "writes"), CASES.values(), ids=CASES)
def test_cells(before: list[Any], writes: list[str]) -> None:
    objects = Objects(*before)
    nova_db_sync.map_cells(objects, None, WANTED)
    assert objects.writes == writes
    assert objects.state() == WANTED


def test_cells_hold_no_secret() -> None:
    assert all("{password}" in database and "@{hostname}" in database for _uuid, _name, _bus, database in WANTED)
