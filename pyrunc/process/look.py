# SPDX-License-Identifier: Apache-2.0
"""The files of a process that failed and still waits, looked at through /proc/PID/root; loaded when something failed.

Each path is opened by openat2(2) within that root, and nothing but regular files is opened for more than its facts.
"""

import posix
from errno import EACCES, ELOOP, ENOENT, ENOTDIR

from pyrunc.linux.uapi import (
    O_PATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
)

_SYS_OPENAT2 = 437
_KINDS = {
    S_IFREG: "file",
    S_IFDIR: "directory",
    S_IFCHR: "character device",
    S_IFBLK: "block device",
    S_IFIFO: "fifo",
    S_IFLNK: "symlink",
}


class View:
    """What a process sees as "/", or with `below` the tree that begins at that path of it.

    A process that cannot be looked at (not dumpable, so that an ordinary user may not) is taken to see the host's tree
    `instead`, the one that its root is made of: mounts are missing there. One that is gone gives EACCES for every path.
    """

    __slots__ = ("_root", "pid", "where")

    def __init__(self, pid: int, below: str = "", where: str = "on the host", instead: str = "/") -> None:
        self.pid = pid
        self.where = where
        self._root = -1
        for path in (f"/proc/{pid or 'self'}/root", instead):
            try:
                self._root = posix.open(path, O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
            except PermissionError:
                continue
            except OSError:
                pass
            break
        if below and self._root >= 0:
            outer, self._root = self._root, _openat2(self._root, below, O_PATH | posix.O_DIRECTORY)
            posix.close(outer)

    def close(self) -> None:
        if self._root >= 0:
            posix.close(self._root)

    def open(self, path: str, *, follow: bool = True) -> int:
        """An O_PATH descriptor, or -errno."""
        if self._root < 0:
            return -EACCES
        return _openat2(self._root, path, O_PATH | (0 if follow else posix.O_NOFOLLOW))

    def facts(self, path: str, *, follow: bool = True) -> "posix.stat_result | int":
        """stat(2), or the errno."""
        fd = self.open(path, follow=follow)
        if fd < 0:
            return -fd
        try:
            return posix.fstat(fd)
        finally:
            posix.close(fd)

    def kind(self, path: str, *, follow: bool = True) -> str:
        """The kind of file, a word of _KINDS or socket; "" for what is not there or cannot be looked at."""
        facts = self.facts(path, follow=follow)
        return "" if isinstance(facts, int) else kind_of(facts.st_mode)

    def head(self, path: str, size: int = 4096) -> "bytes | None":
        """The first bytes of a regular file. To open a device has effects: a watchdog's starts."""
        fd = self.open(path)
        try:
            if fd < 0 or posix.fstat(fd).st_mode & S_IFMT != S_IFREG:
                return None
            data = posix.open(f"/proc/self/fd/{fd}", posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
            try:
                return posix.read(data, size)
            finally:
                posix.close(data)
        except OSError:
            return None
        finally:
            if fd >= 0:
                posix.close(fd)

    def noexec(self, path: str) -> bool:
        """Whether a file is on a mount that has the flag noexec."""
        fd = self.open(path)
        if fd < 0:
            return False
        try:
            return bool(posix.fstatvfs(fd).f_flag & posix.ST_NOEXEC)
        finally:
            posix.close(fd)

    def target(self, path: str) -> str:
        """Where a symlink leads; "" for what is none."""
        fd = self.open(path, follow=False)
        if fd < 0:
            return ""
        try:
            return posix.readlink("", dir_fd=fd)
        except OSError:
            return ""
        finally:
            posix.close(fd)

    def blame(self, path: str, *, denied: bool = False) -> str:
        """Which component of a path is missing, no directory or, if access was `denied`, may not be passed; or ""."""
        before, walked = "/", ""
        for part in path.split("/"):
            if part in ("", "."):
                continue
            walked += "/" + part
            facts = self.facts(walked)
            if facts in (ENOENT, ELOOP):
                return self._absent(walked, int(facts == ELOOP))
            if facts == ENOTDIR:
                return f'"{before}" is a {self.kind(before) or "file"} {self.where}'
            if facts == EACCES:
                return self._closed(before) if denied else ""
            refusal = self._closed(before) if denied else ""
            if refusal:
                return refusal
            before = walked
        return self._closed(before) if denied else ""

    def passes(self, facts: posix.stat_result) -> bool:
        """Whether the mode of a file lets the process execute it, or of a directory pass it."""
        uid, groups = credentials(self.pid)
        bit = 0o100 if facts.st_uid == uid else 0o010 if facts.st_gid in groups else 0o001
        return bool(facts.st_mode & bit)

    def _closed(self, path: str) -> str:
        """Why a directory may not be passed: in a user namespace capabilities do not help with files of other users."""
        facts = self.facts(path)
        if isinstance(facts, int) or facts.st_mode & S_IFMT != S_IFDIR or self.passes(facts):
            return ""
        owner = f"{facts.st_uid}:{facts.st_gid}"
        return (
            f'"{path}" (mode {facts.st_mode & 0o7777:04o}, owner {owner}) is closed to uid {credentials(self.pid)[0]}'
        )

    def _absent(self, path: str, circle: int) -> str:
        target = self.target(path)
        if circle:
            return f'"{path}" is a symlink that leads back to itself'
        if target:
            return f'"{path}" is a symlink to "{target}", which is missing {self.where}'
        return f'"{path}" is missing {self.where}'


def blame(path: str, *, denied: bool = False) -> str:
    """View.blame of a path of the host, as the runtime sees it; "" for a relative one."""
    if path[:1] != "/":
        return ""
    view = View(0)
    try:
        return view.blame(path, denied=denied)
    finally:
        view.close()


def kind_of(mode: int) -> str:
    """The kind of file of a st_mode."""
    return _KINDS.get(mode & S_IFMT, "socket")


def credentials(pid: int) -> tuple[int, list[int]]:
    """The user and all groups of a process, as the runtime's user namespace has them."""
    rows = {}
    try:
        with open(f"/proc/{pid or 'self'}/status", "rb") as file:
            for line in file:
                key, _, values = line.partition(b":")
                rows[key] = values.split()
    except OSError:
        return 0, []
    return int(rows[b"Uid"][3]), [int(rows[b"Gid"][3]), *map(int, rows[b"Groups"])]


def _openat2(root: int, path: str, flags: int) -> int:
    """openat2(2) within `root`; a descriptor, or -errno."""
    import ctypes
    from _struct import pack

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long]
    how = pack("3Q", flags | posix.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    fd = libc.syscall(_SYS_OPENAT2, root, path.encode("utf-8", "surrogateescape"), how, len(how))
    return int(fd) if fd >= 0 else -ctypes.get_errno()
