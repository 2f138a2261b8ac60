# SPDX-License-Identifier: Apache-2.0
"""The state directory: one directory per container below `--root`, every file of it reached by descriptor.

    ROOT/               0700, ours
        ID/             0700; mkdir of it is the lock of create
            lock        the marker that pyrunc made the directory; flock of it guards every later change
            journal     what was made outside, each line written before the thing is made (journal.py)
            state.json  the record (record.py), renamed into place
            config.json the configuration as created
            exec.fifo   there until start

Nothing here is synced to the disk: what a record describes does not survive a reboot, and its boot id says so.
"""

import fcntl
import posix
import time

from pyrunc.errors import ExistsError, NotFoundError, StateError
from pyrunc.linux.errnos import reason
from pyrunc.state.ids import is_valid, validate_id

STATE = "state.json"
CONFIG = "config.json"
FIFO = "exec.fifo"
RESULT = "exec.result"
"""The fifo on which init tells `start` why the user's program could not be executed; its end is success."""
LOCK = "lock"
JOURNAL = "journal"

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC
_ENTRY = _DIRECTORY | posix.O_NOFOLLOW
_FILE = posix.O_NOFOLLOW | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY
_TYPE, _FOLDER, _REGULAR, _LINK = 0o170000, 0o040000, 0o100000, 0o120000  # inode(7)
_CAP = 64 << 20
_PAUSE = 0.001  # seconds between two tries of a lock with a deadline; doubled up to 50 ms


