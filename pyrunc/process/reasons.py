# SPDX-License-Identifier: Apache-2.0
"""Why a system call of the program failed, as far as a look at the files, the limits and the ids can tell.

Loaded when something failed. One function for each call that needs a look, one row for each errno that means one thing.
"""

import errno

from pyrunc.linux.uapi import AT_FDCWD, AT_RECURSIVE, DEVPTS_SUPER_MAGIC, MOUNT_ATTR_IDMAP, PROC_SUPER_MAGIC
from pyrunc.plan import ops
from pyrunc.plan.program import Op, Struct
from pyrunc.process import refusals
from pyrunc.process.look import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.plan.program import Operand, Program

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES)


class Failure:
    """An instruction that failed: its op, its errno, what the kernel said beside it, the pid that waits (0: none), and
    the path of the container's root on the host.
    """

    __slots__ = ("_root", "number", "op", "pid", "program", "said")

    def __init__(self, program: "Program", op: Op, number: int, said: list[str], pid: int, root: str) -> None:
        self.program = program
        self.op = op
        self.number = number
        self.said = said
        self.pid = pid
        self._root = root

    def rootfs(self) -> View:
        """The container's root filesystem, with what is mounted in it by now."""
        path = next((text(op.operands[1]) for op in self.program.ops if op.to == "place"), "")
        pivoted = any(op.name in ("pivot_root", "chroot") for op in self.program.ops[: self.op.index])
        if pivoted or not path:
            return View(self.pid, "", "in the container", self._root)
        return View(self.pid, path, "in the root filesystem")

    def host(self) -> View:
        """The host's files as the process sees them, before it has left them."""
        return View(self.pid)


def why(failure: Failure) -> str:
    """The reason in one line, or ""."""
    probe = _PROBES.get(failure.op.name)
    found = probe(failure) if probe is not None else ""
    said = ", ".join(failure.said)
    if not found and not said:
        found = refusals.HINTS.get((failure.op.name, failure.number)) or refusals.ANYWHERE.get(failure.number, "")
    return ": ".join(part for part in (said, found) if part)


def text(operand: "Operand") -> str:
    """A string operand; "" for any other."""
    return operand if isinstance(operand, str) else ""


def _path(failure: Failure) -> str:
    """A path that is walked from "/" of the process: openat, open_tree, chdir, chroot."""
    operands = failure.op.operands
    path = text(operands[0]) or (text(operands[1]) if operands[0] == AT_FDCWD else "")
    if not path or failure.number not in _ABSENT:
        return ""
    denied = failure.number == errno.EACCES
    if path.startswith("/proc/") and failure.number == errno.ENOENT:
        gone = refusals.process_gone(path)
        if gone:
            return gone
    view = failure.rootfs() if failure.op.name == "chdir" else failure.host()
    try:
        found = view.blame(path, denied=denied)
        # O_DIRECTORY, chdir, chroot: all components are there, and the last is no directory
        if not found and failure.number == errno.ENOTDIR:
            found = f'"{path}" is a {view.kind(path) or "file"} {view.where}'
        if found and failure.op.origin.startswith("/linux/devices"):
            return f"{found}, whose devices are bound where a user namespace cannot make any"
        return found
    finally:
        view.close()


def _place(op: Op) -> str:
    """The path of a call that begins at a directory of the root filesystem, as seen from that root."""
    path = next((text(operand) for operand in op.operands if text(operand)), "")
    folder = next((text(o.operands[1]) for o in op.operands if isinstance(o, Op) and o.code == ops.MKPATH), "")
    return path if path[:1] == "/" else f"{folder}/{path}"


def _mkpath(failure: Failure) -> str:
    path = text(failure.op.operands[1])
    view = failure.rootfs()
    try:
        if failure.number in (errno.ENOTDIR, errno.ELOOP):
            return view.blame(path)
        if failure.number in (errno.EROFS, errno.EACCES, errno.EPERM):
            missing = view.blame(path)
            cause = "its filesystem is read-only" if failure.number == errno.EROFS else "it may not be made there"
            return f"the mount point cannot be made: {missing}, and {cause}" if missing else ""
        return ""
    finally:
        view.close()


