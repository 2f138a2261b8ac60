# SPDX-License-Identifier: Apache-2.0
"""pyrunc ps CONTAINER [PS OPTION...]: the processes of a container."""

from pyrunc.commands import output
from pyrunc.container.ps import pids, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    """Print an array of process ids for engines, or for people what the host's ps prints of these processes."""
    if values["format"] == "json":
        from pyrunc.config.dump import dump

        output(dump(pids(settings, values["container"])) + "\n")
    else:
        output(table(settings, values["container"], values["command"]))
    return 0
