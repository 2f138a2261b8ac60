# SPDX-License-Identifier: Apache-2.0
"""Mounts that a running container gets or loses: made as those of create are, by descriptors.

The helper joins the namespaces that it needs and no more: it is never in the container's pid namespace nor in its
cgroup, so that nothing inside sees it, stops it, or is charged for it.
"""

from posix import O_DIRECTORY

from pyrunc.config.fields import Config
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import (
    AT_FDCWD,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MNT_DETACH,
    O_CLOEXEC,
    O_PATH,
    PR_SET_DUMPABLE,
    PR_SET_NAME,
    PR_SET_PDEATHSIG,
)
from pyrunc.plan import idmap, mount_row, mounts, namespaces, ops
from pyrunc.plan.calls import end_hand_over, openat2
from pyrunc.plan.program import Op, Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.mount_row import Mount

_SIGKILL = 9
_ALL = 0xFFFFFFFF
_OF_CREATE = ("proc", "cgroup", "cgroup2")
"""Filesystems that show a namespace which the helper does not enter."""
_SHOWN = {"sysfs": CLONE_NEWNET, "mqueue": CLONE_NEWIPC}
"""Filesystems that show the namespace of their maker."""
_TARGET = 40
"""umount2(2) takes nothing but a path: that of a descriptor with a number that is known before (dup3(2))."""


def add(config: Config, host: Host, flags: int) -> Program:
    """Make config.mounts in the container of the input "init", a pidfd; `flags`: CLONE_NEW* in which it differs."""
    rows = mount_row.read(config)
    _check(rows)
    _label(rows, config, host)
    program = Program(host.machine)
    _begin(program)
    maps = idmap.assign(rows, config, program)
    wanted = CLONE_NEWUSER | CLONE_NEWNS
    for row in rows:
        wanted |= _SHOWN.get(row.type, 0)
    if host.rootless and flags & CLONE_NEWUSER:
        # Who may not copy the mounts of the host may do so in a mount namespace of his own, as at create
        _join(program, config, CLONE_NEWUSER)
        program.call("unshare", CLONE_NEWNS)
        wanted &= ~CLONE_NEWUSER
    mounts.open_sources(rows, program)
    root = _join(program, config, flags & wanted)
    for row in rows:
        tree = mounts.make(row, program, root, ops.COPY_UP, ordinary=host.uid != 0)
        if tree is not None:
            mounts.seal(row, program, tree)
    for fd in (*maps, root):
        program.call("close", fd)
    _end(program)
    return program


def remove(config: Config, host: Host, flags: int) -> Program:
    """Unmount what is mounted at the destinations of config.mounts, from the last to the first."""
    program = Program(host.machine)
    _begin(program)
    proc = program.call("openat", AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC, 0, to="proc")
    root = _join(program, config, flags & (CLONE_NEWUSER | CLONE_NEWNS))
    program.call("fchdir", proc)
    rows = mount_row.read(config)
    opened = [(row, openat2(program, root, row.destination, origin=row.origin, to="mounted")) for row in rows]
    for row, placed in reversed(opened):
        program.call("dup3", placed, _TARGET, O_CLOEXEC, origin=row.origin)
        program.call("close", placed)
        # The host's procfs, whatever the container has mounted on its own; the mount itself, whatever is renamed now
        program.call("umount2", f"self/fd/{_TARGET}", MNT_DETACH, origin=row.origin)
    _end(program)
    return program


def made(program: Program, failed: int) -> list[int]:
    """The rows of config.mounts that are in place when instruction `failed` fails; remounts are none."""
    attached = (op for op in program.ops[:failed] if op.name in ("move_mount", "mount"))
    return [int(op.origin.split("/")[2]) for op in attached]


def _begin(program: Program) -> None:
    """Nothing of the caller is open in the helper, and nobody may look into it (CVE-2016-9962, CVE-2024-21626)."""
    program.call("close_range", program.input("first free"), _ALL, 0)
    program.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
    program.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    program.call("prctl", PR_SET_NAME, "pyrunc:init", 0, 0, 0)
    program.call("umask", 0)


def _join(program: Program, config: Config, flags: int) -> Op:
    """Enter the namespaces `flags`; the result is a descriptor of "/" there."""
    if flags:
        program.call("setns", program.input("init"), flags)
    if flags & CLONE_NEWUSER:
        namespaces.become_root(program, config, "")
        program.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    return program.call("openat", AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0, to="root")


def _end(program: Program) -> None:
    end_hand_over(program)
    program.sync(ops.READY, "ready")


def _check(rows: "list[Mount]") -> None:
    for row in rows:
        if row.type in _OF_CREATE and not row.options.bind and not row.options.remount:
            raise row.section.refuse("type", f'"{row.type}" is mounted when a container is created, and not later')


def _label(rows: "list[Mount]", config: Config, host: Host) -> None:
    linux = config.section("linux")
    if linux is not None and linux.has("mountLabel"):
        from pyrunc.plan import lsm

        mount_row.label(rows, lsm.mount_label(linux, host))
