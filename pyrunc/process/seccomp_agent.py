# SPDX-License-Identifier: Apache-2.0
"""linux.seccomp.listenerPath: the listener of a filter with SCMP_ACT_NOTIFY goes to an agent, with the state of the
process that it is of: config-linux.md#the-container-process-state, seccomp_unotify(2), unix(7).
"""

import posix
from _struct import pack

from pyrunc import SPEC_VERSION
from pyrunc.errors import ConfigError
from pyrunc.linux.errnos import reason
from pyrunc.process.pidfd import pidfd_getfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

    from pyrunc.config.fields import Section

_NAME = "seccompFd"
_PATH_MAX = 107
"""Bytes of a socket's path: unix(7)."""


def hand_over(seccomp: "Section", state: bytes, pid: int, listener: int) -> None:
    """Send the listener to linux.seccomp.listenerPath, with the state of the container (JSON) and the pid it is for.

    One connection, one message of state, the descriptor with its first bytes. ConfigError when the agent is not there.
    """
    import _socket

    path = seccomp.text("listenerPath")
    data = _process_state(seccomp, state, pid)
    end = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        _connect(end, path)
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("@i", listener))]
        sent = end.sendmsg([data], rights)
        while sent < len(data):
            sent += end.send(data[sent:])
    except OSError as error:
        cause = f'cannot send the listener to "{path}": {reason(error.errno)}'
        raise seccomp.refuse("listenerPath", cause) from error
    finally:
        end.close()


def taken(seccomp: "Section", pidfd: int, fd: int, machine: str) -> int:
    """The listener of the process behind `pidfd`, as a descriptor of ours."""
    try:
        return pidfd_getfd(pidfd, fd, machine)
    except OSError as error:
        raise ConfigError(f"pidfd_getfd: {reason(error.errno)}", seccomp.pointer) from error


def _process_state(seccomp: "Section", state: bytes, pid: int) -> bytes:
    from pyrunc.config.dump import dump

    value: dict[str, object] = {"ociVersion": SPEC_VERSION, "fds": [_NAME], "pid": pid}
    metadata = seccomp.text("listenerMetadata", "")
    if metadata:
        value["metadata"] = metadata
    # The state comes as JSON, and is the last member
    return dump(value).encode("ascii")[:-1] + b',"state":' + state + b"}"


def _connect(end: "socket", path: str) -> None:
    """A path that is too long for the kernel is reached through a descriptor of its directory."""
    if len(path.encode("utf-8", "surrogateescape")) <= _PATH_MAX:
        end.connect(path)
        return
    folder, _, name = path.rpartition("/")
    fd = posix.open(folder or "/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        end.connect(f"/proc/self/fd/{fd}/{name}")
    finally:
        posix.close(fd)
