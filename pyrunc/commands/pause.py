# SPDX-License-Identifier: Apache-2.0
"""pyrunc pause CONTAINER: stop all processes of a container where they are."""

from pyrunc.container.freeze import pause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    pause(settings, values["container"])
    return 0
