# SPDX-License-Identifier: Apache-2.0
"""`events`: statistics of a container at intervals, and each time that the kernel is out of memory for it."""

import posix
import select
import time

from pyrunc.cgroups import stats
from pyrunc.cgroups.driver import from_state
from pyrunc.container.query import status_of
from pyrunc.errors import StatusError
from pyrunc.state import status
from pyrunc.state.store import open_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.cgroups.driver import Cgroup
    from pyrunc.container.settings import Settings
    from pyrunc.state.record import Record

    Event = dict[str, object]


def statistics(settings: "Settings", container_id: str) -> "Event":
    """One event {type: "stats", id, data}, data as of cgroups.stats. StatusError when it has stopped."""
    record = _running(settings, container_id)
    return _stats(record, from_state(record.cgroup))


def events(settings: "Settings", container_id: str, interval: float) -> "Iterator[Event]":
    """Events of type "stats", one each `interval` seconds, and {type: "oom", id}, until the container has stopped."""
    record = _running(settings, container_id)
    pidfd = status.open_process(record)
    if pidfd < 0:
        return
    cgroup = from_state(record.cgroup)
    memory = _Memory(settings, cgroup)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        memory.register(poll)
        due = time.monotonic() + interval
        while True:
            # A poll that comes too early by a rounding would not sleep at all
            found = poll.poll(max(0, due - time.monotonic()) * 1000 + 1)
            ended = any(fd == pidfd for fd, _ in found)
            # The kernel tells of the memory before it kills
            for _ in range(memory.new()):
                yield {"type": "oom", "id": record.id}
            if ended:
                return
            if time.monotonic() >= due:
                yield _stats(record, cgroup)
                due = max(due + interval, time.monotonic())
    finally:
        memory.close()
        posix.close(pidfd)


def _running(settings: "Settings", container_id: str) -> "Record":
    entry = open_entry(settings.root, container_id)
    try:
        record = status.load(entry)
        if status_of(entry, record) == status.STOPPED:
            raise StatusError(f"container with id {record.id} is not running")
        return record
    finally:
        entry.close()


def _stats(record: "Record", cgroup: "Cgroup") -> "Event":
    return {"type": "stats", "id": record.id, "data": stats.collect(cgroup)}


class _Memory:
    """How often the kernel was out of memory for a cgroup.

    v2 counts its kills in memory.events, and wakes pollers of it. v1 counts at an eventfd the times that the limit was
    met, with a kill or, where the OOM killer is disabled, without (cgroup-v1/memory.rst, 10. OOM Control).
    """

    __slots__ = ("_cgroup", "_count", "_event", "_file")

    def __init__(self, settings: "Settings", cgroup: "Cgroup") -> None:
        self._cgroup = cgroup
        self._count = cgroup.oom_kills()
        self._file = self._event = -1
        directory = cgroup.paths.get("" if cgroup.mode == "v2" else "memory")
        name = "memory.events" if cgroup.mode == "v2" else "memory.oom_control"
        try:
            if directory is not None:
                self._file = posix.open(f"{directory}/{name}", posix.O_RDONLY | posix.O_CLOEXEC)
                if cgroup.mode != "v2":
                    self._listen(f"{directory}/cgroup.event_control")
        except OSError as error:
            from errno import errorcode

            settings.warn(f"no notice of the lack of memory: {directory}/{name}: {errorcode.get(error.errno or 0, '')}")

    def _listen(self, control: str) -> None:
        event = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        try:
            fd = posix.open(control, posix.O_WRONLY | posix.O_CLOEXEC)
            try:
                posix.write(fd, f"{event} {self._file}".encode("ascii"))
            finally:
                posix.close(fd)
        except OSError:
            posix.close(event)
            raise
        self._event = event

    def register(self, poll: "select.poll") -> None:
        if self._event >= 0:
            poll.register(self._event, select.POLLIN)
        elif self._file >= 0:
            posix.pread(self._file, 4096, 0)  # only what changes after a read wakes a poller
            poll.register(self._file, select.POLLPRI)

    def new(self) -> int:
        """The times since the last call."""
        if self._event >= 0:
            try:
                times = posix.eventfd_read(self._event)
            except BlockingIOError:
                return 0
            # The end of a cgroup is signalled, too
            return times if self._cgroup.pids() or self._cgroup.oom_kills() > self._count else 0
        if self._file < 0:
            return 0
        try:
            posix.pread(self._file, 4096, 0)
        except OSError:
            return 0
        before, self._count = self._count, max(self._count, self._cgroup.oom_kills())
        return self._count - before

    def close(self) -> None:
        for fd in (self._file, self._event):
            if fd >= 0:
                posix.close(fd)
