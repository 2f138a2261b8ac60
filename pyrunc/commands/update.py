# SPDX-License-Identifier: Apache-2.0
"""pyrunc update CONTAINER: change the limits of a container."""

from pyrunc.config.size import number, size
from pyrunc.container.update import update
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings

# (flag, object of linux.resources, field of it, what its value is)
FLAGS = (
    ("blkio-weight", "blockIO", "weight", number),
    ("cpu-burst", "cpu", "burst", number),
    ("cpu-idle", "cpu", "idle", number),
    ("cpu-period", "cpu", "period", number),
    ("cpu-quota", "cpu", "quota", number),
    ("cpu-rt-period", "cpu", "realtimePeriod", number),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime", number),
    ("cpu-share", "cpu", "shares", number),
    ("cpuset-cpus", "cpu", "cpus", str),
    ("cpuset-mems", "cpu", "mems", str),
    ("memory", "memory", "limit", size),
    ("memory-reservation", "memory", "reservation", size),
    ("memory-swap", "memory", "swap", size),
    ("pids-limit", "pids", "limit", number),
)


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    """As runc: what --resources names counts alone, but for the schemata of Intel RDT."""
    file = values["resources"]
    if file:
        from pyrunc.config.load import parse, read, read_all

        name = "standard input" if file == "-" else file
        resources = parse(read_all(0, name) if file == "-" else read(file), name)
    else:
        resources = _of_flags(values)
    if values["kernel-memory"] or values["kernel-memory-tcp"]:
        settings.warn("kernel memory settings are ignored, as Linux limits kernel memory together with all memory")
    schemata = {"l3_cache_schema": values["l3-cache-schema"], "mem_bw_schema": values["mem-bw-schema"]}
    update(settings, values["container"], resources, **schemata)
    return 0


def _of_flags(values: "dict[str, Any]") -> "dict[str, object]":
    found: dict[str, Any] = {}
    for flag, section, field, kind in FLAGS:
        if text := values[flag]:
            try:
                found.setdefault(section, {})[field] = kind(text)
            except ValueError as error:
                raise UsageError(f"--{flag}: {error}") from None
    return found
