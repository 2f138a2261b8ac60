# SPDX-License-Identifier: Apache-2.0
"""The root filesystem: config.md#root, config-linux.md#rootfs-mount-propagation, pivot_root(2)."""

import errno
from posix import O_DIRECTORY

from pyrunc.config.fields import Config
from pyrunc.linux.uapi import (
    AT_FDCWD,
    AT_RECURSIVE,
    MNT_DETACH,
    MOUNT_ATTR_RDONLY,
    MS_MOVE,
    MS_PRIVATE,
    MS_RDONLY,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
    O_CLOEXEC,
    O_PATH,
)
from pyrunc.plan.calls import mount_setattr, move_mount, open_tree
from pyrunc.plan.program import Op, Program, Struct

_PROPAGATION = {"shared": MS_SHARED, "slave": MS_SLAVE, "private": MS_PRIVATE, "unbindable": MS_UNBINDABLE}

_EARLY = (MS_PRIVATE, MS_SLAVE)
"""What can be given to the root before pivot_root(2), which takes no shared mount."""


def propagation(config: Config) -> tuple[int, bool]:
    """linux.rootfsPropagation as (MS_*, recursive); (0, False) when unset."""
    linux = config.section("linux")
    word = linux.text("rootfsPropagation", "") if linux is not None else ""
    if not word:
        return 0, False
    recursive = word[0] == "r"
    bits = _PROPAGATION.get(word[1:] if recursive else word)
    if bits is None or linux is None:
        raise config.require("linux").refuse("rootfsPropagation", f'unknown propagation "{word}"')
    return bits, recursive


def path(config: Config) -> str:
    """The absolute path of root.path on the host."""
    given = config.require("root").text("path")
    return given if given[:1] == "/" else f"{config.bundle}/{given}"


def isolate(program: Program) -> None:
    """Mounts made from here on do not reach the host; those of the host still come in where a bind asks for it."""
    attr = Struct("4Q", 0, 0, MS_SLAVE, 0)
    program.call("mount_setattr", AT_FDCWD, "/", AT_RECURSIVE, attr, 32)


def attach(config: Config, program: Program) -> Op:
    """Make the root filesystem a mount of its own, on its place; its descriptor is the root of all later look-ups.

    The path is walked once: a symlink in it is followed, and leads to one directory for both calls. Unless
    rootfsPropagation says otherwise it is private, as with runc: what the host mounts in the bundle later stays out.
    rprivate and rslave are given before there are mounts in it, which then keep what they ask for themselves.
    """
    origin = "/root/path"
    flags = O_PATH | O_DIRECTORY | O_CLOEXEC
    place = program.call("openat", AT_FDCWD, path(config), flags, 0, origin=origin, to="place")
    root = open_tree(program, place, "", recursive=True, origin=origin, to="rootfs")
    bits, recursive = propagation(config)
    if not bits:
        mount_setattr(program, root, propagation=MS_PRIVATE, origin=origin)
    elif recursive and bits in _EARLY:
        mount_setattr(program, root, propagation=bits, recursive=True, origin="/linux/rootfsPropagation")
    move_mount(program, root, place, origin=origin)
    program.call("close", place)
    return root


def read_only(config: Config, program: Program, root: Op) -> None:
    """root.readonly, once every mount point is made."""
    if config.require("root").flag("readonly"):
        mount_setattr(program, root, MOUNT_ATTR_RDONLY, origin="/root/readonly")


def pivot(config: Config, program: Program, root: Op, *, no_pivot: bool) -> None:
    """Make `root` the root, and let go of the host's.

    pivot_root(".", ".") stacks the old root upon the new one: neither needs a directory in the other (pivot_root(2)).
    `no_pivot` is for a host whose root is the initial ramfs, which cannot be pivoted: the mount is moved instead.
    """
    program.call("fchdir", root, origin="/root/path")
    if no_pivot:
        _hide_host(program)
        program.call("mount", ".", "/", None, MS_MOVE, None, origin="/root/path")
        program.call("chroot", ".", origin="/root/path")
    else:
        program.call("pivot_root", ".", ".", origin="/root/path")
        program.call("umount2", ".", MNT_DETACH, origin="/root/path")
    program.call("chdir", "/")
    bits, recursive = propagation(config)
    if bits and not (recursive and bits in _EARLY):
        mount_setattr(program, root, propagation=bits, recursive=recursive, origin="/linux/rootfsPropagation")


def _hide_host(program: Program) -> None:
    """Without a pivot the host's mounts stay below. With its procfs and sysfs in reach, a user namespace made inside
    could mount ones without the masks (mount_too_revealing in fs/namespace.c); what is locked there is covered.
    """
    for folder, kind in (("/proc", "proc"), ("/sys", "sysfs")):
        gone = program.call("umount2", folder, MNT_DETACH, origin="/root/path", accept=(errno.EINVAL, errno.EPERM))
        done = program.jump()
        program.here_on_error(gone)
        program.call("mount", kind, folder, "tmpfs", MS_RDONLY, None, origin="/root/path")
        program.here_on_success(done)


def enter_running(program: Program) -> None:
    """The root of a running container that has no mount namespace to join: the input "root", a directory."""
    root = program.input("root")
    program.call("fchdir", root, origin="/root/path")
    program.call("chroot", ".", origin="/root/path")
    program.call("close", root)


def enter(program: Program, config: Config) -> None:
    """Without a mount namespace of its own the container gets a root, and nothing is mounted: chroot(2)."""
    program.call("chroot", path(config), origin="/root/path")
    program.call("chdir", "/")
