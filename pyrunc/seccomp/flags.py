# SPDX-License-Identifier: Apache-2.0
"""Which flags of seccomp(2) the running kernel has. Cold: ctypes, for `features` alone."""

from pyrunc.linux.host import probe
from pyrunc.linux.seccomp_rows import FLAGS, SECCOMP_SET_MODE_FILTER
from pyrunc.linux.syscalls import number

_NEW_LISTENER = 8
_WAIT_KILLABLE_RECV = FLAGS["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]


def is_available(flag: int) -> bool:
    """As libseccomp finds out: without a filter the kernel says EFAULT for flags that it knows, and EINVAL for others.

    Nothing is ever loaded. WAIT_KILLABLE_RECV is about a listener, and unknown to the kernel without one.
    """
    import ctypes
    from errno import EFAULT

    if flag == _WAIT_KILLABLE_RECV:
        flag |= _NEW_LISTENER
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall(ctypes.c_long(number("seccomp", probe().machine)), SECCOMP_SET_MODE_FILTER, ctypes.c_uint(flag), None)
    return ctypes.get_errno() == EFAULT
