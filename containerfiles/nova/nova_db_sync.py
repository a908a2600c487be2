#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Make or bring up to date Nova's tables, and its two cells, in one process.

nova-manage would do the same in five cold starts. Everything here is repeatable. The cells are templates that every
service fills in from its own configuration, so a changed password or address needs no change of the database.
"""

from __future__ import annotations

import sys
from typing import Any

CONFIG = "/etc/nova/nova.conf"
DATABASE = "{scheme}://{username}:{password}@{hostname}:{port}/%s?{query}"
MESSAGES = "{scheme}://{username}:{password}@{hostname}:{port}/{path}?{query}"

# uuid, name, message bus and database of each cell; cell0 holds what was never placed, and has a fixed uuid.
Cell = tuple[str, str, str, str]


def wanted_cells(cell0_uuid: str, cell1_uuid: str) -> list[Cell]:
    """Return the cells that there must be."""
    return [
        (cell0_uuid, "cell0", "none:///", DATABASE % "nova_cell0"),
        (cell1_uuid, "cell1", MESSAGES, DATABASE % "nova"),
    ]


def map_cells(objects: Any, context: Any, wanted: list[Cell]) -> None:
    """Create the cells that are missing, by name, and update those that say something else."""
    known = {cell.name: cell for cell in objects.CellMappingList.get_all(context)}
    for uuid, name, messages, database in wanted:
        values = {"transport_url": messages, "database_connection": database}
        cell = known.get(name)
        if cell is None:
            objects.CellMapping(context, uuid=uuid, name=name, disabled=False, **values).create()
            continue
        for key, value in values.items():
            if getattr(cell, key) != value:
                setattr(cell, key, value)
        cell.save()


def main() -> None:
    """Do all steps in order."""
    from nova import config, context, objects
    from nova.cmd import manage
    from oslo_log import log
    from oslo_utils import uuidutils

    config.parse_args(["nova-db-sync"], default_config_files=[CONFIG])
    log.setup(config.CONF, "nova")
    objects.register_all()

    manage.ApiDbCommands().sync()
    cells = wanted_cells(objects.CellMapping.CELL0_UUID, uuidutils.generate_uuid())
    map_cells(objects, context.get_admin_context(), cells)
    status = manage.DbCommands().sync()
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
