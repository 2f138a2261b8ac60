# SPDX-License-Identifier: Apache-2.0
"""Files and directories of a cgroup tree: read, write, walk, wait, remove, and what an errno means there.

The texts of errnos are those of linux/errnos.py, which engines do not take for the fate of the user's command.
"""

import errno
import posix
import time

from pyrunc.errors import CgroupError
from pyrunc.linux.errnos import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
GONE = (errno.ENOENT, errno.ENODEV)

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC | posix.O_NOFOLLOW
_READ = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW
_WRITE = posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_TRUNC
_CAP = 1 << 24
_POLLPRI = 2


def failure(call: str, path: str, error: OSError, why: str = "", pointer: str = "") -> CgroupError:
    """`call("path"): reason: why`."""
    return CgroupError(f'{call}("{path}"): {reason(error.errno)}' + (f": {why}" if why else ""), pointer)


def read(path: str) -> str:
    """The whole file; OSError as it comes."""
    fd = posix.open(path, _READ)
    try:
        data = posix.read(fd, 4096)
        if len(data) == 4096:
            while (more := posix.read(fd, 1 << 16)) and len(data) < _CAP:
                data += more
    finally:
        posix.close(fd)
    return data.decode("utf-8", "surrogateescape")


def write(path: str, text: str) -> None:
    """One write(2), as the kernel takes a value whole or not at all; OSError as it comes.

    O_TRUNC means nothing to a cgroup; it makes a value whole in an ordinary file too.
    """
    fd = posix.open(path, _WRITE)
    try:
        posix.write(fd, text.encode("utf-8", "surrogateescape"))
    finally:
        posix.close(fd)


def key(path: str, name: str) -> int:
    """The number after `name` in a file of "name number" lines; 0 where the file or the line is missing."""
    try:
        text = read(path)
    except OSError:
        return 0
    for line in text.splitlines():
        word, _, number = line.partition(" ")
        if word == name:
            return int(number)
    return 0


def exists(path: str) -> bool:
    """Whether lstat(2) finds it."""
    try:
        posix.lstat(path)
    except OSError:
        return False
    return True


def open_directory(path: str, dir_fd: "int | None" = None) -> int:
    """A descriptor of a cgroup, O_CLOEXEC; OSError as it comes."""
    return posix.open(path, _DIRECTORY, dir_fd=dir_fd)


def open_beneath(path: str, sub: str) -> int:
    """A descriptor of the cgroup `sub` beneath `path`, one component after the other and through no symlink.

    CgroupError where `sub` has ".." (crun 1.29 fixed an escape here); OSError as it comes.
    """
    names = [name for name in sub.split("/") if name not in {"", "."}]
    if ".." in names:
        raise CgroupError(f'"{sub}" leaves the container\'s cgroup')
    fd = open_directory(path)
    for name in names:
        try:
            below = open_directory(name, fd)
        finally:
            posix.close(fd)
        fd = below
    return fd


def children(fd: int) -> list[str]:
    """Names of the cgroups directly within a directory; its link count is 2 plus theirs in kernfs."""
    if posix.fstat(fd).st_nlink == 2:
        return []
    try:
        with posix.scandir(fd) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in GONE:
            return []
        raise


def walk(path: str) -> "Iterator[int]":
    """Descriptors of a cgroup and of all beneath it, each closed after its turn; none where it is missing.

    Descriptors, as a container that owns its cgroup can make paths longer than PATH_MAX.
    """
    stack = [(-1, path)]
    held: list[int] = []
    try:
        while stack:
            parent, name = stack.pop()
            if parent == -2:
                posix.close(held.pop())
                continue
            try:
                fd = open_directory(name, None if parent == -1 else parent)
            except OSError as error:
                if error.errno in GONE:
                    continue
                raise failure("open", name, error) from error
            held.append(fd)
            yield fd
            stack.append((-2, ""))
            stack += [(fd, child) for child in children(fd)]
    finally:
        for fd in held:
            posix.close(fd)


