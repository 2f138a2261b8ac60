# SPDX-License-Identifier: Apache-2.0
"""Logs that are no files, as crun has them: `--log journald:ID` and `--log syslog:ID`.

An entry is one datagram: to journald as fields (systemd.journal-fields(7), the journal's native protocol), to syslog as
syslog(3) sends it (RFC 3164). ID is the name under which they are found, "pyrunc" when empty.
"""

import _socket
import posix

from pyrunc.cli.log import LEVELS, Log
from pyrunc.errors import UsageError, one_line
from pyrunc.linux.errnos import reason

_SOCKETS = {"journald": "/run/systemd/journal/socket", "syslog": "/dev/log"}
_SEVERITY = {"error": 3, "warning": 4, "info": 6, "debug": 7}
_DAEMON = 3 << 3
"""Facility of system daemons."""


class DaemonLog(Log):
    """A Log whose entries go to the socket of a daemon."""

    __slots__ = ("_identifier", "_journal")

    def __init__(self, kind: str, identifier: str, level: str, path: str = "") -> None:
        end = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        super().__init__(end.fileno(), is_stderr=False, level=level)
        self._identifier = one_line(identifier) or "pyrunc"
        self._journal = kind == "journald"
        path = path or _SOCKETS[kind]
        try:
            end.connect(path)
            end.detach()
        except OSError as error:
            end.close()
            raise UsageError(f"--log: cannot reach {kind} at {path}: {reason(error.errno)}") from None

    def write(self, level: str, message: str, extra: "dict[str, object] | None" = None) -> None:
        if LEVELS.index(level) > self.level:
            return
        severity, message = _SEVERITY[level], one_line(message)
        if self._journal:
            fields = {"PRIORITY": severity, "SYSLOG_IDENTIFIER": self._identifier, "MESSAGE": message}
            fields |= {f"PYRUNC_{key.upper()}": one_line(str(value)) for key, value in (extra or {}).items()}
            text = "".join(f"{key}={value}\n" for key, value in fields.items())
        else:
            text = f"<{_DAEMON | severity}>{self._identifier}: {message}"
        try:
            posix.write(self.fd, text.encode("utf-8", "backslashreplace"))
        except OSError:
            return  # a daemon that is gone must not hide the call's own result
