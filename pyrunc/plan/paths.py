# SPDX-License-Identifier: Apache-2.0
"""Masked and read-only paths: config-linux.md#masked-paths, #readonly-paths.

A masked file gets the host's /dev/null, opened and verified before the image is looked at, never the container's
(CVE-2025-31133); a masked directory gets an empty tmpfs that is read-only. A path that is not there needs no mask.
"""

import errno
from posix import O_DIRECTORY, makedev

from pyrunc.config.fields import Config
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import (
    AT_FDCWD,
    FSCONFIG_CMD_CREATE,
    FSCONFIG_SET_STRING,
    FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    O_CLOEXEC,
    O_PATH,
    S_IFCHR,
)
from pyrunc.plan.calls import mount_setattr, move_mount, open_tree, openat2
from pyrunc.plan.program import Op, Program

_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_LOCKED = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
_CLONE_OF_DETACHED = (6, 15)
"""The Linux that lets open_tree(2) copy a mount that is attached nowhere; an older one gets a tmpfs for each mask."""


class Masks:
    """What is laid over masked paths, opened while the host's files are in reach."""

    __slots__ = ("directory", "label", "null")

    def __init__(self, null: Op, directory: "Op | None", label: str) -> None:
        self.null = null
        self.directory = directory
        self.label = label


def listed(config: Config, key: str) -> list[str]:
    """linux.maskedPaths or linux.readonlyPaths, each absolute."""
    linux = config.section("linux")
    if linux is None:
        return []
    paths = linux.texts(key)
    for index, path in enumerate(paths):
        if path[:1] != "/":
            raise linux.refuse(key, f'entry {index}, "{path}", is not absolute')
    return paths


def prepare(config: Config, host: Host, program: Program) -> "Masks | None":
    """Open /dev/null of the host, and make the tmpfs that all masked directories share."""
    if not listed(config, "maskedPaths"):
        return None
    origin = "/linux/maskedPaths"
    null = program.call("openat", AT_FDCWD, "/dev/null", O_PATH | O_CLOEXEC, 0, origin=origin, to="null")
    program.check(null, S_IFCHR, makedev(1, 3), origin=origin)
    label = config.require("linux").text("mountLabel", "")
    return Masks(null, _empty(program, origin, label) if host.kernel >= _CLONE_OF_DETACHED else None, label)


def _empty(program: Program, origin: str, label: str) -> Op:
    context = program.call("fsopen", "tmpfs", FSOPEN_CLOEXEC, origin=origin, to="context")
    if label:
        program.call("fsconfig", context, FSCONFIG_SET_STRING, "context", label, 0, origin="/linux/mountLabel")
    for key, value in (("size", "0k"), ("nr_inodes", "1"), ("mode", "755")):
        program.call("fsconfig", context, FSCONFIG_SET_STRING, key, value, 0, origin=origin)
    program.call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0, origin=origin)
    empty = program.call("fsmount", context, FSMOUNT_CLOEXEC, _LOCKED, origin=origin, to="empty")
    program.call("close", context)
    return empty


def mask(config: Config, program: Program, root: Op, masks: Masks) -> None:
    """Lay a mask on each of linux.maskedPaths that exists."""
    for index, path in enumerate(listed(config, "maskedPaths")):
        origin = f"/linux/maskedPaths/{index}"
        directory = openat2(program, root, path, O_PATH | O_DIRECTORY, origin=origin, to="target", accept=_ABSENT)
        if masks.directory:
            tree = open_tree(program, masks.directory, "", origin=origin)
        else:
            tree = _empty(program, origin, masks.label)
        move_mount(program, tree, directory, origin=origin)
        program.call("close", tree)
        program.call("close", directory)
        done = program.jump()
        program.here_on_error(directory)
        file = openat2(program, root, path, origin=origin, to="target", accept=_ABSENT)
        tree = open_tree(program, masks.null, "", origin=origin)
        mount_setattr(program, tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, origin=origin)
        move_mount(program, tree, file, origin=origin)
        program.call("close", tree)
        program.call("close", file)
        program.here_on_error(file)
        program.here_on_success(done)
    program.call("close", masks.null)
    if masks.directory:
        program.call("close", masks.directory)


def read_only(config: Config, program: Program, root: Op) -> None:
    """Bind each of linux.readonlyPaths that exists onto itself, read-only."""
    for index, path in enumerate(listed(config, "readonlyPaths")):
        origin = f"/linux/readonlyPaths/{index}"
        target = openat2(program, root, path, origin=origin, to="target", accept=_ABSENT)
        tree = open_tree(program, target, "", recursive=True, origin=origin)
        mount_setattr(program, tree, MOUNT_ATTR_RDONLY, origin=origin)
        move_mount(program, tree, target, origin=origin)
        program.call("close", tree)
        program.call("close", target)
        program.here_on_error(target)
