# SPDX-License-Identifier: Apache-2.0
"""Consoles: the socket that the master of the container's pty travels through, and the relay of a foreground `run -t`.

    caller's terminal, raw ◀──▶ Relay ◀── master │ slave ──▶ the container's 0, 1, 2

The caller's terminal is made as raw as cfmakeraw(3) has it, output included: what a full-screen program writes arrives
unchanged, and the container's pty alone turns newlines.
"""

import fcntl
import posix
import select
import termios
import time

from pyrunc.errors import HostError, SetupError
from pyrunc.linux.errnos import reason
from pyrunc.process.signals import ENDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from pyrunc.process.signals import Caught

_CHUNK = 32768
_HELD = 65536  # bytes kept for a side that does not take them, before the other side is not read any more
_LAST = 1 << 20  # bytes read after the process ended: a pty holds less
_PIPE_BUF = 4096
_AGAIN = 0.1  # seconds until a pty without an open slave is looked at again: a process may open /dev/console anew
_PATH_MAX = 107  # sun_path without its NUL (unix(7))
_NAME_MAX = 4096
_TYPE, _FIFO, _CHARACTER = 0o170000, 0o010000, 0o020000  # inode(7)
_PTMX = 0x502  # opening a master anew makes another pty
_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6  # places in the list of tcgetattr


def open_console_socket(path: str) -> int:
    """A connected stream socket to `--console-socket` or `--pidfd-socket`. HostError when nothing listens there.

    A path longer than an address can be is reached through a descriptor of its directory.
    """
    import _socket

    directory = -1
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        address = path
        if len(path.encode("utf-8", "surrogateescape")) > _PATH_MAX:
            folder, _, name = path.rpartition("/")
            directory = posix.open(folder or "/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
            address = f"/proc/self/fd/{directory}/{name}"
        connection.connect(address.encode("utf-8", "surrogateescape"))
    except OSError as error:
        connection.close()
        cause = reason(error.errno) if error.errno else str(error)
        raise HostError(f"cannot connect to the socket {path}: {cause}{_no_listener(path)}") from error
    finally:
        if directory >= 0:
            posix.close(directory)
    return connection.detach()


def _no_listener(path: str) -> str:
    """Why nobody can be reached through a path."""
    from pyrunc.process.look import blame, kind_of

    try:
        kind = kind_of(posix.stat(path).st_mode)
    except OSError:
        found = blame(path, denied=True)
        return f": {found}" if found else ""
    return ": nobody listens there" if kind == "socket" else f": it is a {kind}, no socket"


def socketpair() -> tuple[int, int]:
    """Two connected stream sockets: ours, and the one that the program sends the master through."""
    import _socket

    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    return ours.detach(), theirs.detach()


def send_descriptor(connection: int, name: str, fd: int) -> None:
    """Send a descriptor in one message with `name` (1 to 4095 bytes), as containerd and conmon take it."""
    import _socket
    import _struct

    end = _adopt(connection)
    try:
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _struct.pack("@i", fd))
        end.sendmsg([name.encode("utf-8", "surrogateescape")], [rights])
    except OSError as error:
        raise HostError(f"cannot send {name}: {reason(error.errno)}") from error
    finally:
        end.detach()


def send_pidfd(path: str, pidfd: int) -> None:
    """Give the pidfd of a container's process to who listens on `--pidfd-socket`."""
    connection = open_console_socket(path)
    try:
        send_descriptor(connection, "pidfd", pidfd)
    finally:
        posix.close(connection)


def receive_master(connection: int) -> int:
    """The master that the program sent through a socketpair. SetupError unless it is one descriptor, of a terminal.

    The other end must be closed here by now, so that a program that fails ends the wait.
    """
    import _socket
    import _struct

    end = _adopt(connection)
    try:
        # Room for four, so that a message with more than one is seen as such.
        name, rights, flags, _ = end.recvmsg(_NAME_MAX, _socket.CMSG_SPACE(16), _socket.MSG_CMSG_CLOEXEC)
    finally:
        end.detach()
    received: list[int] = [
        fd
        for level, kind, data in rights
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)
        for (fd,) in _struct.iter_unpack("@i", data[: len(data) // 4 * 4])
    ]
    if len(received) == 1 and name and not flags & _socket.MSG_CTRUNC and posix.isatty(received[0]):
        return received[0]
    for fd in received:
        posix.close(fd)
    raise SetupError("/process/terminal", "recvmsg", 0, f"{len(received)} descriptors in place of the console's master")


def _adopt(fd: int) -> "socket":
    """A socket object around a descriptor; the caller detaches it again."""
    import _socket

    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd)


