# SPDX-License-Identifier: Apache-2.0
"""linux.cgroupsPath of the systemd manager, "slice:prefix:name": the names of units, and where systemd puts them.

systemd.unit(5) has the characters of a name, systemd.slice(5) the tree that the dashes of a slice's name mean.
"""

from pyrunc.cgroups.path import POINTER
from pyrunc.errors import ConfigError

_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
_LONGEST = 255  # UNIT_NAME_MAX - 1, and NAME_MAX
_FILES = ("cgroup", "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids")


def units(text: str, container_id: str, *, user: bool) -> tuple[str, str]:
    """(slice, scope) of a cgroupsPath; without one those of a default, as runc has it. ConfigError for what cannot be.

    An empty slice is the default one: system.slice, or user.slice of a user's own manager.
    """
    default = "user.slice" if user else "system.slice"
    if not text:
        return default, f"pyrunc-{_escaped_id(container_id)}.scope"
    parts = text.split(":")
    if len(parts) != 3:
        cause = f'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "{text}" instead'
        raise ConfigError(cause, POINTER)
    slice, prefix, name = parts
    if not name:
        raise ConfigError(f'"{text}" has no name behind the prefix', POINTER)
    if name.endswith(".slice"):
        raise ConfigError(f'"{name}" is a slice, in which a container cannot be: it is a scope in a slice', POINTER)
    scope = f"{prefix}-{name}.scope"
    _check(scope)
    slice_path(slice or default)
    return slice or default, scope


def _check(name: str) -> None:
    wrong = next((char for char in name if char not in _CHARACTERS), None)
    if wrong is not None:
        raise ConfigError(f'"{name}" is no name of a unit of systemd: it has {wrong!r}', POINTER)
    if len(name) > _LONGEST:
        raise ConfigError(f"the name of the unit has {len(name)} characters; {_LONGEST} are allowed", POINTER)


def _escaped_id(container_id: str) -> str:
    """As systemd-escape(1) does it: a container id may have a plus sign, a unit may not; and a name has its limit."""
    name = container_id.replace("+", "\\x2b")
    if len(name) + len("pyrunc-.scope") > _LONGEST:
        raise ConfigError(f"the id is too long for the name of a unit of systemd: {len(name)} characters", POINTER)
    return name


def slice_path(slice: str) -> str:
    """Where the slice is below the cgroup of the manager: "a-b.slice" is /a.slice/a-b.slice, "-.slice" is ""."""
    stem = slice.removesuffix(".slice")
    names = stem.split("-")
    if stem == slice or (stem != "-" and "" in names):
        raise ConfigError(f"invalid slice name: {slice}", POINTER)
    _check(slice)
    if stem == "-":
        return ""
    return "".join(f"/{directory('-'.join(names[: end + 1]) + '.slice')}" for end in range(len(names)))


def directory(unit: str) -> str:
    """The name of a unit's cgroup: systemd puts "_" before one that could be a file's of the kernel (cg_escape)."""
    first = unit.partition(".")[0]
    return f"_{unit}" if unit[0] in "_." or first in _FILES else unit


def is_scope(name: object) -> bool:
    """Whether it can be the unit of a container, as a record names it."""
    return type(name) is str and name.endswith(".scope") and len(name) <= _LONGEST and set(name) <= _CHARACTERS
