# SPDX-License-Identifier: Apache-2.0
"""A procfs of our own, mounted nowhere, so that nothing can lie over a file in it (CVE-2019-16884, CVE-2025-52881)."""

import errno

from pyrunc.linux.uapi import (
    AT_FDCWD,
    FSCONFIG_CMD_CREATE,
    FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
    PROC_SUPER_MAGIC,
)
from pyrunc.plan.program import Op, Program

_FLAGS = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC


def open_private(program: Program, origin: str) -> Op:
    """Its descriptor. Where procfs may not be mounted (EPERM: in a nested container, or for a pid namespace that the
    user namespace does not own): /proc without what lies over it.
    """
    context = program.call("fsopen", "proc", FSOPEN_CLOEXEC, origin=origin, to="context")
    denied = (errno.EPERM,)
    made = program.call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0, origin=origin, accept=denied)
    proc = program.call("fsmount", context, FSMOUNT_CLOEXEC, _FLAGS, origin=origin, to="proc", accept=denied)
    done = program.jump()
    program.here_on_error(made)
    program.here_on_error(proc)
    copy = program.call("open_tree", AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC, origin=origin, to="proc")
    copy.register = proc.register
    program.here_on_success(done)
    program.check_fs(proc, PROC_SUPER_MAGIC, origin=origin)
    program.call("close", context)
    return proc
