# SPDX-License-Identifier: Apache-2.0
"""`ps`: the processes of a container as the host sees them, as ids or through the host's ps(1)."""

import posix

from pyrunc.cgroups.driver import from_state
from pyrunc.errors import HostError, UsageError
from pyrunc.state import status
from pyrunc.state.store import open_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.settings import Settings

_OPTIONS = ["-ef"]


def pids(settings: "Settings", container_id: str) -> list[int]:
    """The ids of all processes in the container's cgroup, sorted; [] once it has stopped.

    Without a cgroup only the first process is known.
    """
    entry = open_entry(settings.root, container_id)
    try:
        record = status.load(entry)
    finally:
        entry.close()
    cgroup = from_state(record.cgroup)
    if cgroup.paths:
        return sorted(cgroup.pids())
    pidfd = status.open_process(record)
    if pidfd < 0:
        return []
    posix.close(pidfd)
    return [record.pid]


def table(settings: "Settings", container_id: str, options: list[str]) -> str:
    """What ps(1) prints with `options` (by default -ef), but for the processes that are not the container's.

    UsageError when ps refuses the options, or when they leave out the column PID.
    """
    wanted = {str(pid) for pid in pids(settings, container_id)}
    title, *lines = _ps(options or _OPTIONS).splitlines() or [""]
    columns = title.split()
    if "PID" not in columns:
        raise UsageError(f"ps {' '.join(options)}: prints no column PID")
    column = columns.index("PID")
    kept, found = False, [title]
    for line in lines:
        fields = line.split(None, column + 1)
        # A line without a number belongs to the process before it, as those of threads do (ps -m)
        if len(fields) > column and fields[column].isdigit():
            kept = fields[column] in wanted
        if kept:
            found.append(line)
    return "".join(f"{line}\n" for line in found)


def _ps(options: list[str]) -> str:
    """The output of the host's ps; into a file, as nobody would empty a pipe while we wait."""
    out = posix.memfd_create("ps", 0)
    words = posix.memfd_create("ps errors", 0)
    try:
        actions = [(posix.POSIX_SPAWN_DUP2, out, 1), (posix.POSIX_SPAWN_DUP2, words, 2)]
        try:
            pid = posix.posix_spawnp("ps", ["ps", *options], posix.environ, file_actions=actions)
        except FileNotFoundError as error:
            raise HostError("this host has no program ps; --format json needs none") from error
        _, code = posix.waitpid(pid, 0)
        if code:
            text = " ".join((_text(words) or _text(out)).split())
            raise UsageError(f"ps {' '.join(options)}: exit status {posix.waitstatus_to_exitcode(code)}: {text}")
        return _text(out)
    finally:
        posix.close(out)
        posix.close(words)


def _text(fd: int) -> str:
    return posix.pread(fd, posix.fstat(fd).st_size, 0).decode("utf-8", "surrogateescape")