def processes(path: str, below: bool = True) -> list[int]:
    """Ids of the processes in a cgroup, with `below` those beneath it too; [] where it is missing."""
    found = []
    for fd in walk(path):
        try:
            procs = posix.open("cgroup.procs", _READ, dir_fd=fd)
        except OSError as error:
            if error.errno in GONE:
                continue
            raise failure("open", f"{path}/cgroup.procs", error) from error
        try:
            data = b""
            while more := posix.read(procs, 1 << 16):
                data += more
        except OSError as error:
            # EOPNOTSUPP: the list of a threaded cgroup is that of its domain (cgroups(7))
            if error.errno not in (*GONE, errno.EOPNOTSUPP):
                raise failure("read", f"{path}/cgroup.procs", error) from error
        finally:
            posix.close(procs)
        # 0 is a process of a pid namespace that is not ours
        found += [int(word) for word in data.split() if word != b"0"]
        if not below:
            break
    return list(dict.fromkeys(found))


def add(fd: int, pid: int) -> None:
    """Move a process into the cgroup of a descriptor; OSError as it comes.

    EINVAL may mean a task that fork(2) has not finished (TASK_NEW): tried again for 0.1 s.
    """
    procs = posix.open("cgroup.procs", posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=fd)
    try:
        for pause in (0.002, 0.008, 0.03, 0.06, 0.0):
            try:
                posix.write(procs, b"%d" % pid)
            except OSError as error:
                if error.errno != errno.EINVAL or not pause:
                    raise
                time.sleep(pause)
            else:
                return
    finally:
        posix.close(procs)


def wait(path: str, line: str, seconds: float) -> bool:
    """Wait until a cgroup.events file has the line; the kernel wakes pollers at each change (cgroups(7))."""
    from select import poll

    try:
        fd = posix.open(path, _READ)
    except OSError as error:
        return error.errno in GONE
    try:
        poller = poll()
        poller.register(fd, _POLLPRI)
        end = time.monotonic() + seconds
        while line not in posix.pread(fd, 4096, 0).decode("ascii").splitlines():
            left = end - time.monotonic()
            # Not longer than 0.1 s: a change between two reads is seen, whatever the kernel's notification limit
            if left <= 0:
                return False
            poller.poll(min(left, 0.1) * 1000)
    except OSError as error:
        return error.errno in GONE
    finally:
        posix.close(fd)
    return True


def rmdir(path: str) -> int:
    """0 when the cgroup is gone, else the errno (EBUSY: has processes or cgroups in it)."""
    try:
        posix.rmdir(path)
    except OSError as error:
        # ENODEV: between the removal and the end of the last reference
        return 0 if error.errno in GONE else error.errno or errno.EIO
    return 0


def prune(path: str) -> None:
    """Remove the cgroups beneath `path` that can be removed, deepest first, holding two descriptors at a time.

    A container that owns its cgroup can make it deeper than PATH_MAX, and than the limit of descriptors.
    """
    try:
        top = open_directory(path)
    except OSError:
        return
    stuck: set[tuple[int, str]] = set()
    try:
        while True:
            parent, name = _deepest(top, stuck)
            if parent < 0:
                return
            try:
                posix.rmdir(name, dir_fd=parent)
            except OSError as error:
                if error.errno not in GONE:
                    stuck.add((posix.fstat(parent).st_ino, name))
            finally:
                posix.close(parent)
    finally:
        posix.close(top)


def _deepest(top: int, stuck: "set[tuple[int, str]]") -> tuple[int, str]:
    """(descriptor of its parent, name) of a cgroup that has none to remove in it; (-1, "") when `top` has none."""
    parent, name, fd = -1, "", posix.dup(top)
    while fd >= 0:
        here = posix.fstat(fd).st_ino
        below = next((child for child in children(fd) if (here, child) not in stuck), None)
        if below is None:
            posix.close(fd)
            break
        if parent >= 0:
            posix.close(parent)
        parent, name = fd, below
        try:
            fd = open_directory(below, parent)
        except OSError:
            fd = -1
    return parent, name


def describe(pids: list[int]) -> str:
    """`7 (sh, S), 9 (cat, D)`: the processes that are left, with the state letter of proc_pid_stat(5)."""
    texts = []
    for pid in pids[:8]:
        try:
            head, _, tail = read(f"/proc/{pid}/stat").rpartition(")")
            texts.append(f"{pid} ({head.partition('(')[2]}, {tail.split()[0]})")
        except OSError:
            continue
    if len(pids) > 8:
        texts.append(f"{len(pids) - 8} more")
    return ", ".join(texts)
