# SPDX-License-Identifier: Apache-2.0
"""The log of one call, as runc and logrus write it: one object, or one line of time, level and message, an entry.

Engines read it: containerd shows the last entry of level "error", podman takes the whole file as one JSON object. So a
failing call writes one entry, and warnings are off unless asked for, or a person looks at the terminal.
"""

import errno
import posix
import time

from pyrunc.errors import PyruncError, UsageError, one_line

LEVELS = ("error", "warning", "info", "debug")

# These are symbolic links to /proc/self/fd, which O_NOFOLLOW refuses.
_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}

# Not the words of strerror(3): an engine that finds these in an error takes them for the command's (exit status 127).
_REASONS = {
    errno.ELOOP: "it is a symbolic link",
    errno.ENOENT: "its directory is missing",
    errno.ENOTDIR: "its directory is a file",
    errno.EISDIR: "it is a folder",
    errno.EACCES: "access is refused",
}


class Log:
    """Where entries go: `fd` of the file or of standard error, `json` or text, and the least severe level written."""

    __slots__ = ("fd", "is_stderr", "json", "level")

    def __init__(self, fd: int = 2, *, is_stderr: bool = True, json: bool = False, level: str = "error") -> None:
        self.fd = fd
        self.is_stderr = is_stderr
        self.json = json
        self.level = LEVELS.index(level)

    def write(self, level: str, message: str, extra: dict[str, object] | None = None) -> None:
        """One entry in one write(2), if its level is wanted; `extra` are further members in JSON."""
        if LEVELS.index(level) > self.level:
            return
        # Here, as a call that succeeds writes nothing: 0.5 ms.
        from _json import encode_basestring

        from pyrunc.config.dump import dump

        message = one_line(message)
        if self.json:
            line = dump({"level": level, "msg": message, "time": _now()} | (extra or {}))
        elif self.is_stderr:
            line = f"pyrunc: {message}" if level == "error" else f"pyrunc: {level}: {message}"
        else:
            line = f"time={encode_basestring(_now())} level={level} msg={encode_basestring(message)}"
        put(self.fd, line)

    def warning(self, message: str) -> None:
        """A warning: what is wrong, and changes nothing (runtime.md#warnings)."""
        self.write("warning", message)

    def notice(self, message: str) -> None:
        """A warning that is written at any level: it must be logged (runtime.md#lifecycle), and no error follows."""
        level, self.level = self.level, LEVELS.index("debug")
        self.write("warning", message)
        self.level = level

    def fail(self, error: PyruncError | str) -> None:
        """The one error of a call that fails: in the log, and as text on standard error when these are not the same."""
        extra: dict[str, object] = {}
        if isinstance(error, PyruncError):
            extra = {key: value for key in ("pointer", "call") if (value := getattr(error, key, ""))}
        self.write("error", str(error), extra)
        if not self.is_stderr:
            put(2, f"pyrunc: {one_line(str(error))}")


def start(path: str | None, form: str, level: str) -> Log:
    """The Log of the global flags; UsageError when the file cannot be opened, or the daemon not be reached.

    Before a path may stand what crun has there: `file:`; `journald:` and `syslog:` are followed by an identifier.

    The file is 0600 (runc's is 0644): only the engine, the same user, reads it; messages quote a container's strings.
    """
    json = form == "json"
    if not path:
        return Log(json=json, level=level)
    backend, colon, rest = path.partition(":")
    if colon and backend == "file":
        path = rest
    elif colon and backend in ("journald", "syslog"):
        from pyrunc.cli.log_daemon import DaemonLog

        return DaemonLog(backend, rest, level)
    if path in _STREAMS:
        return Log(_STREAMS[path], is_stderr=path == "/dev/stderr", json=json, level=level)
    flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_NOFOLLOW | posix.O_CLOEXEC | posix.O_NOCTTY
    try:
        fd = posix.open(path, flags, 0o600)
    except (OSError, ValueError) as error:
        raise UsageError(f"--log: cannot open {path!r}: {_reason(error)}") from None
    return Log(fd, is_stderr=False, json=json, level=level)


def put(fd: int, line: str) -> None:
    """Write one line; a reader that is gone, or a full disk, must not hide the call's own result."""
    try:
        posix.write(fd, line.encode("utf-8", "backslashreplace") + b"\n")
    except OSError:
        return


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _reason(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return str(error)
    from pyrunc.linux.errnos import reason

    return _REASONS.get(error.errno or 0) or reason(error.errno)
