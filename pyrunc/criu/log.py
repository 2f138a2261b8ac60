# SPDX-License-Identifier: Apache-2.0
"""The log of CRIU: which of its lines say why it failed."""

import posix

from pyrunc.errors import one_line

_MARK = "Error ("
_MAX_BYTES = 64 << 20
_MAX_LINES = 6
_MAX_LENGTH = 1200
# What it also says when all goes well, and what only says that the line before it was an error.
_NOISE = (
    "rlimit: Can't setup RLIMIT_NOFILE for self",
    "Dumping FAILED.",
    "Pre-dumping FAILED.",
    "Restoring FAILED.",
    "exited, status=",
)


def errors(path: str) -> list[str]:
    """The texts of the lines `(time) Error (file:line): text`, each once, the first that say something before all; []
    when there is no such file.
    """
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NONBLOCK)
    except OSError:
        return []
    try:
        data = b""
        while len(data) < _MAX_BYTES and (more := posix.read(fd, 1 << 20)):
            data += more
    except OSError:
        return []
    finally:
        posix.close(fd)
    return of_text(data.decode("utf-8", "backslashreplace"))


def of_text(text: str) -> list[str]:
    """The same of the text of a log."""
    found: dict[str, None] = {}
    for line in text.splitlines():
        _, mark, rest = line.partition(_MARK)
        if mark:
            found[one_line(rest.partition("): ")[2].strip() or rest.strip())] = None
    telling = [line for line in found if not line.startswith(_NOISE)]
    return (telling or list(found))[:_MAX_LINES]


def summary(path: str) -> str:
    """`: ` and these texts in one line with the path of the log; "" without a log."""
    lines = errors(path)
    if not lines:
        return f": see {path}" if _exists(path) else ""
    text = "; ".join(lines)
    cut = text if len(text) <= _MAX_LENGTH else text[:_MAX_LENGTH] + " …"
    return f": {cut} (see {path})"


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True
