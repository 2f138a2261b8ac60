# SPDX-License-Identifier: Apache-2.0
"""The passwd file of the container, opened for the runtime to find HOME in: a regular file, by openat2 within the root.

A fifo or a device under that name must not even be opened (CVE-2022-23648 and its kind): O_PATH, and the runtime looks
at its type before it reads. Else HOME is "/".
"""

import errno

from pyrunc.linux.uapi import AT_FDCWD
from pyrunc.plan.calls import openat2
from pyrunc.plan.program import Op, Program

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENXIO, errno.EXDEV)
_PATH = "/etc/passwd"


def open_database(program: Program, root: "Op | None") -> Op:
    """Its descriptor, or an errno in the register; `root` is None once the container's root is the process's."""
    if root is None:
        return openat2(program, AT_FDCWD, _PATH, resolve=0, to="passwd", accept=_ABSENT)
    return openat2(program, root, _PATH, to="passwd", accept=_ABSENT)