class Terminal:
    """The caller's terminal, found as runc finds it: stderr, stdout, stdin, then /dev/tty. None when there is none."""

    __slots__ = ("_before", "fd")

    def __init__(self) -> None:
        self.fd = next((fd for fd in (2, 1, 0) if posix.isatty(fd)), -1)
        if self.fd < 0:
            try:
                self.fd = posix.open("/dev/tty", posix.O_RDWR | posix.O_CLOEXEC | posix.O_NOCTTY)
            except OSError:
                self.fd = -1
        self._before = termios.tcgetattr(self.fd) if self.fd >= 0 else None

    def make_raw(self) -> None:
        """As cfmakeraw(3); keys reach the container as they are, so that ^C is its signal and not ours."""
        if self._before is None:
            return
        raw: list[Any] = [list(part) if isinstance(part, list) else part for part in self._before]
        raw[_IFLAG] &= ~(
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON
        )
        raw[_OFLAG] &= ~termios.OPOST
        raw[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        raw[_CFLAG] = raw[_CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        raw[_CC][termios.VMIN], raw[_CC][termios.VTIME] = 1, 0
        self._set(raw)

    def restore(self) -> None:
        """As it was when this object was made; a terminal that is gone meanwhile is well."""
        if self._before is not None:
            self._set(self._before)

    def copy_size(self, master: int) -> None:
        """Give the pty our number of rows and columns; a terminal that does not know them (0) leaves the pty's."""
        if self.fd < 0:
            return
        try:
            size = fcntl.ioctl(self.fd, termios.TIOCGWINSZ, bytes(8))
            if any(size[:4]):
                fcntl.ioctl(master, termios.TIOCSWINSZ, size)
        except OSError:
            return

    def _set(self, attributes: "list[Any]") -> None:
        try:
            termios.tcsetattr(self.fd, termios.TCSANOW, attributes)
        except termios.error:
            return


class Relay:
    """Carries bytes between 0 and 1 and the master, whatever 0 and 1 are, from construction until close().

    interest() and handle() serve the caller's poll; finish() is for when the process has ended: all that it wrote goes
    out first. A stdout that nobody reads any more loses its bytes, and the container does not block.
    """

    __slots__ = ("_again", "_hung", "_input", "_output", "_to_master", "_to_output", "master", "terminal")

    def __init__(self, master: int) -> None:
        """Takes the master over. The terminal is raw from here on."""
        self.master = master
        self._to_master = b""
        self._to_output = b""
        self._hung = False
        self._again = 0.0
        self._input = 0
        self._output = _nonblocking(1)
        posix.set_blocking(master, False)
        self.terminal = Terminal()
        self.terminal.copy_size(master)
        self.terminal.make_raw()

    def resize(self) -> None:
        self.terminal.copy_size(self.master)

    def resume(self) -> None:
        """After SIGCONT: the shell that we were stopped under has set the terminal for itself."""
        self.terminal.make_raw()
        self.resize()

    def interest(self) -> dict[int, int]:
        """What to poll for, by descriptor."""
        if self._hung and time.monotonic() >= self._again:
            self._hung = False
        wanted: dict[int, int] = {}
        if self._input >= 0 and len(self._to_master) < _HELD:
            wanted[self._input] = select.POLLIN
        if not self._hung:
            events = select.POLLIN if len(self._to_output) < _HELD else 0
            events |= select.POLLOUT if self._to_master else 0
            if events:
                wanted[self.master] = events
        if self._to_output and self._output >= 0:
            wanted[self._output] = select.POLLOUT
        return wanted

    @property
    def timeout(self) -> "float | None":
        """Seconds after which interest() is to be asked anew, without any event; None is never."""
        return _AGAIN if self._hung else None

    def handle(self, fd: int) -> None:
        """Serve a descriptor of interest() that poll reported, for whatever reason."""
        if fd == self.master:
            self._write_master()
            self._read_master()
        elif fd == self._output:
            self._write_output()
        elif fd == self._input:
            self._read_input()

    def finish(self, signals: "Caught") -> None:
        """Carry the rest of the output, however long the reader of stdout takes; SIGINT and the like end the wait.

        What a process prints that has the pty and lives on (no pid namespace of its own) is not waited for.
        """
        self._input = -1
        self._to_master = b""
        self._hung = False
        rest = _LAST
        while True:
            while rest > 0 and (count := self._read_master()):
                rest -= count
            if not self._to_output or self._output < 0:
                return
            poll = select.poll()
            poll.register(self._output, select.POLLOUT)
            poll.register(signals.fd, select.POLLIN)
            ready = {fd for fd, _ in poll.poll()}
            if signals.fd in ready and not ENDING.isdisjoint(signals.take()):
                return
            if self._output in ready:
                self._write_output()

    def close(self) -> None:
        """Give the terminal back as it was, and close the master: a process that still has the pty gets SIGHUP."""
        self.terminal.restore()
        for fd in {self.master, self._output, self.terminal.fd} - {-1, 0, 1, 2}:
            posix.close(fd)
        self.master = self._output = self.terminal.fd = -1

    def _read_input(self) -> None:
        try:
            data = posix.read(self._input, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._input = -1
        self._to_master += data

    def _write_master(self) -> None:
        if not self._to_master:
            return
        try:
            self._to_master = self._to_master[posix.write(self.master, self._to_master) :]
        except BlockingIOError:
            return
        except OSError:
            self._to_master = b""

    def _read_master(self) -> int:
        """How many bytes came. EIO says that no process has the slave open (pty(7))."""
        if self._hung or len(self._to_output) >= _HELD:
            return 0
        try:
            data = posix.read(self.master, _CHUNK)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            self._hung = True
            self._again = time.monotonic() + _AGAIN
        if self._output >= 0:
            self._to_output += data
        return len(data)

    def _write_output(self) -> None:
        # POLLOUT promises room for PIPE_BUF bytes: with more, a descriptor that is not ours to change could block.
        most = _HELD if self._output > 2 else _PIPE_BUF
        try:
            self._to_output = self._to_output[posix.write(self._output, self._to_output[:most]) :]
        except BlockingIOError:
            return
        except OSError:
            self._to_output = b""
            if self._output > 2:
                posix.close(self._output)
            self._output = -1


def _nonblocking(fd: int) -> int:
    """A descriptor of the same pipe or terminal with a flag of its own: O_NONBLOCK on `fd` would hold for the caller's
    shell too. `fd` itself for all that never blocks, or cannot be opened anew.
    """
    try:
        facts = posix.fstat(fd)
        if facts.st_mode & _TYPE in (_FIFO, _CHARACTER) and facts.st_rdev != _PTMX:
            flags = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
            return posix.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        return fd
    return fd
