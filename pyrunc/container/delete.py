# SPDX-License-Identifier: Apache-2.0
"""runtime.md#delete: everything that create made is removed, and the id is free again."""

import posix
import select

from pyrunc.cgroups.driver import Cgroup, from_directories, from_state
from pyrunc.cgroups.path import ROOT
from pyrunc.container.query import hook_state, status_of
from pyrunc.errors import CgroupError, HostError, NotFoundError, PyruncError, StateError
from pyrunc.state import journal, status
from pyrunc.state.store import CONFIG, Entry, open_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.settings import Settings
    from pyrunc.state.record import Record

_SECONDS = 10
_LOCK_SECONDS = 10.0
"""A create whose hook hangs has the lock for ever: who cleans up is told, and does not hang as well."""


def delete(settings: "Settings", container_id: str, *, force: bool = False) -> None:
    """Delete a stopped or created container; with `force` any, and one that is not there is no error.

    With `force` a record that cannot be read is no hindrance: the journal names what was made. StateError where another
    call holds the container for 10 s.
    """
    try:
        entry = open_entry(settings.root, container_id)
    except NotFoundError:
        if force:
            return
        raise
    try:
        entry.lock(_LOCK_SECONDS)
        delete_locked(settings, entry, force=force)
    except NotFoundError:
        # Another call has deleted it while this one waited.
        if not force:
            raise
    finally:
        entry.close()


def delete_locked(settings: "Settings", entry: Entry, *, force: bool) -> None:
    """The same for a caller that has the lock."""
    record = _read(entry, force=force)
    if record is None:
        _remove_journalled(entry)
        entry.remove()
        return
    found = status_of(entry, record)
    if not force:
        status.require("delete", record.id, found)
    cgroup = from_state(record.cgroup)
    if journal.values(entry, journal.NETDEVICE):
        from pyrunc.container.net_devices import return_after_crash

        return_after_crash(settings, entry, record, posix.uname().machine)
    _end(record, cgroup, shared=not record.own_pids or force)
    cgroup.remove()
    _remove_rdt(entry)
    for directory in reversed(journal.values(entry, journal.CGROUP)):
        _rmdir(directory)
    if "poststop" in record.hooks:
        _poststop(settings, entry, record)
    entry.remove()


def _read(entry: Entry, *, force: bool) -> "Record | None":
    try:
        record = status.load(entry)
        from_state(record.cgroup)
        return record
    except StateError:
        if not force:
            raise
        return None


def _end(record: "Record", cgroup: Cgroup, *, shared: bool) -> None:
    """Kill what runs. Without a pid namespace of its own the end of the first process leaves the others alive."""
    import _signal

    if shared:
        cgroup.signal(9)
    pidfd = status.open_process(record)
    if pidfd < 0:
        return
    try:
        _signal.pidfd_send_signal(pidfd, 9)
        cgroup.thaw()
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(_SECONDS * 1000):
            raise HostError(f"process {record.pid} of the container does not end, though it was killed")
    except ProcessLookupError:
        pass
    finally:
        posix.close(pidfd)


def _remove_journalled(entry: Entry) -> None:
    """What the journal names, where the record says nothing: processes by pid and start time, then their cgroups.

    It may be as damaged as the record: what cannot be of pyrunc's writing is left alone.
    """
    from pyrunc.state.record import process_stat

    cgroup = _journalled_cgroup(entry)
    cgroup.signal(9)
    for value in journal.values(entry, journal.PROCESS):
        pid, _, start = value.partition(" ")
        if not (pid.isascii() and pid.isdigit() and 1 < int(pid[:8]) == int(pid)):
            continue
        stat = process_stat(int(pid))
        if stat is not None and str(stat[1]) == start:
            _kill(int(pid), int(start))
    for value in journal.values(entry, journal.UNIT):
        from pyrunc.cgroups.scope import unit_of

        if (unit := unit_of(value)) is not None:
            unit.stop()
    cgroup.remove()
    _remove_rdt(entry)


def _journalled_cgroup(entry: Entry) -> Cgroup:
    try:
        return from_directories([path for path in journal.values(entry, journal.CGROUP) if _is_below_root(path)])
    except (CgroupError, StateError):
        return from_directories([])


def _is_below_root(path: str) -> bool:
    return path.startswith(f"{ROOT}/") and ".." not in path.split("/") and "\0" not in path


def _remove_rdt(entry: Entry) -> None:
    """The groups of Intel RDT that are the container's own, once it is gone."""
    groups = journal.values(entry, journal.RDT)
    if groups:
        from pyrunc.process.intel_rdt import is_own, mounted, remove

        resctrl = mounted()
        remove([group for group in groups if resctrl and is_own(group, entry.id, resctrl)])


def _kill(pid: int, start: int) -> None:
    import _signal

    from pyrunc.state.record import process_stat

    try:
        pidfd = posix.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        stat = process_stat(pid)
        if stat is not None and stat[1] == start:
            _signal.pidfd_send_signal(pidfd, 9)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll(_SECONDS * 1000)
    except ProcessLookupError:
        pass
    finally:
        posix.close(pidfd)


def _rmdir(directory: str) -> None:
    """A parent that create had to make goes too, once no other container is in it."""
    if not _is_below_root(directory):
        return
    try:
        posix.rmdir(directory)
    except OSError:
        return


def _poststop(settings: "Settings", entry: Entry, record: "Record") -> None:
    """The poststop hooks run when the container is gone; a failing one is a warning (runtime.md#lifecycle)."""
    from pyrunc.config.fields import Config
    from pyrunc.config.load import parse
    from pyrunc.process.hooks import run_poststop

    try:
        config = Config(parse(entry.read(CONFIG)), record.bundle)
        hooks = config.require("hooks").sections("poststop")
    except (PyruncError, FileNotFoundError) as error:
        settings.warn(f"poststop hooks cannot be read: {error}")
        return
    state = hook_state(record, status.STOPPED, 0)
    for warning in run_poststop(hooks, state, record.bundle, record.annotations):
        settings.notice(warning)
