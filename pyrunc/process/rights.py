# SPDX-License-Identifier: Apache-2.0
"""Descriptors of the helper that the runtime looks at: a passwd file, the directories of tmpcopyup.

Root finds them in /proc/PID/fd. An ordinary user would find them there only if the helper were dumpable, and then so
would a process with CAP_SYS_PTRACE in a namespace that the helper has joined (CVE-2016-9962): he has them sent, by
SCM_RIGHTS (unix(7)) over the program's input "rights".
"""

import posix

from pyrunc.errors import HostError

_ROOM = 64


class Rights:
    """`theirs`: the helper's end, -1 where the program sends nothing."""

    __slots__ = ("_ours", "_taken", "theirs")

    def __init__(self, *, sends: bool) -> None:
        self._ours = self.theirs = -1
        self._taken: list[int] = []
        if sends:
            import _socket

            ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
            self._ours, self.theirs = ours.detach(), theirs.detach()

    def paths(self, pid: int, *numbers: int) -> list[str]:
        """Where these descriptors of the helper can be opened; those that it has sent are open until `close`."""
        if self._ours < 0:
            return [f"/proc/{pid}/fd/{number}" for number in numbers]
        received = _receive(self._ours)
        self._taken += received
        if len(received) != len(numbers):
            raise HostError(f"pyrunc-init sent {len(received)} descriptors, not {len(numbers)}")
        return [f"/proc/self/fd/{fd}" for fd in received]

    def received(self) -> list[int]:
        """The descriptors that the helper has sent, open until `close`; [] where the program sends nothing."""
        fds = _receive(self._ours) if self._ours >= 0 else []
        self._taken += fds
        return fds

    def close(self) -> None:
        for fd in (self._ours, self.theirs, *self._taken):
            if fd >= 0:
                posix.close(fd)
        self._ours = self.theirs = -1
        self._taken = []


def _receive(connection: int) -> list[int]:
    """The descriptors of the next message, which is there by now."""
    import _socket
    import _struct

    end = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, connection)
    try:
        flags = _socket.MSG_CMSG_CLOEXEC | _socket.MSG_DONTWAIT
        _, messages, _, _ = end.recvmsg(_ROOM, _socket.CMSG_SPACE(_ROOM), flags)
    except BlockingIOError:
        return []
    finally:
        end.detach()
    return [fd for _, _, data in messages for (fd,) in _struct.iter_unpack("@i", data[: len(data) // 4 * 4])]
