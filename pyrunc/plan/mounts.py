# SPDX-License-Identifier: Apache-2.0
"""config.md#mounts by descriptors: each mount gets its flags while it is detached, and is moved onto an open target."""

import errno
from posix import O_DIRECTORY, O_NOFOLLOW

from pyrunc.linux.mount_flags import ParsedOptions
from pyrunc.linux.uapi import (
    AT_FDCWD,
    FSCONFIG_CMD_CREATE,
    FSCONFIG_CMD_RECONFIGURE,
    FSCONFIG_SET_FLAG,
    FSCONFIG_SET_STRING,
    FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC,
    FSPICK_CLOEXEC,
    FSPICK_EMPTY_PATH,
    MOUNT_ATTR_IDMAP,
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_RDONLY,
    MS_SLAVE,
    O_CLOEXEC,
    O_PATH,
    PROC_SUPER_MAGIC,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_SYMLINKS,
)
from pyrunc.plan import ops
from pyrunc.plan.calls import hand_over, mount_setattr, move_mount, open_tree, openat2
from pyrunc.plan.mount_row import Mount
from pyrunc.plan.program import Load, Op, Program, Struct

_VALUE_MAX = 255
"""fsconfig(2) takes strings of up to 255 bytes; a longer one (overlay's lowerdir) needs mount(2)."""
_ST_MODE = (24, 16)
"""The offset of st_mode in struct stat, by machine."""


def open_sources(mounts: list[Mount], program: Program) -> None:
    """Open what is to be bound, as long as the host's paths are those of the host."""
    for mount in mounts:
        if mount.options.bind and not mount.options.remount:
            mount.tree = open_tree(
                program,
                AT_FDCWD,
                mount.source,
                recursive=mount.options.rbind,
                follow=not (mount.options.src_nofollow or mount.options.copy_symlink),
                origin=mount.origin,
                to="source",
            )
            _map_ids(mount, program, mount.tree)


def _map_ids(mount: Mount, program: Program, tree: Op) -> None:
    """MOUNT_ATTR_IDMAP, which the kernel takes from the filesystem's owner, and for a detached mount only."""
    if mount.idmap is not None:
        deep = mount.options.ridmap
        origin = mount.origin
        mount_setattr(program, tree, MOUNT_ATTR_IDMAP, userns=mount.idmap, recursive=deep, origin=origin)


def make(mount: Mount, program: Program, root: Op, copy_up: int, *, ordinary: bool, instead: str = "") -> "Op | None":
    """Make one mount; the result is its descriptor when it has still to become read-only (`seal`).

    `ordinary`: the caller is no root, and may not look into the helper. `instead`: what is bound, with all below it,
    where the kernel refuses a new mount.
    """
    options = mount.options
    if options.remount:
        _remount(mount, program, root)
        return None
    if mount.tree is not None:
        _bind(mount, program, root, mount.tree)
        return None
    if options.legacy_flags or any(value and len(value) > _VALUE_MAX for _, value in options.data):
        _mount(mount, program, root)
        return None
    late = bool((options.attr_set | options.rec_attr_set) & MOUNT_ATTR_RDONLY)
    late = late and (mount.type == "tmpfs" or mount.destination == "/dev")
    tree = _new(mount, program, late=late, instead=instead)
    target = place(mount, program, root, ops.KIND_DIRECTORY)
    if mount.type == "tmpfs":
        _inherit(mount, program, tree, target, copy_up, ordinary=ordinary)
    move_mount(program, tree, target, origin=mount.origin)
    program.call("close", target)
    mount.late = late
    _let_go(mount, program, tree)
    return tree if late else None


def cover(mount: Mount, program: Program, root: Op, path: str) -> None:
    """Lay an empty filesystem over a directory of what was mounted, if it has that."""
    origin, absent = mount.origin, (errno.ENOENT,)
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS
    target = openat2(program, root, path, O_PATH | O_DIRECTORY, resolve, origin=origin, to="target", accept=absent)
    context = program.call("fsopen", "tmpfs", FSOPEN_CLOEXEC, origin=origin, to="context")
    program.call("fsconfig", context, FSCONFIG_SET_STRING, "mode", "755", 0, origin=origin)
    program.call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0, origin=origin)
    attributes = mount.options.attr_set | MOUNT_ATTR_RDONLY
    empty = program.call("fsmount", context, FSMOUNT_CLOEXEC, attributes, origin=origin, to="empty")
    move_mount(program, empty, target, origin=origin)
    for fd in (context, empty, target):
        program.call("close", fd)
    program.here_on_error(target)


def seal(mount: Mount, program: Program, tree: Op) -> None:
    """`ro` of a tmpfs and of /dev, which other mounts and devices had to be made in."""
    mount_setattr(program, tree, MOUNT_ATTR_RDONLY, origin=mount.origin)
    mount.late = False
    _let_go(mount, program, tree)


