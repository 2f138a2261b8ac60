# SPDX-License-Identifier: Apache-2.0
"""stdin, stdout and stderr: the user of the process must be able to open /dev/stdout again, and a /dev/null among them
is the container's own.
"""

import errno
from posix import O_RDWR, makedev

from pyrunc.config.fields import Section
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT
from pyrunc.plan.calls import openat2
from pyrunc.plan.program import Op, Program

_TTY_MAJORS = (4, 5, *range(128, 144))
"""Consoles, and both kinds of pseudo-terminals (Documentation/admin-guide/devices.txt)."""
_ACCEPT = (errno.EPERM, errno.EINVAL, errno.EROFS, errno.ENOSYS)
_KEEP = 2**32 - 1
_NULL = makedev(1, 3)


def compile(process: Section, host: Host, program: Program) -> None:
    """Give the descriptors to process.user.uid; never a device but a terminal: the host's /dev/null stays root's.

    A pipe gets the group, too, as with crun: it has no other meaning. A file's may be a share's, a terminal's is tty.
    """
    uid = _id(process, "uid")
    for fd, facts in enumerate(host.stdio):
        if facts is None:
            continue
        mode, rdev, owner = facts
        kind = mode & S_IFMT
        if owner == uid or kind == S_IFBLK or (kind == S_IFCHR and rdev >> 8 & 0xFFF not in _TTY_MAJORS):
            continue
        gid = _id(process, "gid") if kind == S_IFIFO else _KEEP
        program.call("fchown", fd, uid, gid, origin="/process/user/uid", accept=_ACCEPT)


def reopen_null(host: Host, program: Program, root: Op) -> None:
    """Put the container's /dev/null, as runc does, where the caller gave that of the host: no file of the host's mounts
    stays open, which CRIU could not save. A container that may not open its own keeps what it was given.
    """
    given = [fd for fd, facts in enumerate(host.stdio) if facts and facts[0] & S_IFMT == S_IFCHR and facts[1] == _NULL]
    if not given:
        return
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS
    accept = (errno.EACCES, errno.EPERM)
    null = openat2(program, root, "dev/null", O_RDWR, resolve, origin="/linux/devices", to="null", accept=accept)
    program.check(null, S_IFCHR, _NULL, origin="/linux/devices")
    for fd in given:
        program.call("dup3", null, fd, 0, origin="/linux/devices")
    program.call("close", null)
    program.here_on_error(null)


def own_terminal(process: Section, program: Program, slave: Op) -> None:
    """The terminal of the container belongs to its user."""
    uid = _id(process, "uid")
    if uid:
        program.call("fchown", slave, uid, _KEEP, origin="/process/user/uid", accept=_ACCEPT)


def _id(process: Section, key: str) -> int:
    user = process.section("user")
    return user.integer(key, 0, 2**32 - 2, 0) if user is not None else 0
