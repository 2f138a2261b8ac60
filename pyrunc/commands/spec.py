# SPDX-License-Identifier: Apache-2.0
"""pyrunc spec: a config.json to start from."""

import errno
import posix

from pyrunc.config.dump import dump
from pyrunc.config.template import rootless, template
from pyrunc.errors import PyruncError
from pyrunc.linux.errnos import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(_: "Settings", values: "dict[str, Any]") -> int:
    """Write the file into the bundle; an existing one is never overwritten."""
    config = template()
    if values["rootless"]:
        config = rootless(config, posix.geteuid(), posix.getegid())
    name = values["file"]
    path = name if name[:1] == "/" else f"{values['bundle']}/{name}"
    try:
        fd = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise PyruncError(f"{path} exists: remove it first") from None
        raise PyruncError(f"cannot write {path}: {reason(error.errno)}") from None
    try:
        posix.fchmod(fd, 0o644)  # as runc leaves it, whatever the umask
        rest = dump(config, 2).encode() + b"\n"
        while rest:
            rest = rest[posix.write(fd, rest) :]
    finally:
        posix.close(fd)
    return 0
