# SPDX-License-Identifier: Apache-2.0
"""Signals as the runtime treats its own: caught for the container while it waits, and put back for what it starts."""

import _signal
import posix

DEFAULT = (*range(1, 9), *range(10, 19), *range(20, 32), *range(34, 65))
"""What a started program gets reset: all but SIGKILL, SIGSTOP and the two that the C library keeps to itself."""

ENDING = frozenset((_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM))
"""Those that ask a program to end."""

_KEPT = frozenset(
    (
        # A fault of our own: a handler would return to the instruction that faulted, for ever.
        _signal.SIGSEGV,
        _signal.SIGBUS,
        _signal.SIGFPE,
        _signal.SIGILL,
        # A write to a closed pipe is an error of that write.
        _signal.SIGPIPE,
        # The terminal stops a background job that reads: a handler would make read(2) try again, for ever.
        _signal.SIGTTIN,
        _signal.SIGTTOU,
    )
)


class Caught:
    """All signals that can be forwarded, caught from the moment of construction; poll `fd`, then take() them.

    The C handler writes each signal's number into a pipe: none is lost between a test and a wait, whenever it comes. A
    signal that the caller had ignored (nohup) stays ignored. close() puts everything back.
    """

    __slots__ = ("_before", "_end", "fd")

    def __init__(self) -> None:
        self.fd, self._end = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        self._before: list[tuple[int, object]] = []
        _signal.set_wakeup_fd(self._end, warn_on_full_buffer=False)
        for number in DEFAULT:
            if number in _KEPT:
                continue
            before = _signal.getsignal(number)
            if before != _signal.SIG_IGN or number == _signal.SIGCHLD:
                self._before.append((number, before))
                _signal.signal(number, _wake)

    def take(self) -> bytes:
        """The numbers of the signals that came since, oldest first; a byte each."""
        try:
            return posix.read(self.fd, 65536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        if self._end < 0:
            return
        for number, before in self._before:
            _signal.signal(number, before if before is not None else _signal.SIG_DFL)
        _signal.set_wakeup_fd(-1)
        posix.close(self.fd)
        posix.close(self._end)
        self._end = -1


def _wake(number: int, frame: object) -> None:
    """Nothing: the byte in the pipe is what counts."""


def undo_when_ended() -> None:
    """SIGTERM and SIGHUP end the call as SIGINT does: what it has made is undone, and nothing interrupts that.

    An ignored one stays ignored, as nohup(1) and a shell's background jobs want it. KeyboardInterrupt(number).
    """
    ends = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)

    def stop(number: int, _: object) -> None:
        for other in ends:
            _signal.signal(other, _signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    for number in ends:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, stop)
