# SPDX-License-Identifier: Apache-2.0
"""A call that stays with the container: signals go on to its process, its end is this call's end.

    signals ──▶ Caught ──▶ pidfd_send_signal       SIGWINCH ──▶ size of the pty
    pidfd readable ──▶ the rest of the output ──▶ exit status

As with runc, SIGTSTP and the like are the container's, and do not stop this call.
"""

import _signal
import posix
import select

from pyrunc.errors import HostError
from pyrunc.process.signals import Caught

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.process.console import Relay
    from pyrunc.process.notify import Notify

_OWN = frozenset((_signal.SIGCHLD, _signal.SIGURG, _signal.SIGWINCH))
_PR_SET_CHILD_SUBREAPER = 36


def supervise(pid: int, signals: Caught, relay: "Relay | None" = None, notify: "Notify | None" = None) -> int:
    """Stay with a child until it ends; its exit status, or 128 and the signal that ended it.

    `signals` was made before the child, so that none is lost; those that came meanwhile go to it first. Every other
    child that ends is reaped: as a subreaper this call inherits them. The caller closes `signals` and `relay`.
    """
    try:
        pidfd = posix.pidfd_open(pid)
    except ProcessLookupError as error:
        raise HostError(f"process {pid} of the container is gone, and was reaped by another") from error
    try:
        _wait(pid, pidfd, signals, relay, notify)
    finally:
        posix.close(pidfd)
    status = posix.waitpid(pid, 0)[1]
    if relay is not None:
        relay.finish(signals)
    return posix.WEXITSTATUS(status) if posix.WIFEXITED(status) else 128 + posix.WTERMSIG(status)


def become_subreaper() -> bool:
    """Inherit the orphans of all descendants (PR_SET_CHILD_SUBREAPER(2const)); False when it could not be done.

    Only a container without a pid namespace of its own has orphans that could come here.
    """
    try:
        # The C part of python-prctl: its Python part takes longer to import than the call is worth.
        __import__("_prctl").prctl(_PR_SET_CHILD_SUBREAPER, 1)
    except (ImportError, OSError):
        return False
    return True


def _wait(pid: int, pidfd: int, signals: Caught, relay: "Relay | None", notify: "Notify | None") -> None:
    """Until the process has ended; it is a zombie then."""
    while True:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(signals.fd, select.POLLIN)
        timeout = None
        if notify is not None and not notify.done:
            poll.register(notify.fd, select.POLLIN)
        if relay is not None:
            for fd, events in relay.interest().items():
                poll.register(fd, events)
            timeout = relay.timeout
        ready = {fd for fd, _ in poll.poll(None if timeout is None else timeout * 1000)}
        if signals.fd in ready:
            _forward(signals.take(), pid, pidfd, relay)
        if notify is not None and notify.fd in ready:
            ready.discard(notify.fd)
            _pass_on(notify, pid)
        if relay is not None:
            for fd in ready - {pidfd, signals.fd}:
                relay.handle(fd)
        if pidfd in ready:
            return


def _pass_on(notify: "Notify", pid: int) -> None:
    """A supervisor that is gone is no reason to leave the container, as with runc."""
    try:
        notify.handle(pid)
    except HostError:
        return


def _forward(numbers: bytes, pid: int, pidfd: int, relay: "Relay | None") -> None:
    for number in numbers:
        if number == _signal.SIGCHLD:
            _reap_others(pid)
        elif number == _signal.SIGWINCH and relay is not None:
            relay.resize()
        if number == _signal.SIGCONT and relay is not None:
            relay.resume()
        if number not in _OWN:
            try:
                _signal.pidfd_send_signal(pidfd, number)
            except ProcessLookupError:
                return
            except PermissionError:
                continue


def _reap_others(pid: int) -> None:
    """Reap every zombie but `pid`, whose status is for the end. One SIGCHLD may stand for many."""
    while True:
        try:
            found = posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid == pid:
            return
        posix.waitpid(found.si_pid, posix.WNOHANG)
