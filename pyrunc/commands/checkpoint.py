# SPDX-License-Identifier: Apache-2.0
"""pyrunc checkpoint CONTAINER: save its processes to files."""

from pyrunc.container.checkpoint import LOG, checkpoint
from pyrunc.criu.options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    checkpoint(settings, values["container"], Options(values, LOG))
    return 0
