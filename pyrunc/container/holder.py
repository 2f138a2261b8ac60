# SPDX-License-Identifier: Apache-2.0
"""The process that a scope of systemd begins with, and that keeps it until the container's first process is in it.

It is pyrunc-init on a program that only waits: with the runtime it ends too, and the scope with it.
"""

import posix

from pyrunc.errors import HostError
from pyrunc.linux.uapi import PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_PDEATHSIG
from pyrunc.plan import ops
from pyrunc.plan.program import Program
from pyrunc.process.spawn import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.launch import Draft

_SIGKILL = 9


class Holder:
    """pid: of a process that waits until end()."""

    __slots__ = ("_helper", "pid")

    def __init__(self, machine: str) -> None:
        program = Program(machine)
        program.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        program.call("close_range", program.input("first free"), 0xFFFFFFFF, 0)
        program.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
        program.call("prctl", PR_SET_NAME, "pyrunc:hold", 0, 0, 0)
        program.sync(ops.READY, "ready")
        self._helper = spawn(program, {}, 0)
        self.pid = self._helper.pid
        report = self._helper.report()
        if report is None or report.kind in (ops.REPORT_ERROR, ops.REPORT_HOOK):
            self.end()
            raise HostError("a process to hold the unit of systemd did not start")

    def end(self) -> None:
        """It leaves when nobody can answer it; what killed it before does not matter."""
        self._helper.close()
        posix.waitpid(self.pid, 0)


def release(draft: "Draft", pid: int) -> None:
    """Put `pid` into the scope, where it could not enter by itself, and end the holder."""
    holder, draft.holder = draft.holder, None
    if holder is None:
        return
    try:
        draft.cgroup.attach(pid)
    finally:
        holder.end()
    draft.cgroup.settle()
