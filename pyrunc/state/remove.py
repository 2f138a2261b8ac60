# SPDX-License-Identifier: Apache-2.0
"""Removal of a state directory: beneath its descriptor, following nothing, crossing no mount, all checked before any
of it is removed. A directory is ours when it holds our lock; an empty one is a crash between mkdir and the lock.
"""

import errno
import posix

from pyrunc.errors import StateError
from pyrunc.linux.errnos import reason
from pyrunc.state.store import LOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.state.store import Entry

_FOLDER_FLAGS = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC | posix.O_NOFOLLOW
_TYPE, _FOLDER, _DEVICES = 0o170000, 0o040000, (0o020000, 0o060000)  # inode(7)
_TRIES = 3


def remove(entry: "Entry", root: int) -> None:
    """Remove the directory of `entry` from the directory `root`.

    StateError, with nothing removed, for a directory without our lock that is not empty, one that is a mount point, and
    one that holds something that pyrunc never makes: a device, or a directory deeper than one level.
    """
    try:
        names = posix.listdir(entry.fd)
        _check(entry, root, names)
        for name in names:
            if name != LOCK:
                _remove(entry.fd, name)
        _remove_last(entry, root)
    except OSError as error:
        raise StateError(f"{entry.path}: cannot be removed: {reason(error.errno)}") from error


def _check(entry: "Entry", root: int, names: list[str]) -> None:
    if names and LOCK not in names:
        raise StateError(f"{entry.path}: not a directory of pyrunc: it has no file {LOCK}")
    if _mount(entry.fd) != _mount(root):
        raise StateError(f"{entry.path}: is a mount point")
    for name in names:
        kind = _kind(entry.fd, name)
        if kind in _DEVICES:
            raise StateError(f"{entry.path}/{name}: a device is not of pyrunc")
        if kind == _FOLDER:
            _check_folder(entry, name)


def _check_folder(entry: "Entry", name: str) -> None:
    fd = posix.open(name, _FOLDER_FLAGS, dir_fd=entry.fd)
    try:
        if _mount(fd) != _mount(entry.fd):
            raise StateError(f"{entry.path}/{name}: is a mount point")
        for child in posix.listdir(fd):
            if _kind(fd, child) in (_FOLDER, *_DEVICES):
                raise StateError(f"{entry.path}/{name}/{child}: is not of pyrunc")
    finally:
        posix.close(fd)


def _remove(parent: int, name: str) -> None:
    if _kind(parent, name) != _FOLDER:
        posix.unlink(name, dir_fd=parent)
        return
    fd = posix.open(name, _FOLDER_FLAGS, dir_fd=parent)
    try:
        for child in posix.listdir(fd):
            posix.unlink(child, dir_fd=fd)
    finally:
        posix.close(fd)
    posix.rmdir(name, dir_fd=parent)


def _remove_last(entry: "Entry", root: int) -> None:
    """The lock and the directory. A call that waits for the lock may make it anew; it then finds its directory gone."""
    for left in range(_TRIES - 1, -1, -1):
        entry.discard(LOCK)
        try:
            posix.rmdir(entry.id, dir_fd=root)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not left:
                raise


def _kind(parent: int, name: str) -> int:
    return posix.stat(name, dir_fd=parent, follow_symlinks=False).st_mode & _TYPE


def _mount(fd: int) -> bytes:
    """The id of the mount that a descriptor is on; st_dev does not tell a bind mount (proc_pid_fdinfo(5))."""
    info = posix.open(f"/proc/self/fdinfo/{fd}", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(info, 4096).partition(b"mnt_id:")[2].split()[0]
    finally:
        posix.close(info)
