# SPDX-License-Identifier: Apache-2.0
"""What both versions do with their directories: make, write limits, signal, remove."""

import errno
import posix
import time

from pyrunc.cgroups import files
from pyrunc.cgroups.path import POINTER
from pyrunc.errors import CgroupError
from pyrunc.linux.errnos import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.cgroups.driver import Cgroup
    from pyrunc.cgroups.resources import Write

_SIGKILL = 9


def make(leaf: str, planned: list[str], made: list[str]) -> None:
    """Make those of the planned directories that lead to `leaf`, and add them to `made`.

    A parent may have come to be since; one that the removal of another container takes away in between is made again.
    CgroupError when `leaf` itself has come to be: another container is taking it. OSError as it comes.
    """
    wanted = [one for one in planned if leaf == one or leaf.startswith(f"{one}/")]
    # The mask of the runtime would close the cgroup to the container's users, who look for their limits there
    mask = posix.umask(0o022)
    try:
        for left in (2, 1, 0):
            try:
                for directory in wanted:
                    _make(directory, leaf, made)
            except FileNotFoundError:
                if not left:
                    raise
                continue
            return
    finally:
        posix.umask(mask)


def _make(directory: str, leaf: str, made: list[str]) -> None:
    try:
        posix.mkdir(directory, 0o755)
    except FileExistsError as error:
        if directory == leaf:
            raise CgroupError(f"{leaf}: made by another in this moment") from error
        return
    if directory not in made:
        made.append(directory)


def not_made(directory: str, error: OSError) -> CgroupError:
    """The error of a cgroup that could not be made."""
    why = ""
    if error.errno in files.DENIED:
        why = "the caller may not make cgroups there; without cgroupsPath an ordinary user's container does without one"
    return files.failure("mkdir", directory, error, why, POINTER)


def unmake(made: list[str]) -> None:
    """Remove the directories that were made, as far as they are empty."""
    for directory in reversed(made):
        files.rmdir(directory)


def write_all(
    asked: "list[Write]", paths: dict[str, str], default: str, missing: "Callable[[Write, str], CgroupError]"
) -> None:
    """Write the values in order, each in the directory of its controller.

    A value may be wrong beside an old one that a later write changes (memory limit above the old swap limit, an old
    quota above the new period): one that the kernel calls invalid is tried again after all others.
    """
    again = []
    for write in asked:
        directory = paths.get(write.controller, default)
        try:
            _write(write, directory, missing)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise _refused(write, directory, error) from error
            again.append((write, directory))
    for write, directory in again:
        try:
            _write(write, directory, missing)
        except OSError as error:
            raise _refused(write, directory, error) from error


def _write(write: "Write", directory: str, missing: "Callable[[Write, str], CgroupError]") -> None:
    for file, text in write.choices if directory else ():
        try:
            files.write(f"{directory}/{file}", text)
        except FileNotFoundError:
            continue
        return
    if not write.optional:
        raise missing(write, write.choices[0][0])


_ONLINE = {"cpuset.cpus": "/sys/devices/system/cpu/online", "cpuset.mems": "/sys/devices/system/node/online"}
_QUOTA = "quota and period have at least 1000 microseconds, and a share that the cgroup above has too"
_WHY: "dict[tuple[str, int | None], str]" = {
    ("cpu.cfs_quota_us", errno.EINVAL): _QUOTA,
    ("cpu.cfs_period_us", errno.EINVAL): _QUOTA,
    ("cpu.max", errno.EINVAL): _QUOTA,
    ("cpu.rt_runtime_us", errno.EINVAL): "the cgroup above has no such share of real time to give",
}
"""What an errno of writing a value means (kernel/sched/core.c, tg_set_cfs_bandwidth and tg_set_rt_bandwidth)."""


def _refused(write: "Write", directory: str, error: OSError) -> CgroupError:
    file, text = next((c for c in write.choices if files.exists(f"{directory}/{c[0]}")), write.choices[0])
    why = _WHY.get((file, error.errno), "")
    if file == "memory.limit_in_bytes" and error.errno == errno.EBUSY:
        why = f"{files.read(f'{directory}/memory.usage_in_bytes').strip()} bytes are in use"
    elif file in _ONLINE:
        why = f"the host has {files.read(_ONLINE[file]).strip()}, and the cgroup above may have less"
    elif error.errno == errno.ENODEV and text.partition(":")[0].isdigit():
        why = "the host has no such block device"
    call = f'write("{directory}/{file}", "{text}"): {reason(error.errno)}'
    return CgroupError(f"{call}: {why}" if why else call, write.pointer)


def write_if_there(file: str, text: str) -> None:
    """Write, unless the cgroup is gone."""
    try:
        files.write(file, text)
    except OSError as error:
        if error.errno not in files.GONE:
            raise files.failure("write", file, error) from error


def try_write(file: str, text: str) -> bool:
    """Whether the kernel took it."""
    try:
        files.write(file, text)
    except OSError:
        return False
    return True


def signal_frozen(cgroup: "Cgroup", number: int) -> None:
    """Signal each process while none can fork: frozen, unless that fails. SIGKILL ends a pause, to be seen at all."""
    was = cgroup.frozen()
    if not was:
        try:
            cgroup.freeze(2.0)
        except CgroupError:
            # Without a freezer, or with a process that cannot stop now, what forks in this moment may be missed
            was = False
    try:
        for pid in cgroup.pids():
            send(pid, number)
    finally:
        if not was or number == _SIGKILL:
            cgroup.thaw()


def send(pid: int, number: int) -> None:
    """Signal a process, unless it is gone."""
    from _signal import pidfd_send_signal

    try:
        fd = posix.pidfd_open(pid)
    except OSError:
        return
    try:
        pidfd_send_signal(fd, number)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise CgroupError(f"pidfd_send_signal({pid}, {number}): {reason(error.errno)}") from error
    finally:
        posix.close(fd)


def remove(paths: list[str], made: list[str], seconds: float) -> None:
    """Remove the cgroups and all beneath them; one that is not in `made` stays, but without any beneath it.

    A process that ends leaves its cgroup a moment before it is waited for: tried again until `seconds` are over.
    """
    end, pause = time.monotonic() + seconds, 0.001
    left = paths
    while left := [path for path in left if _remove(path, path in made)]:
        if time.monotonic() >= end:
            break
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    if not left:
        return
    pids = list(dict.fromkeys(pid for path in left for pid in files.processes(path)))
    why = f"has processes: {files.describe(pids)}" if pids else reason(files.rmdir(left[0]))
    raise CgroupError(f"cgroup {left[0]} cannot be removed: {why}")


def _remove(path: str, own: bool) -> bool:
    """Whether there is something left to remove."""
    if own and not files.rmdir(path):
        return False
    files.prune(path)
    if own:
        return files.rmdir(path) != 0
    return bool(files.processes(path))
