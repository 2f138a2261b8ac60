# SPDX-License-Identifier: Apache-2.0
"""The runtime's end of the protocol with pyrunc-init: reports come in, a zero byte lets it go on.

init/program.h has the picture.
"""

import posix
from _struct import unpack_from

from pyrunc.errors import HostError
from pyrunc.plan.ops import REPORT, REPORT_SIZE

_NAME = b"pyrunc:init"
_PF_EXITING = 4


class Report:
    """kind: ops.REPORT_…; index: of the instruction; value: pid, point, errno or wait status; detail: what the kernel
    or a hook said.
    """

    __slots__ = ("detail", "index", "kind", "value")

    def __init__(self, kind: int, index: int, value: int, detail: bytes) -> None:
        self.kind = kind
        self.index = index
        self.value = value
        self.detail = detail


class Helper:
    """A running helper: its pid, and the pipes of the protocol."""

    __slots__ = ("_answers", "_pending", "_reports", "pid")

    def __init__(self, pid: int, reports: int, answers: int) -> None:
        self.pid = pid
        self._reports = reports
        self._answers = answers
        self._pending = b""

    def report(self) -> "Report | None":
        """The next report; None when every stage of the helper is gone, or has executed the user's command."""
        return read_report(self._reports)

    def answer(self) -> None:
        """Let the helper go on from a sync point."""
        try:
            posix.write(self._answers, b"\0" + self._pending)
        except BrokenPipeError as error:
            raise HostError("pyrunc-init ended while it was being set up") from error

    def say(self, data: bytes) -> None:
        """Data that the program reads by itself, after the next answer; shorter than PIPE_BUF."""
        self._pending = data

    def reap(self) -> int:
        """Wait for the parent stage, which leaves as soon as it has reported; its wait status."""
        return posix.waitpid(self.pid, 0)[1]

    def close(self) -> None:
        """End the protocol: a helper that waits for an answer leaves."""
        if self._reports >= 0:
            posix.close(self._reports)
            posix.close(self._answers)
            self._reports = self._answers = -1


def died_as_helper(pid: int) -> bool:
    """Whether a process that was to execute its program ended without: it has the helper's name (proc_pid_stat(5)).

    The kernel closes the descriptor on which it is waited for before it changes the name, so that a process that lives
    on was executed; one that ends has PF_EXITING in its flags.
    """
    try:
        fd = posix.open(f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        name, _, rest = posix.read(fd, 1024).partition(b" (")[2].rpartition(b") ")
    except OSError:
        return False
    finally:
        posix.close(fd)
    return name == _NAME and bool(int(rest.split()[6]) & _PF_EXITING)


def read_report(fd: int) -> "Report | None":
    """One report from a pipe or a fifo; None at its end. The sender writes a report whole (shorter than PIPE_BUF)."""
    raw = posix.read(fd, REPORT_SIZE)
    if len(raw) < REPORT_SIZE:
        return None
    kind, _, length, index, value = unpack_from(REPORT, raw)
    return Report(kind, index, value, posix.read(fd, length) if length else b"")
