# SPDX-License-Identifier: Apache-2.0
"""pyrunc list: the containers of --root as a table, as JSON, or their ids."""

from pyrunc.commands import output
from pyrunc.config.dump import dump
from pyrunc.container.query import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


_COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")
_WIDTH, _PADDING = 12, 3  # of Go's tabwriter, as runc sets it


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    rows = containers(settings)
    if values["quiet"]:
        output("".join(f"{row['id']}\n" for row in rows))
    elif values["format"] == "json":
        output(dump(rows or None) + "\n")
    else:
        output(table(rows))
    return 0


def table(rows: "list[dict[str, Any]]") -> str:
    """The rows below runc's heading; each column but the last is as wide as its longest cell, and at least 12."""
    cells = [[name.upper() for name in _COLUMNS]] + [[str(row[name]) for name in _COLUMNS] for row in rows]
    widths = [max(_WIDTH, *(len(line[column]) + _PADDING for line in cells)) for column in range(len(_COLUMNS) - 1)]
    return "".join("".join(map(str.ljust, line, widths)) + line[-1] + "\n" for line in cells)
