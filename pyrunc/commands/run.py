# SPDX-License-Identifier: Apache-2.0
"""pyrunc run CONTAINER: create and start, and the exit status of the process."""

from pyrunc.commands.create import options
from pyrunc.container.run import run as run_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    return run_container(
        settings,
        values["container"],
        values["bundle"],
        detach=values["detach"],
        keep=values["keep"],
        no_subreaper=values["no-subreaper"],
        **options(values),
    )
