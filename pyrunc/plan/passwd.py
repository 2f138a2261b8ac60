# SPDX-License-Identifier: Apache-2.0
"""The passwd file of the container, opened for the runtime to find HOME in: a regular file, by openat2 within the root.

A fifo or a device under that name must neither block nor be read (CVE-2022-23648 and its kind): then HOME is "/".
"""

import errno
from posix import O_NOCTTY, O_NONBLOCK

from pyrunc.linux.uapi import AT_FDCWD, O_CLOEXEC
from pyrunc.plan.calls import openat2
from pyrunc.plan.program import Op, Program

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENXIO, errno.EXDEV)
_PATH = "/etc/passwd"


def open_database(program: Program, root: "Op | None") -> Op:
    """Its descriptor, or an errno in the register; `root` is None once the container's root is the process's."""
    flags = O_NONBLOCK | O_NOCTTY
    if root is None:
        return program.call("openat", AT_FDCWD, _PATH, flags | O_CLOEXEC, 0, to="passwd", accept=_ABSENT)
    return openat2(program, root, _PATH, flags, to="passwd", accept=_ABSENT)