class Entry:
    """The directory of one container. path is for messages; fd is its descriptor; locked: this call has its lock."""

    __slots__ = ("_lock", "_root", "fd", "id", "path")

    def __init__(self, root: int, fd: int, path: str, container_id: str) -> None:
        self._root = root
        self._lock = -1
        self.fd = fd
        self.path = path
        self.id = container_id

    @property
    def locked(self) -> bool:
        return self._lock >= 0

    def lock(self, timeout: "float | None" = None) -> None:
        """Wait for the lock, at most `timeout` seconds. StateError when time is up, NotFoundError when it is gone."""
        if self.locked:
            return
        fd = self._marker()
        try:
            _flock(fd, timeout, self.id)
        except BaseException:
            posix.close(fd)
            raise
        if not posix.fstat(fd).st_nlink:
            posix.close(fd)
            raise _missing(self.id)
        self._lock = fd

    def _marker(self) -> int:
        """The lock, made only in an empty directory: one with other files and without it is not of pyrunc's making."""
        for _ in range(2):
            try:
                return posix.open(LOCK, posix.O_RDWR | _FILE, dir_fd=self.fd)
            except FileNotFoundError:
                names = posix.listdir(self.fd)
                if not names:
                    return self._open(LOCK, posix.O_RDWR | posix.O_CREAT)
                if LOCK not in names:
                    raise StateError(f"{self.path}: not a directory of pyrunc: it has no file {LOCK}") from None
            except OSError as error:
                raise self._failed(LOCK, error) from error
        raise _missing(self.id)

    def unlock(self) -> None:
        if self.locked:
            posix.close(self._lock)
            self._lock = -1

    def busy(self) -> bool:
        """Whether another process holds the lock now."""
        if self.locked:
            return False
        try:
            fd = posix.open(LOCK, posix.O_RDONLY | _FILE, dir_fd=self.fd)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            posix.close(fd)
        return False

    def write(self, name: str, data: bytes) -> None:
        """Put `data` in place of the file as a whole: a reader sees the old file or the new one. Mode 0600."""
        fresh = f"{name}.new"
        fd = self._open(fresh, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[posix.write(fd, rest) :]
            posix.rename(fresh, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except OSError as error:
            raise self._failed(name, error) from error
        finally:
            posix.close(fd)

    def read(self, name: str, cap: int = _CAP) -> bytes:
        """The file, at most `cap` bytes. FileNotFoundError when absent; StateError for anything but a regular file."""
        try:
            fd = posix.open(name, posix.O_RDONLY | _FILE, dir_fd=self.fd)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._failed(name, error) from error
        try:
            facts = posix.fstat(fd)
            if facts.st_mode & _TYPE != _REGULAR:
                raise StateError(f"{self.path}/{name}: not a regular file")
            if facts.st_size > cap:
                raise StateError(f"{self.path}/{name}: larger than {cap} bytes")
            return _read(fd, facts.st_size)
        finally:
            posix.close(fd)

    def append(self, name: str, data: bytes) -> None:
        """Add `data` at the end in one write; the file is made when absent."""
        fd = self._open(name, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND)
        try:
            if posix.write(fd, data) != len(data):
                raise StateError(f"{self.path}/{name}: ENOSPC")
        except OSError as error:
            raise self._failed(name, error) from error
        finally:
            posix.close(fd)

    def exists(self, name: str) -> bool:
        try:
            posix.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def discard(self, name: str) -> None:
        """Remove one file; absent is well."""
        try:
            posix.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._failed(name, error) from error

    def make_fifo(self, name: str = FIFO, owner: "tuple[int, int] | None" = None) -> None:
        """A fifo of mode 0600; it is given to `owner` (uid, gid on the host) when another user is to open it."""
        try:
            posix.mkfifo(name, 0o600, dir_fd=self.fd)
            if owner is not None:
                posix.chown(name, *owner, dir_fd=self.fd, follow_symlinks=False)
        except OSError as error:
            raise self._failed(name, error) from error

    def remove(self) -> None:
        """Remove the directory and all that pyrunc puts into one, the lock last; the entry is closed then.

        StateError, with nothing removed, when something in it is not ours to remove (remove.py).
        """
        from pyrunc.state.remove import remove

        remove(self, self._root)
        self.close()

    def close(self) -> None:
        """Give back the lock and the descriptors."""
        self.unlock()
        for fd in (self.fd, self._root):
            if fd >= 0:
                posix.close(fd)
        self.fd = self._root = -1

    def _open(self, name: str, flags: int) -> int:
        try:
            return posix.open(name, flags | _FILE, 0o600, dir_fd=self.fd)
        except FileNotFoundError as error:
            raise _missing(self.id) from error
        except OSError as error:
            raise self._failed(name, error) from error

    def _failed(self, name: str, error: OSError) -> StateError:
        return StateError(f"{self.path}/{name}: {reason(error.errno)}")


def claim(root: str, container_id: str) -> Entry:
    """Make the directory of a new container and take its lock. ExistsError when there is one, whole or half-made."""
    validate_id(container_id)
    _check_root(root)
    _make_root(root)
    root_fd = _open_root(root)
    try:
        posix.mkdir(container_id, 0o700, dir_fd=root_fd)
    except FileExistsError as error:
        posix.close(root_fd)
        raise ExistsError(f"container with given ID already exists: {container_id}") from error
    except OSError as error:
        posix.close(root_fd)
        raise StateError(f"{root}/{container_id}: {reason(error.errno)}") from error
    entry = _enter(root, root_fd, container_id)
    entry.lock()
    return entry


def open_entry(root: str, container_id: str) -> Entry:
    """The directory of a container, not locked; it may be half-made. NotFoundError when there is none."""
    validate_id(container_id)
    return _enter(root, _open_root(root, container_id), container_id)


def entries(root: str) -> list[str]:
    """The ids of all containers, sorted; [] without a root. What is no directory or cannot be an id is not ours."""
    try:
        fd = _open_root(root)
    except NotFoundError:
        return []
    try:
        return sorted(name for name in posix.listdir(fd) if is_valid(name) and _is_directory(fd, name))
    finally:
        posix.close(fd)


def _enter(root: str, root_fd: int, container_id: str) -> Entry:
    path = f"{root}/{container_id}"
    fd = -1
    try:
        fd = posix.open(container_id, _ENTRY, dir_fd=root_fd)
        _check_owner(fd, path)
    except BaseException as error:
        posix.close(root_fd)
        if fd >= 0:
            posix.close(fd)
        if isinstance(error, FileNotFoundError):
            raise _missing(container_id) from error
        if isinstance(error, OSError):
            raise StateError(f"{path}: {reason(error.errno)}") from error
        raise
    return Entry(root_fd, fd, path, container_id)


def _missing(container_id: str) -> NotFoundError:
    return NotFoundError(f"container does not exist: {container_id}")


def _check_root(root: str) -> None:
    if not root.startswith("/") or not root.strip("/"):
        raise StateError(f'"{root}" cannot be the root of the state: it must be absolute, and not /')


def _make_root(root: str) -> None:
    """Make the root and its parents, an absolute path; each new directory has mode 0700."""
    try:
        posix.mkdir(root, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_root(root.rstrip("/").rpartition("/")[0])
        _make_root(root)
    except OSError as error:
        raise _closed(root, error) from error


def _open_root(root: str, container_id: str = "") -> int:
    _check_root(root)
    try:
        _check_link(root)
        fd = posix.open(root, _DIRECTORY)
    except FileNotFoundError as error:
        raise _missing(container_id) from error
    except OSError as error:
        raise _closed(root, error) from error
    try:
        _check_owner(fd, root)
    except StateError:
        posix.close(fd)
        raise
    return fd


def _closed(root: str, error: OSError) -> StateError:
    ordinary = isinstance(error, PermissionError) and posix.geteuid() != 0
    hint = ": an ordinary user's is below XDG_RUNTIME_DIR, or where --root says" if ordinary else ""
    return StateError(f"{root}: {reason(error.errno)}{hint}")


def _check_link(root: str) -> None:
    """A root that is a symlink leads where its owner wants: that must be this user, or root (symlink(7))."""
    facts = posix.stat(root, follow_symlinks=False)
    if facts.st_mode & _TYPE == _LINK and facts.st_uid not in (0, posix.geteuid()):
        raise StateError(f"{root}: a symlink of uid {facts.st_uid}")


def _check_owner(fd: int, path: str) -> None:
    """Whoever may write into the directory decides what is signalled and removed: that must be this user alone."""
    facts = posix.fstat(fd)
    if facts.st_uid != posix.geteuid():
        raise StateError(f"{path}: owned by uid {facts.st_uid}, not by uid {posix.geteuid()}")
    if facts.st_mode & 0o022:
        raise StateError(f"{path}: writable by others: mode {facts.st_mode & 0o7777:04o}")


def _flock(fd: int, timeout: "float | None", container_id: str) -> None:
    if timeout is None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return
    end = time.monotonic() + timeout
    pause = _PAUSE
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise StateError(f"container {container_id} is in use by another call for {timeout:g} s") from None
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _read(fd: int, size: int) -> bytes:
    data = posix.read(fd, size + 1)
    while more := posix.read(fd, 65536):
        data += more
        if len(data) > _CAP:
            raise StateError("a file of the state directory grows while it is read")
    return data


def _is_directory(fd: int, name: str) -> bool:
    try:
        return posix.stat(name, dir_fd=fd, follow_symlinks=False).st_mode & _TYPE == _FOLDER
    except FileNotFoundError:
        return False
