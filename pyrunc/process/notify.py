# SPDX-License-Identifier: Apache-2.0
"""NOTIFY_SOCKET: the container tells the runtime's supervisor that it is ready (sd_notify(3)), as with runc.

    container ──▶ /run/notify/notify.sock (bound from the state directory) ──▶ this call ──▶ NOTIFY_SOCKET of the caller

Only READY=1 goes on, with MAINPID: the rest of what a container says is not the supervisor's to obey.
"""

import posix
import select

from pyrunc.errors import HostError
from pyrunc.linux.errnos import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

    from pyrunc.config.fields import Config

FOLDER = "notify"
INSIDE = "/run/notify"
"""Where the container finds that folder."""
_NAME = "notify.sock"
_MESSAGE_MAX = 4096


def wanted() -> bytes:
    """The caller's NOTIFY_SOCKET; b"" without one."""
    return posix.environ.get(b"NOTIFY_SOCKET", b"")


def add_mount(config: "Config", folder: str) -> None:
    """Show the container a socket of its own: a bind of `folder`, and NOTIFY_SOCKET in its environment."""
    process = config.section("process")
    if process is None:
        return
    mount = {
        "destination": INSIDE,
        "type": "bind",
        "source": folder,
        "options": ["bind", "rprivate", "nosuid", "noexec", "nodev", "ro"],
    }
    config.data["mounts"] = [*config.array("mounts"), mount]
    process.data["env"] = [*process.texts("env"), f"NOTIFY_SOCKET={INSIDE}/{_NAME}"]


def make_folder(directory: int) -> None:
    """The directory of the socket, in the state directory; any user of the container may look into it."""
    posix.mkdir(FOLDER, 0o755, dir_fd=directory)
    posix.chmod(FOLDER, 0o755, dir_fd=directory)


class Notify:
    """The socket that the container writes to. fd: to be polled; done: the container has said that it is ready."""

    __slots__ = ("_socket", "_supervisor", "done", "fd")

    def __init__(self, directory: int, supervisor: bytes) -> None:
        import _socket

        self._supervisor = b"\0" + supervisor[1:] if supervisor[:1] == b"@" else supervisor
        self._socket: socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        self.fd = self._socket.fileno()
        self.done = False
        folder = posix.open(
            FOLDER, posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC, dir_fd=directory
        )
        try:
            # The path of the state directory may be longer than the 107 bytes of unix(7).
            path = f"/proc/self/fd/{folder}/{_NAME}"
            self._socket.bind(path)
            posix.chmod(path, 0o777)
        except OSError as error:
            raise HostError(f"cannot make the notify socket: {reason(error.errno)}") from error
        finally:
            posix.close(folder)

    def handle(self, pid: int) -> None:
        """Take one message, and pass it on if it says READY=1."""
        lines = self._socket.recv(_MESSAGE_MAX).split(b"\n")
        if b"READY=1" in lines:
            self.done = True
            try:
                self._socket.sendto(b"READY=1\nMAINPID=%d\n" % pid, self._supervisor)
            except OSError as error:
                shown = self._supervisor.decode("utf-8", "backslashreplace")
                raise HostError(f"cannot pass READY=1 on to {shown}: {reason(error.errno)}") from error

    def wait(self, pid: int, pidfd: int) -> None:
        """Until the container is ready, or has ended and all that it said is heard; pidfd -1: it has ended before."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        if pidfd >= 0:
            poll.register(pidfd, select.POLLIN)
        while not self.done:
            ready = {fd for fd, _ in poll.poll(None if pidfd >= 0 else 0)}
            if self.fd in ready:
                self.handle(pid)
            elif pidfd < 0:
                return
            else:
                # poll(2) asks one after the other: the last word may have come between the two
                pidfd = -1

    def close(self) -> None:
        self._socket.close()
