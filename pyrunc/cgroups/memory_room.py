# SPDX-License-Identifier: Apache-2.0
"""memory.checkBeforeUpdate on cgroup v2, where the kernel kills to get below a new memory.max (config-linux.md#memory).

As v1 does by itself: first free what can be freed, then take the limit, or refuse it when the usage stays above.
"""

import time

from pyrunc.cgroups import files
from pyrunc.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Section

SECONDS = 1.0
_MAX63 = 2**63 - 1


def make(path: str, memory: "Section") -> "str | None":
    """Bring the usage of the cgroup below the new limits; CgroupError "rejecting memory limit" when it stays above.

    Returns what memory.high was, for restore() once memory.max is written: until then memory.high, at which the kernel
    reclaims and slows down but does not kill, keeps the usage where it is. None when there is nothing to restore.
    """
    wanted = [(value, key) for key in ("limit", "swap") if (value := memory.integer(key, -1, _MAX63, 0)) > 0]
    if not wanted or not memory.flag("checkBeforeUpdate") or not files.exists(f"{path}/memory.current"):
        return None
    least, key = min(wanted)
    before = _lower(path, least)
    try:
        used = _settle(path, least)
        if used >= least:
            name = "memory" if key == "limit" else "memory+swap"
            raise CgroupError(f"rejecting {name} limit {least}: {used} bytes are in use", memory.at(key))
    except BaseException:
        restore(path, before)
        raise
    return before


def restore(path: str, before: "str | None") -> None:
    """Give memory.high its old text."""
    if before is not None:
        try:
            files.write(f"{path}/memory.high", before)
        except OSError as error:
            raise files.failure("write", f"{path}/memory.high", error) from error


def _lower(path: str, least: int) -> "str | None":
    """Write memory.high, which frees memory before it returns, and return the old text; None if that was lower."""
    try:
        before = files.read(f"{path}/memory.high").strip() or "max"
        if before != "max" and int(before) <= least:
            return None
        files.write(f"{path}/memory.high", str(least))
    except OSError as error:
        raise files.failure("write", f"{path}/memory.high", error) from error
    return before


def _settle(path: str, least: int) -> int:
    """The usage, once it is below `least` or the time is over."""
    end = time.monotonic() + SECONDS
    while True:
        used = int(files.read(f"{path}/memory.current"))
        if used < least or time.monotonic() >= end:
            return used
        time.sleep(0.01)
