# SPDX-License-Identifier: Apache-2.0
"""pyrunc create CONTAINER: make the container of a bundle, up to the execution of its process."""

from pyrunc.container.create import create

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    create(settings, values["container"], values["bundle"], **options(values))
    return 0


def options(values: "dict[str, Any]") -> "dict[str, Any]":
    """The options that create and run share."""
    return {
        "config_file": values["config"],
        "pid_file": values["pid-file"],
        "console_socket": values["console-socket"],
        "pidfd_socket": values["pidfd-socket"],
        "no_pivot": values["no-pivot"],
        "no_new_keyring": values["no-new-keyring"],
        "preserve_fds": values["preserve-fds"],
    }
