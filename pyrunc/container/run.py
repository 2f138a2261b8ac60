# SPDX-License-Identifier: Apache-2.0
"""create, start, and in the foreground stay with the container until it ends, and delete it."""

import posix

from pyrunc.container.launch import Draft, Options, check_terminal, launch
from pyrunc.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.settings import Settings
    from pyrunc.process.console import Relay
    from pyrunc.process.notify import Notify
    from pyrunc.state.record import Record
    from pyrunc.state.store import Entry


def run(
    settings: "Settings",
    container_id: str,
    bundle: str,
    *,
    detach: bool = False,
    keep: bool = False,
    no_subreaper: bool = False,
    config_file: "str | None" = None,
    pid_file: "str | None" = None,
    console_socket: "str | None" = None,
    pidfd_socket: "str | None" = None,
    no_pivot: bool = False,
    no_new_keyring: bool = False,
    preserve_fds: int = 0,
) -> int:
    """Run it; its process's exit status, or 0 when detached. A failed start leaves nothing, even with `keep`."""
    options = Options(
        config_file=config_file,
        pid_file=pid_file,
        pidfd_socket=pidfd_socket,
        no_pivot=no_pivot,
        no_new_keyring=no_new_keyring,
        preserve_fds=preserve_fds,
    )
    draft = Draft(settings, container_id, bundle, options)
    check_terminal(terminal=draft.terminal, detach=detach, console_socket=console_socket)
    if console_socket:
        from pyrunc.process.console import open_console_socket

        options.console_fd = open_console_socket(console_socket)
    if detach:
        from pyrunc.container.start import wait_until_ready
        from pyrunc.process.signals import undo_when_ended

        undo_when_ended()
        entry, record = launch(draft)
        notify = _start(settings, entry, record)
        if notify is not None:
            wait_until_ready(notify, entry, record)
        entry.close()
        return 0
    return _foreground(draft, keep=keep, no_subreaper=no_subreaper)


def _foreground(draft: Draft, *, keep: bool, no_subreaper: bool) -> int:
    from pyrunc.process.signals import Caught
    from pyrunc.process.supervise import become_subreaper, supervise

    signals = Caught()
    relay = None
    try:
        if not no_subreaper and not draft.wanted.private("pid"):
            # In a pid namespace of its own the container's init inherits all orphans; none could come here.
            become_subreaper()
        entry, record, relay = _launch(draft)
        notify = _start(draft.settings, entry, record)
        entry.close()
        status = supervise(record.pid, signals, relay, notify)
        if relay is not None:
            relay.close()
            relay = None
        if not keep:
            _delete(draft)
        return status
    finally:
        if relay is not None:
            relay.close()
        signals.close()


def _launch(draft: Draft) -> "tuple[Entry, Record, Relay | None]":
    """The created container, and the relay between the caller's terminal and its own."""
    if not draft.terminal:
        return *launch(draft), None
    from pyrunc.process.console import Relay, receive_master, socketpair

    ours, theirs = socketpair()
    draft.options.console_fd = theirs
    try:
        entry, record = launch(draft)
        try:
            return entry, record, Relay(receive_master(ours))
        except BaseException:
            _remove(draft.settings, entry)
            raise
    finally:
        posix.close(ours)
        posix.close(theirs)


def _start(settings: "Settings", entry: "Entry", record: "Record") -> "Notify | None":
    from pyrunc.container.start import open_notify, start_locked

    try:
        notify = open_notify(entry)
        start_locked(settings, entry, record)
    except BaseException:
        if entry.fd >= 0:  # a failing poststart hook has destroyed it already
            _remove(settings, entry)
        raise
    return notify


def _remove(settings: "Settings", entry: "Entry") -> None:
    from pyrunc.container.delete import delete_locked

    delete_locked(settings, entry, force=True)
    entry.close()


def _delete(draft: Draft) -> None:
    from pyrunc.container.delete import delete

    try:
        delete(draft.settings, draft.id, force=True)
    except NotFoundError:
        return