def _move_mount(failure: Failure) -> str:
    """EINVAL has many causes; files and directories that do not go together can be seen."""
    if failure.number not in (errno.EINVAL, errno.ENOTDIR):
        return ""
    tree, target = failure.op.operands[0], failure.op.operands[2]
    if not isinstance(tree, Op) or not isinstance(target, Op):
        return ""
    destination = next((text(o) for o in target.operands if text(o)), "")
    source = text(tree.operands[1]) if tree.name == "open_tree" else ""
    view = failure.rootfs()
    try:
        below = view.kind(destination)
    finally:
        view.close()
    if source:
        view = failure.host()
        try:
            above = view.kind(source)
        finally:
            view.close()
    else:
        above = "directory"
    if not above or not below or (above == "directory") == (below == "directory"):
        return ""
    if tree.name != "open_tree":
        return f'a filesystem cannot be mounted on a {below}: destination "{destination}"'
    return f'a {above} cannot be mounted on a {below}: source "{source}", destination "{destination}"'


def _openat2(failure: Failure) -> str:
    path = text(failure.op.operands[1])
    if failure.op.origin.startswith("/linux/sysctl/"):
        return refusals.sysctl(path.removeprefix("sys/"), failure.number)
    view = failure.rootfs()
    try:
        if path == "dev/pts/ptmx" and failure.number in (errno.ENOENT, errno.ENOTDIR):
            return f"{view.blame(path)}: a terminal needs a mount of type devpts on /dev/pts"
        place = _place(failure.op)
        target = view.target(place) if failure.number == errno.ELOOP else ""
        if target:
            return f'"{place}" {view.where} is a symlink to "{target}", where none may be'
        return view.blame(place, denied=failure.number == errno.EACCES)
    finally:
        view.close()


def _fsopen(failure: Failure) -> str:
    kind = text(failure.op.operands[0])
    if failure.number == errno.EPERM:
        owner = {"sysfs": "a network", "mqueue": "an ipc"}.get(kind)
        return f"a new {kind} needs {owner} namespace that belongs to the same user namespace" if owner else ""
    if failure.number != errno.ENODEV:
        return ""
    following = failure.program.ops[failure.op.index + 1 : failure.op.index + 2]
    source = text(following[0].operands[3]) if following and following[0].name == "fsconfig" else ""
    hint = "; a bind mount needs bind or rbind in options" if source[:1] in ("/", ".") else ""
    return f'the kernel has no filesystem "{kind}"{hint}'


def _fsconfig(failure: Failure) -> str:
    key, value = text(failure.op.operands[2]), text(failure.op.operands[3])
    if key in ("uid", "gid") and failure.number == errno.EINVAL and value.isdigit():
        return refusals.unmapped(key, value, failure.pid)
    if value[:1] == "/" and failure.number in _ABSENT:
        view = failure.host()
        try:
            return view.blame(value, denied=failure.number == errno.EACCES)
        finally:
            view.close()
    return _too_revealing(failure)


def _too_revealing(failure: Failure) -> str:
    """mount_too_revealing in fs/namespace.c: with a user namespace a new procfs or sysfs must not show more."""
    context = failure.op.operands[0]
    kind = text(context.operands[0]) if isinstance(context, Op) and context.operands else ""
    if failure.number != errno.EPERM or kind not in ("proc", "sysfs"):
        return ""
    covered = refusals.covered("/sys" if kind == "sysfs" else "/proc")
    if covered and failure.op.name == "fsmount":
        return f"a new {kind} needs an old one that nothing covers, and here lies something over {', '.join(covered)}"
    if kind == "proc" and failure.op.name == "fsconfig":
        return "a new proc needs a pid namespace that belongs to the same user namespace"
    return f"a new {kind} needs an old one that is visible here"


def _mount_setattr(failure: Failure) -> str:
    """An ID-mapped mount; other attributes fail in one way only."""
    attr, tree = failure.op.operands[3], failure.op.operands[0]
    if not isinstance(attr, Struct) or not isinstance(tree, Op) or attr.values[0] != MOUNT_ATTR_IDMAP:
        return ""
    source = text(tree.operands[1]) if tree.name == "open_tree" else ""
    kind = refusals.filesystem(source) if source else tree.to or ""
    if failure.number == errno.EINVAL:
        below = " or one of the mounts below it" if failure.op.operands[2] & AT_RECURSIVE else ""  # type: ignore[operator]
        return f"this kernel has no ID-mapped mounts for the filesystem {kind}{below}"
    if failure.number == errno.EPERM:
        return f"it needs CAP_SYS_ADMIN in the user namespace that owns the filesystem {kind}; or it is mapped already"
    return ""