def _let_go(mount: Mount, program: Program, tree: Op) -> None:
    """Close the mount's descriptor, unless a row behind it is a remount of it, or it is still to be sealed."""
    mount.tree = tree
    if not mount.remounts and not mount.late:
        program.call("close", tree)


def _bind(mount: Mount, program: Program, root: Op, tree: Op) -> None:
    if mount.destination == "/proc":
        program.check_fs(tree, PROC_SUPER_MAGIC, origin=mount.origin)
    dress(mount, program, tree)
    target = place(mount, program, root, tree)
    move_mount(program, tree, target, origin=mount.origin)
    program.call("close", target)
    if mount.destination == "/":
        # A walk from the descriptor of what it covers would not come into it
        program.call("dup3", tree, root, O_CLOEXEC, origin=mount.origin)
    _let_go(mount, program, tree)


def dress(mount: Mount, program: Program, tree: Op) -> None:
    """Give the detached copy of a bind's source its flags and its propagation."""
    options = mount.options
    if options.attr_set or options.attr_clr:
        mount_setattr(program, tree, options.attr_set, options.attr_clr, origin=mount.origin)
    _tree_attributes(mount, program, tree)
    if not options.propagation and mount.type != "cgroup":
        # Copied before or after the host's tree became a slave: either way nothing of the container reaches the host.
        bits = MS_PRIVATE if mount.private else MS_SLAVE
        mount_setattr(program, tree, propagation=bits, recursive=True, origin=mount.origin)


def _tree_attributes(mount: Mount, program: Program, tree: Op, *, late: bool = False) -> None:
    options = mount.options
    attr_set = options.rec_attr_set & ~(MOUNT_ATTR_RDONLY if late else 0)
    if attr_set or options.rec_attr_clr:
        mount_setattr(program, tree, attr_set, options.rec_attr_clr, recursive=True, origin=mount.origin)
    for bits, recursive in options.propagation:
        mount_setattr(program, tree, propagation=bits, recursive=recursive, origin=mount.origin)


def _new(mount: Mount, program: Program, *, late: bool, instead: str) -> Op:
    """A detached mount of a new superblock: fsopen(2), fsconfig(2), fsmount(2)."""
    refused = (errno.EPERM,) if instead else ()
    options, origin = mount.options, mount.origin
    context = program.call("fsopen", mount.type, FSOPEN_CLOEXEC, origin=origin, to="context", accept=refused)
    if mount.source:
        program.call("fsconfig", context, FSCONFIG_SET_STRING, "source", mount.source, 0, origin=origin)
    for word in options.sb_flags:
        if not (late and word == "ro"):
            program.call("fsconfig", context, FSCONFIG_SET_FLAG, word, None, 0, origin=origin)
    _data(mount, program, context)
    made = program.call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0, origin=origin, accept=refused)
    attributes = options.attr_set & ~MOUNT_ATTR_RDONLY if late else options.attr_set
    tree = program.call("fsmount", context, FSMOUNT_CLOEXEC, attributes, origin=origin, to=mount.type, accept=refused)
    if instead:
        done = program.jump()
        for op in (context, made, tree):
            program.here_on_error(op)
        copy = open_tree(program, AT_FDCWD, instead, recursive=True, origin=origin, to=mount.type)
        copy.register = tree.register
        mount_setattr(program, tree, attributes, propagation=MS_PRIVATE, recursive=True, origin=origin)
        program.here_on_success(done)
    program.call("close", context, accept=(errno.EBADF,) if instead else ())
    _map_ids(mount, program, tree)
    _tree_attributes(mount, program, tree, late=late)
    if mount.label and mount.type == "mqueue":
        # It takes no such option: its root gets the label as any file does
        raw = mount.label.encode()
        program.call("fchdir", tree, origin="/linux/mountLabel")
        program.call("setxattr", ".", "security.selinux", raw, len(raw), 0, origin="/linux/mountLabel")
    return tree


def _data(mount: Mount, program: Program, context: Op) -> None:
    if mount.label and mount.type != "mqueue":
        program.call("fsconfig", context, FSCONFIG_SET_STRING, "context", mount.label, 0, origin="/linux/mountLabel")
    for key, value in mount.options.data:
        command = FSCONFIG_SET_FLAG if value is None else FSCONFIG_SET_STRING
        program.call("fsconfig", context, command, key, value, 0, origin=mount.origin)


