# SPDX-License-Identifier: Apache-2.0
"""Symbolic names of the numbers in system calls, for listings and errors; never loaded by a call that succeeds."""

import posix

from pyrunc.linux import uapi
from pyrunc.linux.capabilities import CAPABILITIES
from pyrunc.linux.rlimits import RLIMITS

_ENUMERATIONS = {
    "PR": "PR_SET_ PR_CAPBSET PR_CAP_AMBIENT",
    "FSCONFIG": "FSCONFIG_",
    "IOCTL": "TIOC SIOC",
    "KEYCTL": "KEYCTL_",
    "AF": "AF_",
}
_OTHERS = {
    "AMBIENT": {
        uapi.PR_CAP_AMBIENT_RAISE: "PR_CAP_AMBIENT_RAISE",
        uapi.PR_CAP_AMBIENT_CLEAR_ALL: "PR_CAP_AMBIENT_CLEAR_ALL",
    },
    "CAP": dict(enumerate(CAPABILITIES)),
    "RLIMIT": {number: name for name, number in RLIMITS.items()},
    "SIGNAL": {0: "0", 9: "SIGKILL"},
    "BPF": {5: "BPF_PROG_LOAD", 8: "BPF_PROG_ATTACH", 9: "BPF_PROG_DETACH"},
    "SECCOMP": {1: "SECCOMP_SET_MODE_FILTER", 0: "SECCOMP_SET_MODE_STRICT", 2: "SECCOMP_GET_ACTION_AVAIL"},
}
_BITS = {
    "CLOSE_RANGE": {4: "CLOSE_RANGE_CLOEXEC"},
    "OPEN_TREE": {
        uapi.OPEN_TREE_CLONE: "OPEN_TREE_CLONE",
        uapi.OPEN_TREE_CLOEXEC: "OPEN_TREE_CLOEXEC",
        uapi.AT_RECURSIVE: "AT_RECURSIVE",
        uapi.AT_EMPTY_PATH: "AT_EMPTY_PATH",
        uapi.AT_SYMLINK_NOFOLLOW: "AT_SYMLINK_NOFOLLOW",
    },
    "SECCOMP_FLAG": {1: "TSYNC", 2: "LOG", 4: "SPEC_ALLOW", 8: "NEW_LISTENER", 32: "WAIT_KILLABLE_RECV"},
    "O": {
        posix.O_WRONLY: "O_WRONLY",
        posix.O_RDWR: "O_RDWR",
        posix.O_NONBLOCK: "O_NONBLOCK",
        posix.O_NOCTTY: "O_NOCTTY",
        posix.O_DIRECTORY: "O_DIRECTORY",
        posix.O_NOFOLLOW: "O_NOFOLLOW",
        posix.O_CREAT: "O_CREAT",
        posix.O_EXCL: "O_EXCL",
        uapi.O_PATH: "O_PATH",
        uapi.O_CLOEXEC: "O_CLOEXEC",
    },
}
_ALL = 0xFFFFFFFF
_FILE_TYPES = {
    uapi.S_IFREG: "S_IFREG",
    uapi.S_IFCHR: "S_IFCHR",
    uapi.S_IFBLK: "S_IFBLK",
    uapi.S_IFIFO: "S_IFIFO",
    uapi.S_IFDIR: "S_IFDIR",
}


def symbolic(kind: str, value: int) -> str:
    """`value` written for a parameter of `kind` (linux/syscalls.py)."""
    if kind == "o":
        return f"0{value:o}" if value else "0"
    if kind == "x":
        return f"{value:#x}"
    if kind == "DEV":
        return f"{posix.major(value)}:{posix.minor(value)}"
    if kind == "MODE":
        return f"{_FILE_TYPES.get(value & uapi.S_IFMT, '0')}|{value & 0o7777:04o}"
    if kind == "TYPE":
        return _FILE_TYPES.get(value, f"{value:#o}")
    if kind in ("PERSONALITY", "IOPRIO", "MPOL"):
        return _scheduling(kind, value)
    if kind == "fd" and value == uapi.AT_FDCWD:
        return "AT_FDCWD"
    if kind == "d" and value == _ALL:
        return "-1"
    if kind in _ENUMERATIONS or kind in _OTHERS:
        return _enumeration(kind).get(value, str(value))
    if kind in _BITS or kind.isupper():
        return _bits(kind, value)
    return str(value)


def _scheduling(kind: str, value: int) -> str:
    """Numbers whose names are rows of linux/scheduling.py."""
    from pyrunc.linux import scheduling

    if kind == "PERSONALITY":
        return next(f"PER_{name}" for name, number in scheduling.DOMAINS.items() if number == value)
    if kind == "IOPRIO":
        name = next(name for name, number in scheduling.IO_CLASSES.items() if number == value >> 13)
        return f"{name}|{value & 0x1FFF}"
    words = [name for name, number in scheduling.MEMORY_MODES.items() if number == value & 0x1FFF]
    return "|".join([*words, *(name for name, bit in scheduling.MEMORY_FLAGS.items() if value & bit)])


def _enumeration(kind: str) -> dict[int, str]:
    if kind in _OTHERS:
        return _OTHERS[kind]
    prefixes = tuple(_ENUMERATIONS[kind].split())
    return {
        value: name
        for name, value in vars(uapi).items()
        if name.startswith(prefixes) and not name.startswith("PR_CAP_AMBIENT_")
    }


def _bits(kind: str, value: int) -> str:
    table = _BITS.get(kind) or {v: n for n, v in vars(uapi).items() if n.startswith(kind + "_") and isinstance(v, int)}
    names, rest = [], value
    for bit, name in sorted(table.items(), reverse=True):
        if bit and rest & bit == bit:
            names.append(name)
            rest &= ~bit
    if rest or not names:
        names.append(f"{rest:#x}" if rest else "0")
    return "|".join(names)
