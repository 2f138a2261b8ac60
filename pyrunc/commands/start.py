# SPDX-License-Identifier: Apache-2.0
"""pyrunc start CONTAINER: run the process of a created container."""

from pyrunc.container.start import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    start(settings, values["container"])
    return 0
