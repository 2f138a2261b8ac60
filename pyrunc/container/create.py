# SPDX-License-Identifier: Apache-2.0
"""runtime.md#create: the container with everything but its program running."""

from pyrunc.container.launch import Draft, Options, check_terminal, launch
from pyrunc.process.signals import undo_when_ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.settings import Settings


def create(
    settings: "Settings",
    container_id: str,
    bundle: str,
    *,
    config_file: "str | None" = None,
    pid_file: "str | None" = None,
    console_socket: "str | None" = None,
    pidfd_socket: "str | None" = None,
    no_pivot: bool = False,
    no_new_keyring: bool = False,
    preserve_fds: int = 0,
) -> None:
    """Create the container; after an error there is none, and the system is as before."""
    options = Options(
        config_file=config_file,
        pid_file=pid_file,
        pidfd_socket=pidfd_socket,
        no_pivot=no_pivot,
        no_new_keyring=no_new_keyring,
        preserve_fds=preserve_fds,
    )
    draft = Draft(settings, container_id, bundle, options)
    check_terminal(terminal=draft.terminal, detach=True, console_socket=console_socket)
    if console_socket:
        from pyrunc.process.console import open_console_socket

        options.console_fd = open_console_socket(console_socket)
    undo_when_ended()
    entry, _ = launch(draft)
    entry.close()
