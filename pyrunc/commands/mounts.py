# SPDX-License-Identifier: Apache-2.0
"""pyrunc mounts add|remove CONTAINER FILE: what is mounted in a container that is there."""

from pyrunc.container.mounts import add, remove
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    action = values["action"]
    if action not in ("add", "remove"):
        raise UsageError(f'"{action}" is none of: add, remove')
    (add if action == "add" else remove)(settings, values["container"], values["file"])
    return 0
