# SPDX-License-Identifier: Apache-2.0
"""The mounts that CRIU is not to save but to find again: binds of the host's files, masks, devices that are bound.

The key of each is its mount point in the container, but of a masked file /dev/null: as runc has it, so that a
checkpoint of the one runtime can be restored by the other.
"""

import posix

from pyrunc.config.fields import Config
from pyrunc.plan import devices, mount_row
from pyrunc.plan.paths import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.linux.mount_flags import ParsedOptions

    Row = tuple[str, str, str]
    """(mount point, root within its file system, type)"""
    Pair = dict[str, str]
    Resolve = Callable[[str], str]

NULL = "/dev/null"


def table(text: str) -> "list[Row]":
    """The rows of a mountinfo: proc_pid_mountinfo(5)."""
    found = []
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        words = head.split(" ")
        if len(words) > 5 and tail:
            found.append((_plain(words[4]), _plain(words[3]), tail.split(" ")[0]))
    return found


def _plain(text: str) -> str:
    """Blank, tab, newline and backslash are written as three octal digits."""
    head, *parts = text.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts)


def external(config: Config, rows: "list[Row]", resolve: "Resolve", *, bound_cgroups: bool) -> "list[Pair]":
    """ext_mnt of a dump: what of the container's mounts came from outside. `resolve` follows symlinks in the container;
    `bound_cgroups`: its cgroup mounts are binds of the host's.
    """
    rules = _rules(config, resolve)
    masked = {name for path in listed(config, "maskedPaths") for name in (path, resolve(path))}
    sealed = {name for path in listed(config, "readonlyPaths") for name in (path, resolve(path))}
    nodes = {device.path for device in devices.wanted(config)}
    found: dict[str, str] = {}
    for point, root, kind in rows:
        rule = _nearest(point, rules)
        bound = rule is not None and rule[1].bind and (point == rule[0] or (rule[1].rbind and point not in sealed))
        if point in masked and root == "/null":
            found[point] = NULL
        elif bound or point in nodes or (bound_cgroups and kind in ("cgroup", "cgroup2")):
            found[point] = point
    return [{"key": key, "val": value} for key, value in found.items()]


def _rules(config: Config, resolve: "Resolve") -> "dict[str, ParsedOptions]":
    """The options of each row of `mounts`, by the mount point that it has in the container."""
    rules = {}
    for mount in mount_row.read(config):
        if not mount.options.remount:
            rules[resolve(mount.destination)] = mount.options
    return rules


def _nearest(point: str, rules: "dict[str, ParsedOptions]") -> "tuple[str, ParsedOptions] | None":
    """The row of `mounts` that a mount point is of, or below."""
    while point:
        if point in rules:
            return point, rules[point]
        point = point.rpartition("/")[0]
    return None


def sources(
    config: Config,
    rows: "list[Row]",
    resolve: "Resolve",
    folder: str,
    cgroups: "list[tuple[str, str]]",
) -> "list[Pair]":
    """ext_mnt of a restore: where each key is found. `rows`: the host's mounts; `resolve` follows symlinks in the root
    file system; `folder`: of plan.restore; `cgroups`: (path below a cgroup mount, what is bound there). More keys than
    the checkpoint has do no harm.
    """
    found = {device.path: device.path for device in devices.wanted(config)}
    if listed(config, "maskedPaths"):
        found[NULL] = f"{folder}/null"
    for mount in mount_row.read(config):
        if mount.type in ("cgroup", "cgroup2") and not mount.options.bind:
            for below, source in cgroups:
                found[mount.destination + below] = source
        if not mount.options.bind or mount.options.remount:
            continue
        source = f"{folder}/{mount.origin.rpartition('/')[2]}"
        real = _real(mount.source) if mount.options.rbind else ""
        for destination in (mount.destination, resolve(mount.destination)):
            found[destination] = source
            for point, _, _ in rows if mount.options.rbind else ():
                if point.startswith(f"{real}/"):
                    below = point[len(real) :]
                    found[destination.rstrip("/") + below] = source + below
    return [{"key": key, "val": value} for key, value in found.items()]


def _real(path: str) -> str:
    """A path of the host as the table of mounts has it: without symlinks."""
    fd = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
    try:
        return posix.readlink(f"/proc/self/fd/{fd}").rstrip("/")
    finally:
        posix.close(fd)
