# SPDX-License-Identifier: Apache-2.0
"""pidfd_getfd(2), which Python's posix lacks."""

import posix

from pyrunc.linux.syscalls import number


def pidfd_getfd(pidfd: int, fd: int, machine: str) -> int:
    """A descriptor of another process, as one of ours; OSError as it comes. It needs the right to trace the process."""
    import ctypes

    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    result: int = syscall(*map(ctypes.c_long, (number("pidfd_getfd", machine), pidfd, fd, 0)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, posix.strerror(code))
    return result
