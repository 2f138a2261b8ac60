# SPDX-License-Identifier: Apache-2.0
"""The status of a container: what it is, found anew by each call, and which move it allows.

    creating ──▶ created ──▶ running ⇄ paused
        └───────────┴───────────┴────────┴──▶ stopped

Only `creating` is believed as written; the rest is what the process, the exec fifo and the freezer show.
"""

import posix

from pyrunc.errors import StateError, StatusError
from pyrunc.state.record import boot_id, from_bytes, process_stat
from pyrunc.state.store import FIFO, STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.state.record import Record
    from pyrunc.state.store import Entry

CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"

_NOT_RUNNING = "container not running"  # containerd reads these words as "already gone"
_NOT_STOPPED = "cannot delete container {id} that is not stopped: {status}"
_NOT_STARTED = "cannot start a container in the {status} state"
_NOT_SAVED = "container cannot be checkpointed in {status} state"

# (move, status before, status after or, when the move is refused, "", the refusal); the words are runc's.
MOVES = (
    ("start", CREATING, "", _NOT_STARTED),
    ("start", CREATED, RUNNING, ""),
    ("start", RUNNING, "", "cannot start an already running container"),
    ("start", PAUSED, "", _NOT_STARTED),
    ("start", STOPPED, "", "cannot start a container that has stopped"),
    ("exec", CREATING, "", _NOT_RUNNING),
    ("exec", CREATED, CREATED, ""),
    ("exec", RUNNING, RUNNING, ""),
    ("exec", PAUSED, "", "cannot exec in a paused container (use --ignore-paused to override)"),
    ("exec", STOPPED, "", "cannot exec in a stopped container"),
    ("exec-paused", CREATING, "", _NOT_RUNNING),
    ("exec-paused", CREATED, CREATED, ""),
    ("exec-paused", RUNNING, RUNNING, ""),
    ("exec-paused", PAUSED, PAUSED, ""),
    ("exec-paused", STOPPED, "", "cannot exec in a stopped container"),
    ("kill", CREATING, "", _NOT_RUNNING),
    ("kill", CREATED, CREATED, ""),
    ("kill", RUNNING, RUNNING, ""),
    ("kill", PAUSED, PAUSED, ""),
    ("kill", STOPPED, "", _NOT_RUNNING),
    ("pause", CREATING, "", _NOT_RUNNING),
    ("pause", CREATED, PAUSED, ""),
    ("pause", RUNNING, PAUSED, ""),
    ("pause", PAUSED, "", "container paused"),
    ("pause", STOPPED, "", _NOT_RUNNING),
    ("resume", CREATING, "", "container not paused"),
    ("resume", CREATED, "", "container not paused"),
    ("resume", RUNNING, "", "container not paused"),
    ("resume", PAUSED, RUNNING, ""),
    ("resume", STOPPED, "", "container not paused"),
    ("update", CREATING, "", _NOT_RUNNING),
    ("update", CREATED, CREATED, ""),
    ("update", RUNNING, RUNNING, ""),
    ("update", PAUSED, PAUSED, ""),
    ("update", STOPPED, "", _NOT_RUNNING),
    ("mounts", CREATING, "", _NOT_RUNNING),
    ("mounts", CREATED, CREATED, ""),
    ("mounts", RUNNING, RUNNING, ""),
    ("mounts", PAUSED, PAUSED, ""),
    ("mounts", STOPPED, "", _NOT_RUNNING),
    ("checkpoint", CREATING, "", _NOT_SAVED),
    ("checkpoint", CREATED, "", _NOT_SAVED),
    ("checkpoint", RUNNING, STOPPED, ""),
    ("checkpoint", PAUSED, STOPPED, ""),
    ("checkpoint", STOPPED, "", _NOT_SAVED),
    # runtime.md#delete wants a stopped container; engines rely on runc, which kills a created one.
    ("delete", CREATING, "", _NOT_STOPPED),
    ("delete", CREATED, STOPPED, ""),
    ("delete", RUNNING, "", _NOT_STOPPED),
    ("delete", PAUSED, "", _NOT_STOPPED),
    ("delete", STOPPED, STOPPED, ""),
)


def require(move: str, container_id: str, status: str) -> str:
    """The status after `move`; StatusError with the row's words when `status` does not allow it."""
    for name, before, after, refusal in MOVES:
        if name == move and before == status:
            if refusal:
                raise StatusError(refusal.format(id=container_id, status=status))
            return after
    raise KeyError((move, status))


def load(entry: "Entry") -> "Record":
    """The record of an entry. StateError when it cannot be read, or when create left none."""
    try:
        data = entry.read(STATE)
    except FileNotFoundError as error:
        raise StateError(
            f"{entry.path}/{STATE} is missing: create did not finish; delete --force removes it"
        ) from error
    record = from_bytes(data, f"{entry.path}/{STATE}")
    if record.id != entry.id:
        raise StateError(f"{entry.path}/{STATE} is the record of another container: {record.id}")
    return record


def save(entry: "Entry", record: "Record") -> None:
    """Write the record in one step; the caller holds the lock."""
    entry.write(STATE, record.to_bytes())


def actual(entry: "Entry", record: "Record", frozen: "Callable[[Record], bool] | None" = None) -> str:
    """The status now. `frozen` tells whether the cgroup of a live container is frozen; without it nothing is paused.

    A `creating` container whose creator is gone is stopped: create holds the lock as long as it works, so an idle lock,
    or one that this call holds, says that it is; unless create was done just after `record` was read, which becomes
    what create has left then.
    """
    if record.boot != boot_id():
        return STOPPED
    if record.status == CREATING:
        if entry.busy():
            return CREATING
        _renew(entry, record)
        if record.status == CREATING:
            return STOPPED
    if not is_alive(record):
        return STOPPED
    if frozen is not None and frozen(record):
        return PAUSED
    return CREATED if entry.exists(FIFO) else RUNNING


def _renew(entry: "Entry", record: "Record") -> None:
    try:
        fresh = load(entry)
    except StateError:
        # Undone meanwhile
        return
    for name in record.__slots__:
        setattr(record, name, getattr(fresh, name))


def is_alive(record: "Record") -> bool:
    """Whether the container's process runs: same start time, and not a zombie. The boot is the caller's to compare."""
    if not record.pid:
        return False
    stat = process_stat(record.pid)
    return stat is not None and stat[1] == record.start and stat[0] not in "ZX"


def open_process(record: "Record") -> int:
    """A pidfd of the container's process, -1 when it has ended.

    The start time is compared after pidfd_open(2): what the descriptor means cannot change any more.
    """
    if not record.pid or record.boot != boot_id():
        return -1
    try:
        fd = posix.pidfd_open(record.pid)
    except ProcessLookupError:
        return -1
    if is_alive(record):
        return fd
    posix.close(fd)
    return -1
