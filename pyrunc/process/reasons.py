# SPDX-License-Identifier: Apache-2.0
"""Why a system call of the program failed, as far as a look at the files, the limits and the ids can tell.

Loaded when something failed. One function for each call that needs a look, one row for each errno that means one thing.
"""

import errno

from pyrunc.linux.uapi import AT_FDCWD
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
            return View(self.pid, "", "in the root filesystem", self._root)
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
        return found or (view.blame(f"{path}/.", denied=True) if denied else "")
    finally:
        view.close()


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
        if failure.number == errno.ELOOP:
            target = view.target(path)
            return (
                f'"{path}" is a symlink to "{target}", where none may be'
                if target
                else "a symlink is where none may be"
            )
        return view.blame(path, denied=failure.number == errno.EACCES)
    finally:
        view.close()


def _fsopen(failure: Failure) -> str:
    if failure.number != errno.ENODEV:
        return ""
    kind = text(failure.op.operands[0])
    following = failure.program.ops[failure.op.index + 1 : failure.op.index + 2]
    source = text(following[0].operands[3]) if following and following[0].name == "fsconfig" else ""
    hint = "; a bind mount needs bind or rbind in options" if source[:1] in ("/", ".") else ""
    return f'the kernel has no filesystem "{kind}"{hint}'


def _fsconfig(failure: Failure) -> str:
    key, value = text(failure.op.operands[2]), text(failure.op.operands[3])
    if key in ("uid", "gid") and failure.number == errno.EINVAL and not failure.said:
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
    covered = refusals.covered(f"/{'sys' if kind == 'sysfs' else kind}")
    if covered:
        return f"a new {kind} needs an old one that nothing covers, and here lies something over {', '.join(covered)}"
    if kind == "sysfs":
        return "a new sysfs needs a network namespace that belongs to the same user namespace"
    return "a new proc needs a pid namespace that belongs to the same user namespace, and a /proc that is visible"


def _setns(failure: Failure) -> str:
    opened = failure.op.operands[0]
    wanted = failure.op.operands[1]
    if not isinstance(opened, Op) or opened.name != "openat" or not isinstance(wanted, int):
        return ""
    return refusals.namespace(text(opened.operands[1]), wanted, failure.number)


def _check(failure: Failure) -> str:
    fd, what = failure.op.operands[:2]
    if what == ops.CHECK_FS:
        return "it is on another filesystem than it must be"
    if what == ops.CHECK_BYTE:
        return "the directory is outside the container's root"
    if not isinstance(fd, Op):
        return ""
    wanted, number = failure.op.operands[2:4]
    path = next((text(o) for o in fd.operands if text(o)), "")
    folder = next((text(o.operands[1]) for o in fd.operands if isinstance(o, Op) and o.code == ops.MKPATH), "")
    view = failure.host() if fd.name == "openat" else failure.rootfs()
    try:
        place = path if path[:1] == "/" else f"{folder}/{path}"
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
    if origin.endswith("/oomScoreAdj"):
        return refusals.oom_score()
    return ""


def _mknodat(failure: Failure) -> str:
    if failure.number == errno.EPERM:
        return "the device rules of the cgroup (/linux/resources/devices), or a missing CAP_MKNOD, forbid to make it"
    return ""


_PROBES: "dict[str, Callable[[Failure], str]]" = {
    "openat": _path,
    "open_tree": _path,
    "chdir": _path,
    "chroot": _path,
    "mkpath": _mkpath,
    "move_mount": _move_mount,
    "openat2": _openat2,
    "fsopen": _fsopen,
    "fsconfig": _fsconfig,
    "fsmount": _too_revealing,
    "setns": _setns,
    "check": _check,
    "prlimit64": _prlimit,
    "setresuid": _ids,
    "setresgid": _ids,
    "setgroups": _setgroups,
    "write": _write,
    "mknodat": _mknodat,
}
