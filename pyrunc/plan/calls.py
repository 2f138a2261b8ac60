# SPDX-License-Identifier: Apache-2.0
"""System calls with a struct or with fixed parts, as several concerns make them; each is named as its man page."""

import errno

from pyrunc.linux.uapi import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    AT_SYMLINK_NOFOLLOW,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    O_CLOEXEC,
    O_PATH,
    OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    SCM_RIGHTS,
    SOL_SOCKET,
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
    how = Struct("3Q", flags | O_CLOEXEC, 0, resolve | RESOLVE_NO_MAGICLINKS)
    return program.call("openat2", root, path, how, 24, origin=origin, to=to, accept=accept)


def open_tree(
    program: Program,
    directory: "Op | int",
    path: str,
    *,
    recursive: bool = False,
    follow: bool = True,
    origin: str = "",
    to: str = "tree",
) -> Op:
    """open_tree(2): a detached copy of the mount at `path`, with those below it when `recursive`."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    flags |= 0 if follow else AT_SYMLINK_NOFOLLOW
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
    userns: "Op | int" = 0,
    recursive: bool = False,
    origin: str = "",
) -> Op:
    """mount_setattr(2) of an open mount, and of those below it when `recursive`; `userns`: for MOUNT_ATTR_IDMAP."""
    attr = Struct("4Q", attr_set, attr_clr, propagation, userns)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    return program.call("mount_setattr", tree, "", flags, attr, 32, origin=origin)


def send_descriptors(
    program: Program, socket: Op, name: str, *descriptors: Op, origin: str = "", accept: tuple[int, ...] = ()
) -> Op:
    """sendmsg(2) of open descriptors, with one byte or more of name."""
    shown = ", ".join(op.to or "fd" for op in descriptors)
    vector = Struct("QQ", name.encode(), len(name), text=f'"{name}"')
    # struct cmsghdr of 16 bytes and an int for each, padded to 8
    padding = (0,) * (len(descriptors) % 2)
    count = len(descriptors) + len(padding)
    layout, size = f"Q{2 + count}I", 16 + 4 * len(descriptors)
    control = Struct(layout, size, SOL_SOCKET, SCM_RIGHTS, *descriptors, *padding, text=f"SCM_RIGHTS, {shown}")
    text = f'"{name}", SCM_RIGHTS [{shown}]'
    message = Struct("QIIQQQQII", 0, 0, 0, vector, 1, control, 16 + 4 * count, 0, 0, text=text)
    return program.call("sendmsg", socket, message, 0, origin=origin, accept=accept)


def hand_over(program: Program, *descriptors: Op, origin: str = "") -> None:
    """Give descriptors to the runtime of an ordinary user, by the input "rights" (process/rights.py).

    EBADF: what the image does not have is an errno in place of a descriptor.
    """
    send_descriptors(program, program.input("rights"), "fd", *descriptors, origin=origin, accept=(errno.EBADF,))


def end_hand_over(program: Program) -> None:
    """The socket must not stay open in a container that waits for `start` (CVE-2016-9962)."""
    if "rights" in program.inputs:
        program.call("close", program.input("rights"))
