# SPDX-License-Identifier: Apache-2.0
"""The little of D-Bus that calls of systemd need (D-Bus Specification 0.43), over _socket alone.

A library (jeepney) takes 40 ms and more to import, on the path of every create; this takes 2.
"""

import errno
import time
from _struct import unpack_from

from pyrunc.cgroups.dbus_values import marshal, read, unmarshal
from pyrunc.errors import CgroupError
from pyrunc.linux.errnos import reason

_CALL, _RETURN, _ERROR, _SIGNAL = 1, 2, 3, 4
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_LARGEST = 1 << 27  # bytes of a message


class DbusError(CgroupError):
    """An error reply: name is that of D-Bus, text what the peer says."""

    __slots__ = ("name", "text")

    def __init__(self, call: str, name: str, text: str) -> None:
        super().__init__(f"{call}: {text or name}")
        self.name = name
        self.text = text


class Message:
    """One that came in. kind: 2 return, 3 error, 4 signal; fields: of the header, by number; body: its values."""

    __slots__ = ("body", "fields", "kind")

    def __init__(self, kind: int, fields: dict[int, object], body: list[object]) -> None:
        self.kind = kind
        self.fields = fields
        self.body = body


class Connection:
    """A connection to a bus, or with `direct` to a peer. Every wait ends at `deadline` (of time.monotonic)."""

    __slots__ = ("_data", "_direct", "_peer", "_serial", "_signals", "_socket", "deadline")

    def __init__(self, address: str, deadline: float, *, direct: bool = False) -> None:
        from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM, socket

        self.deadline = deadline
        self._signals: list[Message] = []
        self._direct = direct
        self._data = b""
        self._serial = 0
        self._peer = address
        self._socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
        try:
            self._wait()
            self._socket.connect("\0" + address[1:] if address[0] == "@" else address)
            # SASL EXTERNAL without a name: the peer takes the one that the kernel tells it, also from a user namespace
            self._send(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
            while not (line := self._line()).startswith(b"OK "):
                if line != b"DATA":
                    raise CgroupError(f"D-Bus at {address} refuses this user: {line.decode('ascii', 'replace')}")
            if not direct:
                self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
        except BaseException as error:
            self._socket.close()
            if isinstance(error, OSError):
                raise CgroupError(f"D-Bus at {address}: {_why(error)}") from error
            raise

    def close(self) -> None:
        self._socket.close()

    def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", *values: object
    ) -> list[object]:
        """The values of the reply. DbusError for an error reply; CgroupError without one until the deadline."""
        self._serial += 1
        fields = [(_PATH, ("o", path)), (_INTERFACE, ("s", interface)), (_MEMBER, ("s", member))]
        fields += [(_DESTINATION, ("s", destination))] + ([(_SIGNATURE, ("g", signature))] if signature else [])
        body = marshal(signature, *values)
        head = marshal("yyyyuua(yv)", ord("l"), _CALL, 0, 1, len(body), self._serial, fields)
        try:
            self._send(head + b"\0" * (-len(head) % 8) + body)
            while (message := self._message()).fields.get(_REPLY_SERIAL) != self._serial:
                if message.kind == _SIGNAL:
                    self._signals.append(message)
        except OSError as error:
            raise CgroupError(f"{member}: D-Bus at {self._peer}: {_why(error)}") from error
        if message.kind == _ERROR:
            text = message.body[0] if message.body else ""
            raise DbusError(member, str(message.fields.get(_ERROR_NAME, "")), str(text))
        return message.body

    def listen(self, rule: str) -> None:
        """Get the signals of a match rule; a peer without a bus between sends all that it has."""
        if not self._direct:
            self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", rule)

    def signal(self) -> Message:
        """The next signal; CgroupError at the deadline."""
        try:
            while not self._signals:
                message = self._message()
                if message.kind == _SIGNAL:
                    self._signals.append(message)
        except OSError as error:
            raise CgroupError(f"D-Bus at {self._peer}: {_why(error)}") from error
        return self._signals.pop(0)

    def _wait(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "")
        self._socket.settimeout(left)

    def _send(self, data: bytes) -> None:
        self._wait()
        self._socket.sendall(data)

    def _more(self) -> None:
        self._wait()
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "")
        self._data += data

    def _line(self) -> bytes:
        while b"\r\n" not in self._data:
            self._more()
        line, _, self._data = self._data.partition(b"\r\n")
        return line

    def _message(self) -> Message:
        while len(self._data) < 16:
            self._more()
        order = "<" if self._data[:1] == b"l" else ">"
        body, _, fields = unpack_from(order + "3I", self._data, 4)
        start = 16 + fields + (-fields % 8)
        if start + body > _LARGEST:
            raise ConnectionResetError(errno.ECONNRESET, "")
        while len(self._data) < start + body:
            self._more()
        raw, self._data = self._data[: start + body], self._data[start + body :]
        rows = read(raw, "a(yv)", 12, order)[0]
        found = {number: variant[1] for number, variant in rows}  # type: ignore[attr-defined]
        values = unmarshal(raw[start:], str(found.get(_SIGNATURE, "")), 0, order)
        return Message(raw[1], found, values)


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return reason(error.errno)


def unix_addresses(text: str) -> list[str]:
    """The sockets of a D-Bus address list such as "unix:path=/run/user/7/bus,guid=…;unix:abstract=/x" ("@/x")."""
    found = []
    for entry in text.split(";"):
        transport, _, rest = entry.partition(":")
        pairs = dict(pair.split("=", 1) for pair in rest.split(",") if "=" in pair)
        value = _unescape(pairs.get("path") or pairs.get("abstract", ""))
        if transport == "unix" and value and "\0" not in value:
            found.append(value if "path" in pairs else f"@{value}")
    return found


def _unescape(text: str) -> str:
    head, *parts = text.split("%")
    raw = head.encode("utf-8", "surrogateescape")
    for part in parts:
        try:
            raw += bytes((int(part[:2], 16),)) + part[2:].encode("utf-8", "surrogateescape")
        except ValueError:
            return ""
    return raw.decode("utf-8", "surrogateescape")
