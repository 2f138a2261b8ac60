# SPDX-License-Identifier: Apache-2.0
"""A conversation with `criu swrk FD`: a request goes out, notifications come in and are answered, a response ends it.

    pyrunc ── request ──▶ criu          a socketpair of SOCK_SEQPACKET: a message is a packet
           ◀── notify ───               with a descriptor beside it for "orphan-pts-master"
           ─── done ────▶
           ◀── response ─

A criu that dumps is never killed: it must take its parasite code out of the processes before it ends.
"""

import posix
from errno import EINTR

from pyrunc.criu import messages
from pyrunc.errors import CriuError, HostError
from pyrunc.linux.errnos import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.criu.messages import Message

    Notice = Callable[[str, int, list[int]], None]
    """(name of the notification, pid or 0, descriptors): what is to be done before criu goes on."""

OLDEST = 31600
"""CRIU 3.16, the first with all of the options that are used here, as major * 10000 + minor * 100 + sublevel."""

_PLACES = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKET_MAX = 1 << 16
_X_OK, _SIGKILL = 1, 9
_END = 3
_ENDED = "criu ended without an answer"


def find() -> str:
    """The path of the program criu, in PATH or where systems have it. HostError when there is none."""
    places = posix.environ.get(b"PATH", b"") + b":" + _PLACES
    for folder in places.split(b":"):
        path = folder + b"/criu"
        # Not in the working directory, whatever an empty part of PATH means
        if folder[:1] == b"/" and posix.access(path, _X_OK):
            return path.decode("utf-8", "surrogateescape")
    raise HostError(
        "the program criu is not installed (it is in no directory of PATH), and checkpoint and restore need it: "
        "it is in the package criu of most distributions"
    )


def environment() -> dict[str, str]:
    """The caller's, with a PATH: criu runs tar, ip and iptables."""
    found = {
        name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for name, value in posix.environ.items()
    }
    found.setdefault("PATH", _PLACES.decode())
    return found


def pair() -> tuple[int, int]:
    """Our end and criu's."""
    import _socket

    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    return ours.detach(), theirs.detach()


def start(criu: str) -> "Session":
    """Start criu in a process group of its own (a ^C is for us to answer), with /dev/null as 0, 1 and 2."""
    ours, theirs = pair()
    null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    actions = [(posix.POSIX_SPAWN_DUP2, null, fd) for fd in range(3)] + [(posix.POSIX_SPAWN_DUP2, theirs, _END)]
    try:
        pid = posix.posix_spawn(
            criu, ["criu", "swrk", str(_END)], environment(), file_actions=actions, setpgroup=0, setsigmask=()
        )
    except OSError as error:
        posix.close(ours)
        raise HostError(f"{criu} cannot be run: {reason(error.errno)}") from error
    finally:
        posix.close(theirs)
        posix.close(null)
    return Session(pid, ours)


class Session:
    """criu at the other end of a socket. pid: criu's; 0 once it is reaped."""

    __slots__ = ("_socket", "pid")

    def __init__(self, pid: int, ours: int) -> None:
        import _socket

        self.pid = pid
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, ours)

    def ask(self, request: "Message", notice: "Notice | None" = None) -> "Message":
        """Send a request and serve notifications until the response comes, which is given back whether it tells of
        success or not. CriuError when criu ends without one.
        """
        self._send(request)
        while True:
            answer, descriptors = self._receive()
            try:
                if answer.get("type") != messages.NOTIFY:
                    return answer
                told = answer.get("notify")
                if notice is not None and type(told) is dict and answer.get("success"):
                    notice(str(told.get("script", "")), int(told.get("pid", 0)), descriptors)
            finally:
                for fd in descriptors:
                    posix.close(fd)
            self._send({"type": messages.NOTIFY, "notify_success": True})

    def _send(self, message: "Message") -> None:
        try:
            self._socket.send(messages.encode(message, messages.REQUEST))
        except OSError as error:
            raise CriuError(_ENDED) from error

    def _receive(self) -> "tuple[Message, list[int]]":
        import _socket
        import _struct

        space = _socket.CMSG_SPACE(16)
        try:
            data, rights, flags, _ = self._socket.recvmsg(_PACKET_MAX, space, _socket.MSG_CMSG_CLOEXEC)
        except OSError as error:
            raise CriuError(_ENDED) from error
        descriptors = [fd for _, _, raw in rights for (fd,) in _struct.iter_unpack("@i", raw[: len(raw) // 4 * 4])]
        try:
            if not data:
                raise CriuError(_ENDED)
            if flags & _socket.MSG_TRUNC:
                raise CriuError(f"criu answered with more than {_PACKET_MAX} bytes")
            return messages.decode(data, messages.RESPONSE), descriptors
        except BaseException:
            for fd in descriptors:
                posix.close(fd)
            raise

    def close(self, *, kill: bool = False) -> int:
        """Hang up, and wait until criu has ended; its wait status, 0 when it was reaped before."""
        self._socket.close()
        if kill and self.pid:
            import _signal

            pidfd = posix.pidfd_open(self.pid)  # not reaped yet, so the number is still criu's
            try:
                _signal.pidfd_send_signal(pidfd, _SIGKILL)
            finally:
                posix.close(pidfd)
        status = 0
        while self.pid:
            try:
                status = posix.waitpid(self.pid, 0)[1]
            except ChildProcessError:
                pass
            except OSError as error:
                if error.errno == EINTR:
                    continue
                raise
            self.pid = 0
        return status


def simple(criu: str, kind: int, **fields: object) -> "Message":
    """The response to a request that has no notifications."""
    session = start(criu)
    try:
        return session.ask({"type": kind, **fields})
    finally:
        session.close()


def version(criu: str) -> int:
    """CRIU's version as OLDEST has it. HostError for one that is too old to be asked, or to be of use."""
    try:
        found = simple(criu, messages.VERSION).get("version")
    except CriuError as error:
        raise HostError(f"{criu}: it does not tell its version: {error}") from error
    if type(found) is not dict:
        raise HostError(f"{criu}: it does not tell its version; CRIU 3.16 or newer is needed")
    number = int(found["major"]) * 10000 + int(found["minor"]) * 100 + int(found.get("sublevel", 0))
    if number < OLDEST:
        raise HostError(f"{criu}: CRIU {found['major']}.{found['minor']} is too old, 3.16 or newer is needed")
    return number


def require(criu: str, feature: str, flag: str, lack: str) -> None:
    """Refuse `flag` where criu, or the kernel, lacks a feature of criu_features: HostError with `lack`."""
    found = simple(criu, messages.FEATURE_CHECK, features={feature: True}).get("features")
    if type(found) is not dict or not found.get(feature):
        raise HostError(f"{flag}: {lack}")


def failure(what: int, response: "Message", said: str) -> CriuError:
    """The error of a response without success; `said`: what the log tells (log.summary)."""
    number = response.get("cr_errno")
    text = str(response.get("cr_errmsg") or "").strip()
    code = f": {reason(number)}" if type(number) is int and number > 0 and not said and not text else ""
    told = f": {text}" if text and not said else ""
    return CriuError(f"criu {messages.NAMES.get(what, 'request')} failed{told}{code}{said}")
