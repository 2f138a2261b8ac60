# SPDX-License-Identifier: Apache-2.0
"""pyrunc restore CONTAINER: a container from the files of a checkpoint, and the exit status of its process."""

from pyrunc.container.restore import LOG, restore
from pyrunc.criu.options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    return restore(
        settings,
        values["container"],
        values["bundle"],
        Options(values, LOG),
        detach=values["detach"],
        no_subreaper=values["no-subreaper"],
        pid_file=values["pid-file"],
        console_socket=values["console-socket"],
        no_pivot=values["no-pivot"],
        preserve_fds=values["preserve-fds"],
    )
