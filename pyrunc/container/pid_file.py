# SPDX-License-Identifier: Apache-2.0
"""Pid files as engines read them: the number alone, mode 0644, in place as a whole."""

import posix
from errno import ENOTDIR

from pyrunc.errors import HostError
from pyrunc.linux.errnos import reason


def write_pid_file(path: str, pid: int) -> None:
    """Write `pid` to a new file beside `path`, and rename it there: a symlink there is replaced, not followed.

    O_EXCL: a file that another user has put in the way would stay his, and a fifo would block.
    """
    folder, slash, name = path.rpartition("/")
    fresh = f"{folder}{slash}.{name}.{posix.getpid()}"
    try:
        try:
            posix.unlink(fresh)
        except FileNotFoundError:
            pass
        fd = posix.open(fresh, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o644)
        try:
            posix.fchmod(fd, 0o644)
            posix.write(fd, str(pid).encode())
        finally:
            posix.close(fd)
        posix.rename(fresh, path)
    except OSError as error:
        from pyrunc.process.look import blame

        found = blame(path) if error.errno == ENOTDIR else blame(folder, denied=True)
        why = f": {found}" if found else ""
        raise HostError(f'cannot write the pid file "{path}": {reason(error.errno)}{why}') from error
