# SPDX-License-Identifier: Apache-2.0
"""runtime.md#start: let the created container's process execute the user's program."""

import errno
import posix
import select

from pyrunc.config.fields import Config
from pyrunc.container.query import hook_state, status_of
from pyrunc.errors import PyruncError, StateError, StatusError
from pyrunc.linux.errnos import reason
from pyrunc.plan.ops import REPORT_EXECUTING
from pyrunc.process.protocol import Report, died_as_helper, read_report
from pyrunc.state import status
from pyrunc.state.store import CONFIG, FIFO, RESULT, Entry, open_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.settings import Settings
    from pyrunc.process.notify import Notify
    from pyrunc.state.record import Record


LOCK_SECONDS = 10.0
"""Another call may keep the lock while a hook runs, and the hook may be our caller: wait, but not for ever."""


def start(settings: "Settings", container_id: str) -> None:
    """Start a created container; when its program cannot be executed, that is an error here, and it is stopped."""
    entry = open_entry(settings.root, container_id)
    try:
        entry.lock(LOCK_SECONDS)
        record = status.load(entry)
        status.require("start", record.id, status_of(entry, record))
        notify = open_notify(entry)
        start_locked(settings, entry, record)
        if notify is not None:
            wait_until_ready(notify, entry, record)
    finally:
        entry.close()


def open_notify(entry: Entry) -> "Notify | None":
    """The socket for the container's READY=1, where the caller has a NOTIFY_SOCKET, and had one at create."""
    supervisor = posix.environ.get(b"NOTIFY_SOCKET")
    if not supervisor or not entry.exists("notify"):
        return None
    from pyrunc.process.notify import Notify

    return Notify(entry.fd, supervisor)


def wait_until_ready(notify: "Notify", entry: Entry, record: "Record") -> None:
    """Stay until the container says that it is ready; the lock is free meanwhile."""
    entry.unlock()
    pidfd = status.open_process(record)
    try:
        notify.wait(record.pid, pidfd)
    finally:
        if pidfd >= 0:
            posix.close(pidfd)
    notify.close()


def start_locked(settings: "Settings", entry: Entry, record: "Record") -> None:
    """The same for a caller that has the lock and knows the status."""
    config = None
    if record.hooks or not record.has_process:
        config = saved_config(entry, record)
        if not record.has_process:
            raise StatusError("/process: is required to start the container")
    report = _release(entry, record)
    if report is not None:
        raise _failure(entry, record, report)
    entry.discard(FIFO)
    entry.discard(RESULT)
    record.status = status.RUNNING
    status.save(entry, record)
    if config is not None and "poststart" in record.hooks:
        _poststart(settings, entry, record, config)


def saved_config(entry: Entry, record: "Record") -> Config:
    """config.json as it was at create: later changes of the bundle do not count (runtime.md#lifecycle)."""
    from pyrunc.config.load import parse

    return Config(parse(entry.read(CONFIG)), record.bundle)


def _release(entry: Entry, record: "Record") -> "Report | None":
    """Write the byte that init waits for, and take its report: None when the program was executed."""
    result = posix.open(RESULT, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC, dir_fd=entry.fd)
    try:
        try:
            fifo = posix.open(FIFO, posix.O_WRONLY | posix.O_NONBLOCK | posix.O_CLOEXEC, dir_fd=entry.fd)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise StatusError("cannot start a container that has stopped") from error
            raise StateError(f"{entry.path}/{FIFO}: {reason(error.errno)}") from error
        posix.write(fifo, b"\0")
        # Held open until the report is read: init, when it failed, waits for a word or for time to pass.
        try:
            poll = select.poll()
            poll.register(result, select.POLLIN)
            poll.poll()
            report = read_report(result)
            announced = report is not None and report.kind == REPORT_EXECUTING
            if announced:
                poll.poll()
                report = read_report(result)
            if report is None and (not announced or died_as_helper(record.pid)):
                raise _killed(entry, record)
            return report
        finally:
            posix.close(fifo)
    finally:
        posix.close(result)


def _killed(entry: Entry, record: "Record") -> PyruncError:
    from pyrunc.cgroups.driver import from_state
    from pyrunc.container.killed import killed

    filtered = any(isinstance(row, list) and "seccomp" in row for row in record.tail)
    error = killed(from_state(record.cgroup), "before it could execute the program", filtered=filtered)
    stop(entry, record)
    return error


def _failure(entry: Entry, record: "Record", report: Report) -> PyruncError:
    from pyrunc.plan.execve import Command
    from pyrunc.process.explain import failure_of_tail

    command = Command(saved_config(entry, record).require("process"))
    error = failure_of_tail(record.tail, report, record.pid, command, record.rootfs)
    stop(entry, record)
    return error


def stop(entry: Entry, record: "Record") -> None:
    """End the container's process, and write that it is stopped."""
    import _signal

    pidfd = status.open_process(record)
    if pidfd >= 0:
        try:
            _signal.pidfd_send_signal(pidfd, 9)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll(10_000)
        except ProcessLookupError:
            pass
        finally:
            posix.close(pidfd)
    record.status = status.STOPPED
    status.save(entry, record)


def _poststart(settings: "Settings", entry: Entry, record: "Record", config: Config) -> None:
    """Run the poststart hooks; when one fails the container is stopped and destroyed (runtime.md#lifecycle step 9)."""
    from pyrunc.process.hooks import run_hooks

    hooks = config.require("hooks").sections("poststart")
    try:
        run_hooks(hooks, hook_state(record, status.RUNNING), "poststart", record.bundle, record.annotations)
    except PyruncError:
        from pyrunc.container.delete import delete_locked

        delete_locked(settings, entry, force=True)
        raise
