# SPDX-License-Identifier: Apache-2.0
"""runtime.md#kill: a signal to the container's process, or to all of its processes."""

import _signal
import posix

from pyrunc.container.query import status_of
from pyrunc.errors import HostError, StatusError
from pyrunc.linux.errnos import reason
from pyrunc.state import status
from pyrunc.state.store import open_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.settings import Settings
    from pyrunc.state.record import Record

STOP_SIGNAL = "org.opencontainers.image.stopSignal"
_SIGTERM, _SIGKILL = 15, 9


def kill(settings: "Settings", container_id: str, signal: "int | None", *, all: bool = False) -> None:
    """Send `signal`; None is the image's stop signal, or SIGTERM. With `all` a container that has stopped is no error.

    StatusError "container not running" when there is nobody to take it. SIGKILL to a container without a pid namespace
    of its own goes to all processes of its cgroup, as nothing else would end them.
    """
    entry = open_entry(settings.root, container_id)
    try:
        record = status.load(entry)
        found = status_of(entry, record)
        number = _default(record) if signal is None else signal
        if all or (number == _SIGKILL and not record.own_pids and found != status.STOPPED):
            _all(record, number)
            return
        status.require("kill", record.id, found)
        _one(record, number)
        if found == status.PAUSED and number == _SIGKILL:
            # A frozen process on cgroup v1 dies when it is thawed, not before.
            _cgroup(record).thaw()
    finally:
        entry.close()


def _default(record: "Record") -> int:
    word = record.annotations.get(STOP_SIGNAL, "")
    if not word:
        return _SIGTERM
    from pyrunc.linux.signals import number

    return number(word)


def _one(record: "Record", number: int) -> None:
    pidfd = status.open_process(record)
    if pidfd < 0:
        raise StatusError("container not running")
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError as error:
        raise StatusError("container not running") from error
    except OSError as error:
        raise HostError(f"cannot send signal {number} to process {record.pid}: {reason(error.errno)}") from error
    finally:
        posix.close(pidfd)


def _all(record: "Record", number: int) -> None:
    cgroup = _cgroup(record)
    if cgroup.mode == "disabled":
        if status.is_alive(record):
            _one(record, number)
        return
    cgroup.signal(number)


def _cgroup(record: "Record") -> "Cgroup":
    from pyrunc.cgroups.driver import from_state

    return from_state(record.cgroup)


if TYPE_CHECKING:
    from pyrunc.cgroups.driver import Cgroup
