# SPDX-License-Identifier: Apache-2.0
"""System calls with a struct or with fixed parts, as several concerns make them; each is named as its man page."""

from pyrunc.linux.uapi import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    O_CLOEXEC,
    O_PATH,
    OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
)
from pyrunc.plan.program import Op, Program, Struct


def openat2(
    program: Program,
    root: "Op | int",
    path: str,
    flags: int = O_PATH,
    resolve: int = RESOLVE_IN_ROOT,
    *,
    origin: str = "",
    to: str = "fd",
    accept: tuple[int, ...] = (),
) -> Op:
    """openat2(2) below the descriptor `root`; O_CLOEXEC and RESOLVE_NO_MAGICLINKS always."""
    text = f"flags={flags:#o}, resolve={_RESOLVE.get(resolve, hex(resolve))}"
    how = Struct("3Q", flags | O_CLOEXEC, 0, resolve | RESOLVE_NO_MAGICLINKS, text=text)
    return program.call("openat2", root, path, how, 24, origin=origin, to=to, accept=accept)


_RESOLVE = {RESOLVE_IN_ROOT: "IN_ROOT", RESOLVE_IN_ROOT | 4: "IN_ROOT|NO_SYMLINKS", 13: "BENEATH|NO_SYMLINKS|NO_XDEV"}


def open_tree(
    program: Program, directory: "Op | int", path: str, *, recursive: bool = False, origin: str = "", to: str = "tree"
) -> Op:
    """open_tree(2): a detached copy of the mount at `path`, with those below it when `recursive`."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    return program.call("open_tree", directory, path, flags, origin=origin, to=to)


def move_mount(program: Program, tree: Op, target: Op, *, origin: str = "", accept: tuple[int, ...] = ()) -> Op:
    """move_mount(2) of a detached mount onto an open file or directory: no path is walked."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    return program.call("move_mount", tree, "", target, "", flags, origin=origin, accept=accept)


def mount_setattr(
    program: Program,
    tree: Op,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    *,
    recursive: bool = False,
    origin: str = "",
) -> Op:
    """mount_setattr(2) of an open mount, and of those below it when `recursive`."""
    text = ", ".join(
        f"{name}={_attributes(bits)}"
        for name, bits in (("attr_set", attr_set), ("attr_clr", attr_clr), ("propagation", propagation))
        if bits
    )
    attr = Struct("4Q", attr_set, attr_clr, propagation, 0, text=text)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    return program.call("mount_setattr", tree, "", flags, attr, 32, origin=origin)


_ATTRIBUTES = (
    (0x01, "RDONLY"),
    (0x02, "NOSUID"),
    (0x04, "NODEV"),
    (0x08, "NOEXEC"),
    (0x70, "ATIME"),
    (0x10, "NOATIME"),
    (0x20, "STRICTATIME"),
    (0x80, "NODIRATIME"),
    (0x100000, "IDMAP"),
    (0x200000, "NOSYMFOLLOW"),
    (1 << 17, "UNBINDABLE"),
    (1 << 18, "PRIVATE"),
    (1 << 19, "SLAVE"),
    (1 << 20, "SHARED"),
)


def _attributes(bits: int) -> str:
    names = []
    for bit, name in _ATTRIBUTES:
        if bits & bit == bit:
            names.append(name)
            bits &= ~bit
    return "|".join(names) + (f"|{bits:#x}" if bits else "")
