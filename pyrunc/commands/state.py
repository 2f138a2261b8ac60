# SPDX-License-Identifier: Apache-2.0
"""pyrunc state CONTAINER: the state of the specification, and runc's members, as JSON."""

from pyrunc.commands import output
from pyrunc.config.dump import dump
from pyrunc.container.query import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    """Print the object as runc does: indented by two, no newline at the end."""
    output(dump(state(settings, values["container"]), 2))
    return 0
