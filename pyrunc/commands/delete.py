# SPDX-License-Identifier: Apache-2.0
"""pyrunc delete CONTAINER: remove what is left of a container."""

from pyrunc.container.delete import delete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    if not values["regex"]:
        delete(settings, values["container"], force=values["force"])
        return 0
    from pyrunc.container.matching import each

    each(settings, values["container"], lambda container_id: delete(settings, container_id, force=values["force"]))
    return 0
