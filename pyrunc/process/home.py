# SPDX-License-Identifier: Apache-2.0
"""HOME of a user, from the passwd file that the helper has opened in the container's root: passwd(5).

The file is the image's, so that it is read as data, with bounds, and only if it is a regular file (CVE-2022-23648).
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Config

_SIZE_MAX = 1 << 20
_HOME_MAX = 3900
_TYPE, _REGULAR = 0o170000, 0o100000


def home(path: str, uid: int) -> str:
    """The home directory of `uid`; "/" without such a user or a file to read. `path` is that of an open descriptor."""
    if not path:
        return "/"
    try:
        found = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
    except OSError:
        return "/"
    try:
        # To open a device is to use it, so the type comes first.
        if posix.fstat(found).st_mode & _TYPE != _REGULAR:
            return "/"
        own = posix.open(f"/proc/self/fd/{found}", posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
        try:
            return _find(posix.read(own, _SIZE_MAX), b"%d" % uid)
        finally:
            posix.close(own)
    except OSError:
        return "/"
    finally:
        posix.close(found)


def answer(path: str, config: "Config") -> bytes:
    """What the program reads behind HOME=, for the user of config's process."""
    user = config.require("process").section("user")
    uid = user.integer("uid", 0, 2**32 - 2, 0) if user is not None else 0
    return home(path, uid).encode("utf-8", "surrogateescape") + b"\0"


def _find(raw: bytes, uid: bytes) -> str:
    for line in raw.split(b"\n"):
        fields = line.split(b":")
        if len(fields) >= 6 and fields[2] == uid:
            path = fields[5]
            good = path[:1] == b"/" and len(path) <= _HOME_MAX and b"\0" not in path
            return path.decode("utf-8", "surrogateescape") if good else "/"
    return "/"
