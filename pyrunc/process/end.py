# SPDX-License-Identifier: Apache-2.0
"""The end of a process that is to leave nothing behind: after an error, so that it is loaded there only."""

import _signal
import posix
import select

from pyrunc.errors import HostError

SECONDS = 10


def end(pid: int, pidfd: int) -> None:
    """Kill it, wait until it is gone, and reap it if it is a child of ours. HostError when it is there after 10 s."""
    try:
        _signal.pidfd_send_signal(pidfd, 9)
    except ProcessLookupError:
        pass
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(SECONDS * 1000):
        raise HostError(f"process {pid} of the container does not end, though it was killed")
    try:
        posix.waitpid(pid, 0)
    except ChildProcessError:
        pass
