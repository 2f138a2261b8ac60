# SPDX-License-Identifier: Apache-2.0
"""`tmpcopyup`: a new tmpfs gets a copy of the directory that it is to hide (config.md#linux-mount-options).

Both directories come as descriptors of the helper. The tree is the image's, so that no symlink in it is followed and
nothing but regular files is opened: every step is one name below an open directory.
"""

import posix

from pyrunc.errors import SetupError
from pyrunc.linux.errnos import reason
from pyrunc.linux.uapi import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_CHUNK = 1 << 24
_DEPTH_MAX = 200
_PR_SET_SECUREBITS, _NO_SETUID_FIXUP = 28, 1 << 2


def copy_up(source_path: str, target_path: str, pointer: str) -> None:
    """Copy what is below one directory to another, with owners, modes, times; the paths are those of open descriptors.

    SetupError with `pointer` and the path below the directory for what cannot be copied.
    """
    try:
        source = posix.open(source_path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            target = posix.open(target_path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
            try:
                _copy(source, target, pointer)
            finally:
                posix.close(target)
        finally:
            posix.close(source)
    except OSError as error:
        raise SetupError(pointer, "tmpcopyup", error.errno or 0, reason(error.errno)) from error


def _copy(source: int, target: int, pointer: str) -> None:
    """A tmpfs of a user namespace takes no file of an id that is not mapped there (EOVERFLOW), and root's is not: root
    makes them as the owner of the tmpfs.
    """
    facts = posix.fstat(target)
    foreign = posix.geteuid() == 0 and facts.st_uid != 0
    if foreign:
        _act_as(facts.st_uid, facts.st_gid, _NO_SETUID_FIXUP)
    try:
        _Copy(pointer).directory(source, target, "")
    finally:
        if foreign:
            _act_as(0, 0, 0)


def _act_as(uid: int, gid: int, bits: int) -> None:
    """setfsuid(2) and setfsgid(2), for which SECBIT_NO_SETUID_FIXUP keeps the right to chown(2) (capabilities(7))."""
    import ctypes

    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_SECUREBITS, bits, 0, 0, 0)
    libc.setfsgid(gid)
    libc.setfsuid(uid)


class _Copy:
    """One copy; links: hard links by (device, inode), so that they stay links."""

    __slots__ = ("_links", "_pointer", "_root")

    def __init__(self, pointer: str) -> None:
        self._pointer = pointer
        self._links: dict[tuple[int, int], str] = {}
        self._root = -1

    def directory(self, source: int, target: int, path: str) -> None:
        if self._root < 0:
            self._root = target
        if path.count("/") > _DEPTH_MAX:
            raise self._failure(path, 36)
        for name in posix.listdir(source):
            inner = f"{path}/{name}"
            try:
                self._entry(source, target, name, inner)
            except OSError as error:
                raise self._failure(inner, error.errno or 0, _foreign(source, name)) from error
        _attributes(source, target)

    def _failure(self, path: str, number: int, why: str = "") -> SetupError:
        return SetupError(self._pointer, f'tmpcopyup of "{path}"', number, reason(number), why)

    def _entry(self, source: int, target: int, name: str, path: str) -> None:
        facts = posix.stat(name, dir_fd=source, follow_symlinks=False)
        kind = facts.st_mode & S_IFMT
        if kind == S_IFDIR:
            posix.mkdir(name, 0o700, dir_fd=target)
            self._descend(source, target, name, path)
            return
        if facts.st_nlink > 1:
            first = self._links.setdefault((facts.st_dev, facts.st_ino), path)
            if first != path:
                posix.link(first[1:], name, src_dir_fd=self._root, dst_dir_fd=target, follow_symlinks=False)
                return
        if kind == S_IFREG:
            _file(source, target, name)
            return
        if kind == S_IFLNK:
            posix.symlink(posix.readlink(name, dir_fd=source), name, dir_fd=target)
        else:
            posix.mknod(name, facts.st_mode, facts.st_rdev, dir_fd=target)
            posix.chmod(name, facts.st_mode & 0o7777, dir_fd=target)
        posix.chown(name, facts.st_uid, facts.st_gid, dir_fd=target, follow_symlinks=False)
        posix.utime(name, ns=(facts.st_atime_ns, facts.st_mtime_ns), dir_fd=target, follow_symlinks=False)

    def _descend(self, source: int, target: int, name: str, path: str) -> None:
        below = posix.open(name, _DIRECTORY, dir_fd=source)
        try:
            copy = posix.open(name, _DIRECTORY, dir_fd=target)
            try:
                self.directory(below, copy, path)
            finally:
                posix.close(copy)
        finally:
            posix.close(below)


def _file(source: int, target: int, name: str) -> None:
    flags = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
    original = posix.open(name, flags, dir_fd=source)
    try:
        copy = posix.open(name, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            while posix.sendfile(copy, original, None, _CHUNK):
                pass
            _attributes(original, copy)
        finally:
            posix.close(copy)
    finally:
        posix.close(original)


def _attributes(original: int, copy: int) -> None:
    """Owner before mode, as chown(2) clears set-user-ID; extended attributes that a tmpfs cannot hold are left."""
    facts = posix.fstat(original)
    posix.fchown(copy, facts.st_uid, facts.st_gid)
    posix.fchmod(copy, facts.st_mode & 0o7777)
    for attribute in posix.listxattr(original):
        try:
            posix.setxattr(copy, attribute, posix.getxattr(original, attribute))
        except OSError:
            continue
    posix.utime(copy, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _foreign(source: int, name: str) -> str:
    """Why an ordinary user cannot copy a file that is not his."""
    uid = posix.geteuid()
    try:
        owner = posix.stat(name, dir_fd=source, follow_symlinks=False).st_uid
    except OSError:
        return ""
    return f"it belongs to uid {owner}, and uid {uid} may not make files of others" if uid not in (0, owner) else ""
