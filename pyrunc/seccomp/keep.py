# SPDX-License-Identifier: Apache-2.0
"""Writing to the cache of compiled filters (seccomp/cache.py), after a profile had to be compiled."""

import posix
import sys
from time import time_ns

from pyrunc.seccomp.cache import identity


def keep(folder: int, name: str, content: bytes, most: int) -> None:
    """Write a file into the directory `folder` in one step, and remove the oldest above `most`; failure is no error."""
    temporary = f".{posix.getpid()}-{time_ns()}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        fd = posix.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            whole = posix.write(fd, content) == len(content)
        finally:
            posix.close(fd)
        if whole:
            posix.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        else:
            posix.unlink(temporary, dir_fd=folder)
        _evict(folder, most)
    except OSError:
        return


def library() -> bytes:
    """The identity of the libseccomp that this process has loaded; b"", with which no file is taken, if not found.

    The one-file binary has it inside, so that its own identity is the library's.
    """
    if "_onefile" in sys.builtin_module_names:
        return identity("/proc/self/exe")
    with open("/proc/self/maps", "rb") as maps:
        for line in maps:
            place = line.find(b"/")
            if place >= 0 and b"/libseccomp.so" in line:
                return identity(line[place:].rstrip(b"\n").decode("utf-8", "surrogateescape"))
    return b""


def _evict(folder: int, most: int) -> None:
    names = posix.listdir(folder)
    if len(names) <= most:
        return
    ages = sorted((posix.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns, name) for name in names)
    for _, name in ages[: len(names) - most]:
        posix.unlink(name, dir_fd=folder)
