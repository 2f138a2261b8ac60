# SPDX-License-Identifier: Apache-2.0
"""process.oomScoreAdj: proc_pid_oom_score_adj(5), written by the parent stage to the host's procfs, and inherited."""

import errno
from posix import O_WRONLY

from pyrunc.config.fields import Section
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import AT_FDCWD, O_CLOEXEC
from pyrunc.plan.program import Program


def compile(process: Section, host: Host, program: Program) -> None:
    """Set the score; an ordinary user who asks for less than he has keeps what he has, as with runc."""
    origin = process.at("oomScoreAdj")
    text = str(process.integer("oomScoreAdj", -1000, 1000)).encode()
    fd = program.call("openat", AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0, origin=origin, to="oom")
    accept = (errno.EACCES, errno.EPERM) if host.rootless else ()
    program.call("write", fd, text, len(text), origin=origin, accept=accept)
    program.call("close", fd)
