# SPDX-License-Identifier: Apache-2.0
"""Mounts of type cgroup: cgroup2, or on version 1 and hybrid hosts a tmpfs with one directory for each hierarchy.

In a cgroup namespace a new mount shows the container's cgroup as its root (cgroup_namespaces(7)). Without one, version
1 gets the container's own directories bound, and cgroup2 the host's mount: a new one would take its options, which all
mounts have in common, from the host: nsdelegate, memory_recursiveprot (cgroup_get_tree in kernel/cgroup/cgroup.c).
Every mount has the flags of the row, also `ro` (CVE-2023-25809).
"""

import errno

from pyrunc.linux.host import Host
from pyrunc.linux.uapi import (
    AT_FDCWD,
    FSCONFIG_CMD_CREATE,
    FSCONFIG_SET_FLAG,
    FSCONFIG_SET_STRING,
    FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC,
    MOUNT_ATTR_RDONLY,
)
from pyrunc.plan import ops
from pyrunc.plan.calls import mount_setattr, move_mount, open_tree
from pyrunc.plan.program import Op, Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.mount_row import Mount

_REFUSED = (errno.EPERM, errno.EBUSY, errno.EACCES)


def make(mount: "Mount", host: Host, program: Program, root: Op, *, private: bool) -> None:
    """Make the mount; `private`: the container has a cgroup namespace."""
    if host.cgroup_mode == "v2":
        words = [key if value is None else f"{key}={value}" for key, value in mount.options.data]
        if private or words:
            tree = _new(mount, program, "cgroup2", words, mount.options.attr_set, _bound(host, private=private))
        else:
            tree = _bind(mount, program, mount.options.attr_set, _bound(host, private=private))
            _propagation(mount, program, tree)
        _place(mount, program, root, mount.destination, tree)
        return
    tree = _tmpfs(mount, program)
    _place(mount, program, root, mount.destination, tree, keep=True)
    for name, options, mount_point, path in host.cgroups:
        folder = mount_point.rpartition("/")[2]
        attributes = mount.options.attr_set
        if private:
            kind = "cgroup" if name else "cgroup2"
            below = _new(mount, program, kind, options.split(",") if options else [], attributes, mount_point + path)
        else:
            below = open_tree(program, AT_FDCWD, mount_point + path, origin=mount.origin, to="cgroup_tree")
            mount_setattr(program, below, attributes, origin=mount.origin)
        _place(mount, program, root, f"{mount.destination}/{folder}", below)
    _links(mount, host, program, root)
    if mount.options.attr_set & MOUNT_ATTR_RDONLY:
        mount_setattr(program, tree, MOUNT_ATTR_RDONLY, origin=mount.origin)
    program.call("close", tree)


def _bound(host: Host, *, private: bool) -> str:
    """What is bound where cgroup2 may not be mounted: what a new mount would show, the container's cgroup or all."""
    if not host.cgroups:
        return "/sys/fs/cgroup"
    _, _, mount_point, path = host.cgroups[0]
    return mount_point + path if private else mount_point


def _new(mount: "Mount", program: Program, kind: str, options: list[str], attributes: int, instead: str) -> Op:
    """A new mount; where the kernel refuses one (no right over the cgroup namespace) a bind of `instead`."""
    origin = mount.origin
    context = program.call("fsopen", kind, FSOPEN_CLOEXEC, origin=origin, to="context", accept=_REFUSED)
    program.call("fsconfig", context, FSCONFIG_SET_STRING, "source", mount.source or "cgroup", 0, origin=origin)
    for option in options:
        key, equals, value = option.partition("=")
        command = FSCONFIG_SET_STRING if equals else FSCONFIG_SET_FLAG
        program.call("fsconfig", context, command, key, value if equals else None, 0, origin=origin)
    made = program.call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0, origin=origin, accept=_REFUSED)
    tree = program.call("fsmount", context, FSMOUNT_CLOEXEC, attributes, origin=origin, to="cgroup", accept=_REFUSED)
    program.call("close", context)
    done = program.jump()
    for op in (context, made, tree):
        program.here_on_error(op)
    copy = _bind(mount, program, attributes, instead)
    copy.register = tree.register
    program.here_on_success(done)
    _propagation(mount, program, tree)
    return tree


def _bind(mount: "Mount", program: Program, attributes: int, path: str) -> Op:
    tree = open_tree(program, AT_FDCWD, path, recursive=True, origin=mount.origin, to="cgroup")
    if attributes:
        mount_setattr(program, tree, attributes, recursive=True, origin=mount.origin)
    return tree


def _propagation(mount: "Mount", program: Program, tree: Op) -> None:
    for bits, recursive in mount.options.propagation:
        mount_setattr(program, tree, propagation=bits, recursive=recursive, origin=mount.origin)


def _tmpfs(mount: "Mount", program: Program) -> Op:
    origin = mount.origin
    context = program.call("fsopen", "tmpfs", FSOPEN_CLOEXEC, origin=origin, to="context")
    program.call("fsconfig", context, FSCONFIG_SET_STRING, "source", "tmpfs", 0, origin=origin)
    program.call("fsconfig", context, FSCONFIG_SET_STRING, "mode", "755", 0, origin=origin)
    program.call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0, origin=origin)
    attributes = mount.options.attr_set & ~MOUNT_ATTR_RDONLY
    tree = program.call("fsmount", context, FSMOUNT_CLOEXEC, attributes, origin=origin, to="tmpfs")
    program.call("close", context)
    return tree


def _place(mount: "Mount", program: Program, root: Op, path: str, tree: Op, *, keep: bool = False) -> None:
    target = program.mkpath(root, path, ops.KIND_DIRECTORY, origin=mount.origin)
    move_mount(program, tree, target, origin=mount.origin)
    program.call("close", target)
    if not keep:
        program.call("close", tree)


def _links(mount: "Mount", host: Host, program: Program, root: Op) -> None:
    """Controllers that share a hierarchy ("cpu,cpuacct") are found by their own names too, as on the host."""
    names = [row[2].rpartition("/")[2] for row in host.cgroups]
    shared = [name for name in names if "," in name]
    if not shared:
        return
    folder = program.mkpath(root, mount.destination, ops.KIND_DIRECTORY, origin=mount.origin, to="folder")
    for name in shared:
        for controller in name.split(","):
            program.call("symlinkat", name, folder, controller, origin=mount.origin, accept=(errno.EEXIST,))
    program.call("close", folder)
