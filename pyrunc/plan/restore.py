# SPDX-License-Identifier: Apache-2.0
"""The program of `restore`: it ends by executing criu, which makes the container's namespaces and processes itself.

criu gets a mount namespace of its own. There the root file system is a mount, as it demands, and the source of each
bind has the flags of its row: criu (4.2 and before) gives none to a second bind of the same source, and a copy takes
over those of its source. What is mounted there the host never sees, and nothing of it is left when criu has ended.
Before that, in another one that is left again, the mount points are made in the order of `mounts`, as create makes
them: also those that lie within a bind.
"""

from posix import O_RDONLY

from pyrunc.config.fields import Config
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import (
    AT_FDCWD,
    CLONE_NEWNET,
    CLONE_NEWNS,
    FSCONFIG_CMD_CREATE,
    FSCONFIG_SET_STRING,
    FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    O_CLOEXEC,
    O_PATH,
)
from pyrunc.plan import idmap, mount_row, mounts, ops, rootfs, session
from pyrunc.plan.calls import mount_setattr, move_mount, open_tree
from pyrunc.plan.program import Op, Program

_ALL = 0xFFFFFFFF
_CLOEXEC = 4  # CLOSE_RANGE_CLOEXEC
FIRST = 64
"""criu finds its socket here, and the other descriptors that it is given behind it: above all that the program has."""


def compile(
    config: Config,
    host: Host,
    folder: str,
    given: int,
    argv: list[str],
    environment: list[str],
    preserve: int = 0,
    unified: str = "",
) -> Program:
    """`folder`: a directory that criu does not need: it finds the sources of binds there, by the index of their rows,
    and `null`, that of masked files. `given`: how many descriptors criu gets, of the inputs "criu 0", …; `argv` begins
    with its absolute path; `preserve` descriptors from 3 on stay open for it, too. `unified`: where cgroup2 is, which
    criu finds in the folder under that name.
    """
    program = Program(host.machine)
    program.call("close_range", program.input("first free"), _ALL, 0)
    program.call("close_range", 3 + preserve, _ALL, _CLOEXEC)
    program.call("umask", 0o022)
    home = program.call("openat", AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC, 0, to="home")
    root = _enter(config, program)
    _mount_points(config, program, root)
    program.call("close", root)
    program.call("setns", home, CLONE_NEWNS)
    program.call("close", home)
    program.call("close", _enter(config, program))
    _sources(config, program, folder, unified)
    for place in range(given):
        # dup3(2) leaves out close-on-exec
        program.call("dup3", program.input(f"criu {place}"), FIRST + place, 0)
    program.exec(argv[:1], ["criu", *argv[1:]], environment, origin="")
    return program


def loopback(host: Host) -> Program:
    """Set `lo` up in the network namespace of the input "init", a pidfd."""
    program = Program(host.machine)
    program.call("close_range", program.input("first free"), _ALL, 0)
    program.call("setns", program.input("init"), CLONE_NEWNET)
    session.loopback(program)
    program.sync(ops.READY, "ready")
    return program


def _enter(config: Config, program: Program) -> Op:
    """A new mount namespace, and the root file system as a mount in it."""
    program.call("unshare", CLONE_NEWNS)
    rootfs.isolate(program)
    root = rootfs.attach(config, program)
    program.call("chdir", "/")
    return root


def _sources(config: Config, program: Program, folder: str, unified: str) -> None:
    rows = [mount for mount in mount_row.read(config) if mount.options.bind and not mount.options.remount]
    null = program.call("openat", AT_FDCWD, "/dev/null", O_PATH | O_CLOEXEC, 0, to="null")
    idmap.assign(rows, config, program)
    mounts.open_sources(rows, program)
    context = program.call("fsopen", "tmpfs", FSOPEN_CLOEXEC, to="context")
    program.call("fsconfig", context, FSCONFIG_SET_STRING, "mode", "700", 0)
    program.call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0)
    root = program.call("fsmount", context, FSMOUNT_CLOEXEC, 0, to="folder")
    over = program.call("openat", AT_FDCWD, folder, O_PATH | O_CLOEXEC, 0, to="over")
    move_mount(program, root, over)
    for mount in rows:
        if mount.tree is not None:
            mounts.dress(mount, program, mount.tree)
            name = mount.origin.rpartition("/")[2]
            move_mount(program, mount.tree, program.mkpath(root, f"/{name}", mount.tree), origin=mount.origin)
    program.call("close", program.mkpath(root, "/empty", ops.KIND_DIRECTORY))
    if unified:
        # No symlink: criu's tasks look it up when their root is another
        cgroups = open_tree(program, AT_FDCWD, unified, to="cgroups")
        move_mount(program, cgroups, program.mkpath(root, "/unified", ops.KIND_DIRECTORY))
    tree = open_tree(program, null, "", to="null_tree")
    mount_setattr(program, tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)
    move_mount(program, tree, program.mkpath(root, "/null", ops.KIND_FILE))


def _mount_points(config: Config, program: Program, root: Op) -> None:
    """What lies on a file system of the container's own has its place there: CRIU brings back the files of a tmpfs."""
    rows = mount_row.read(config)
    own = [mount.destination for mount in rows if not mount.options.bind and not mount.options.remount]
    for mount in rows:
        if mount.options.remount or mount.type in ("cgroup", "cgroup2"):
            continue
        if any(mount.destination.startswith(f"{folder}/") for folder in own):
            continue
        if not mount.options.bind:
            program.call("close", mounts.place(mount, program, root, ops.KIND_DIRECTORY))
            continue
        recursive = mount.options.rbind
        tree = open_tree(program, AT_FDCWD, mount.source, recursive=recursive, origin=mount.origin, to="source")
        target = mounts.place(mount, program, root, tree)
        move_mount(program, tree, target, origin=mount.origin)
        program.call("close", target)
        program.call("close", tree)
