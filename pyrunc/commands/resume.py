# SPDX-License-Identifier: Apache-2.0
"""pyrunc resume CONTAINER: let the processes of a paused container go on."""

from pyrunc.container.freeze import resume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    resume(settings, values["container"])
    return 0