def place(mount: Mount, program: Program, root: Op, kind: "Op | int") -> Op:
    """What to mount on, made where it is missing. /proc and /sys must be no symlinks, or their mounts would be
    elsewhere than every later look-up believes (CVE-2019-19921, CVE-2023-28642); and no symlink of the image may lead
    into /proc (CVE-2025-52881).
    """
    destination = mount.destination
    if mount.options.dest_nofollow or mount.options.copy_symlink:
        absent = (errno.ENOENT,)
        link = None
        if mount.options.copy_symlink and not mount.options.dest_nofollow and isinstance(kind, Op):
            # readlink(2): ENOENT for the empty path of what is no symlink
            text = Struct("Q", 0, text="target")
            link = program.call("readlinkat", kind, "", text, 8, origin=mount.origin, to="link", accept=absent)
        target = openat2(
            program, root, destination, O_PATH | O_NOFOLLOW, origin=mount.origin, to="target", accept=absent
        )
        there = program.jump()
        program.here_on_error(target)
        if link is not None:
            program.here_on_error(link)
        program.mkpath(root, destination, kind, origin=mount.origin).register = target.register
        program.here_on_success(there)
    else:
        target = program.mkpath(root, destination, kind, origin=mount.origin)
    if mount.type in ("proc", "sysfs") or destination in ("/proc", "/sys"):
        program.call("close", target)
        resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS
        target = openat2(program, root, destination, O_PATH, resolve, origin=mount.origin, to="target")
    if destination != "/proc" and not destination.startswith("/proc/"):
        program.check_other_fs(target, PROC_SUPER_MAGIC, origin=mount.origin)
    return target


def _inherit(mount: Mount, program: Program, tree: Op, target: Op, copy_up: int, *, ordinary: bool) -> None:
    """A tmpfs without `mode` takes that of the directory that it hides, as with runc; with `tmpcopyup` its files."""
    if not any(key == "mode" for key, _ in mount.options.data):
        stat = Struct("18Q", *(0,) * 18, text="stat")
        program.call("fstat", target, stat, origin=mount.origin)
        inside = program.call("openat", tree, ".", O_DIRECTORY | O_CLOEXEC, 0, origin=mount.origin, to="inside")
        program.call("fchmod", inside, Load(stat, _ST_MODE[program.machine]), origin=mount.origin)
        program.call("close", inside)
    if mount.options.tmpcopyup:
        if ordinary:
            hand_over(program, target, tree, origin=f"{mount.origin}/options")
        program.sync(copy_up, "copy up", target, tree, origin=f"{mount.origin}/options")


def _mount(mount: Mount, program: Program, root: Op) -> None:
    """mount(2), for what only it can say: on ".", which is the opened target; no path of the image is walked."""
    options, origin = mount.options, mount.origin
    if mount.idmap is not None:
        raise mount.section.refuse("options", "no ID-mapped mount can be made by mount(2), which other options need")
    target = place(mount, program, root, ops.KIND_DIRECTORY)
    words = [key if value is None else f"{key}={value}" for key, value in options.data]
    data = ",".join([*words, *([f'context="{mount.label}"'] if mount.label else [])])
    # The kernel's first four attributes are those of mount(2): the mount has them before anybody can see it.
    flags = options.legacy_flags | _legacy(options) | options.attr_set & 15
    program.call("fchdir", target, origin=origin)
    program.call("mount", mount.source or mount.type, ".", mount.type, flags, data or None, origin=origin)
    placed = openat2(program, root, mount.destination, O_PATH, origin=origin, to="mounted")
    if options.attr_set:
        mount_setattr(program, placed, options.attr_set, options.attr_clr, origin=origin)
    _tree_attributes(mount, program, placed)
    program.call("close", target)
    _let_go(mount, program, placed)


_SUPERBLOCK_WORDS = {"ro": MS_RDONLY, "sync": 16, "mand": 64, "dirsync": 128, "lazytime": 1 << 25}


def _legacy(options: ParsedOptions) -> int:
    bits = 0
    for word in options.sb_flags:
        bits |= _SUPERBLOCK_WORDS.get(word, 0)
    return bits


def _remount(mount: Mount, program: Program, root: Op) -> None:
    """`remount` changes what is mounted at the destination; with `bind` not its filesystem, as mount(8) has it."""
    options, origin, base = mount.options, mount.origin, mount.base
    placed = base.tree if base is not None else None
    if placed is None:
        placed = openat2(program, root, mount.destination, O_PATH, origin=origin, to="mounted")
    if options.attr_set or options.attr_clr:
        mount_setattr(program, placed, options.attr_set, options.attr_clr, origin=origin)
    _tree_attributes(mount, program, placed)
    if not options.bind and (options.sb_flags or options.data):
        flags = FSPICK_CLOEXEC | FSPICK_EMPTY_PATH
        context = program.call("fspick", placed, "", flags, origin=origin, to="context")
        for word in options.sb_flags:
            program.call("fsconfig", context, FSCONFIG_SET_FLAG, word, None, 0, origin=origin)
        _data(mount, program, context)
        program.call("fsconfig", context, FSCONFIG_CMD_RECONFIGURE, None, None, 0, origin=origin)
        program.call("close", context)
    if base is None or base.tree is None:
        program.call("close", placed)
    else:
        base.remounts -= 1
        _let_go(base, program, placed)