def _setns(failure: Failure) -> str:
    opened = failure.op.operands[0]
    wanted = failure.op.operands[1]
    if not isinstance(opened, Op) or opened.name != "openat" or not isinstance(wanted, int):
        return ""
    return refusals.namespace(text(opened.operands[1]), wanted, failure.number)


def _check(failure: Failure) -> str:
    fd, what = failure.op.operands[:2]
    if what == ops.CHECK_FS:
        magic = failure.op.operands[2]
        kind = {PROC_SUPER_MAGIC: "proc", DEVPTS_SUPER_MAGIC: "devpts"}.get(magic) if isinstance(magic, int) else None
        hint = "; a terminal needs a mount of it on /dev/pts" if kind == "devpts" else ""
        return (
            f"it is not on a filesystem of type {kind}{hint}" if kind else "it is on another filesystem than it must be"
        )
    if what == ops.CHECK_OTHER_FS:
        return "a symlink leads into /proc, where nothing may be mounted"
    if what == ops.CHECK_BYTE:
        return "the directory is outside the container's root"
    if not isinstance(fd, Op):
        return ""
    wanted, number = failure.op.operands[2:4]
    place = _place(fd)
    view = failure.host() if fd.name == "openat" else failure.rootfs()
    try:
        facts = view.facts(place, follow=False)
    finally:
        view.close()
    if isinstance(facts, int) or not isinstance(wanted, int) or not isinstance(number, int):
        return "what lies there is not the device that is wanted"
    found = refusals.device(facts.st_mode, facts.st_rdev)
    return f'"{place}" {view.where} is {found}, not {refusals.device(wanted, number)}'


def _prlimit(failure: Failure) -> str:
    limit = failure.op.operands[2]
    number = failure.op.operands[1]
    if failure.number != errno.EPERM or not isinstance(limit, Struct) or not isinstance(number, int):
        return ""
    hard = limit.values[1]
    return refusals.rlimit(number, hard) if isinstance(hard, int) else ""


def _ids(failure: Failure) -> str:
    kind = "uid" if failure.op.name == "setresuid" else "gid"
    wanted = failure.op.operands[0]
    return (
        refusals.unmapped(kind, wanted if isinstance(wanted, int) else 0, failure.pid)
        if failure.number == errno.EINVAL
        else ""
    )


def _setgroups(failure: Failure) -> str:
    if failure.number == errno.EINVAL:
        return f"a group is not mapped in the user namespace: {refusals.mapped(failure.pid, 'gid_map')}"
    return ""


def _write(failure: Failure) -> str:
    origin = failure.op.origin
    if origin.startswith("/linux/sysctl/"):
        value = failure.op.operands[1]
        shown = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
        return f'the kernel refuses the value "{shown}"'
    if origin.endswith("/apparmorProfile") and failure.number == errno.ENOENT:
        return "no profile of this name is loaded"
    if origin.endswith("/selinuxLabel") and failure.number == errno.EINVAL:
        return "the policy knows no such label"
    if origin == "/linux/timeOffsets" and failure.number == errno.ERANGE:
        return "the clock would be below 0, or beyond its end"
    if origin.endswith("/oomScoreAdj"):
        return refusals.oom_score()
    return ""


def _mknodat(failure: Failure) -> str:
    if failure.number in (errno.ENOTDIR, errno.EROFS):
        view = failure.rootfs()
        try:
            return view.blame(_place(failure.op))
        finally:
            view.close()
    if failure.number == errno.EPERM:
        return "the device rules of the cgroup (/linux/resources/devices), or a missing CAP_MKNOD, forbid to make it"
    return ""


def _ioctl(failure: Failure) -> str:
    if failure.number == errno.EPERM and failure.op.origin == "/linux/namespaces":
        return "it needs CAP_NET_ADMIN in the user namespace of the network namespace"
    return ""


_PROBES: "dict[str, Callable[[Failure], str]]" = {
    "openat": _path,
    "open_tree": _path,
    "chdir": _path,
    "chroot": _path,
    "ioctl": _ioctl,
    "mkpath": _mkpath,
    "move_mount": _move_mount,
    "openat2": _openat2,
    "fsopen": _fsopen,
    "fsconfig": _fsconfig,
    "fsmount": _too_revealing,
    "mount_setattr": _mount_setattr,
    "setns": _setns,
    "check": _check,
    "prlimit64": _prlimit,
    "setresuid": _ids,
    "setresgid": _ids,
    "setgroups": _setgroups,
    "write": _write,
    "mknodat": _mknodat,
}
