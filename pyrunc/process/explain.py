# SPDX-License-Identifier: Apache-2.0
"""From a report of the helper to an error with its field, its call and its reason; loaded when something failed."""

import errno

from pyrunc.errors import ExecError, HookError, HostError, PyruncError, SetupError
from pyrunc.linux.errnos import reason
from pyrunc.plan import ops
from pyrunc.process import executable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.execve import Command
    from pyrunc.plan.program import Program
    from pyrunc.process.protocol import Report

_CANDIDATES = ("faccessat2", "execve")


def failure(program: "Program", report: "Report | None", pid: int, command: "Command | None") -> PyruncError:
    """The error of a report (None: killed); `pid` is the process that failed and still waits, 0 when unknown."""
    if report is None:
        return HostError("pyrunc-init was killed while it set up the container; a memory limit may be too low for it")
    op = program.ops[report.index]
    return of_instruction(op.name, op.origin, report, pid, command, program.describe(report.index))


def of_instruction(
    name: str, origin: str, report: "Report", pid: int, command: "Command | None", call: str
) -> PyruncError:
    """The same where only the name, the origin and the text of the instruction were kept."""
    if report.kind == ops.REPORT_HOOK:
        return HookError(hook_fate(report), origin)
    if name in _CANDIDATES and command is not None:
        return ExecError(executable.reason(command.args[0], report.value, pid, command.candidates), origin)
    return SetupError(origin, call, report.value, reason(report.value), _why(name, call, report))


def hook_fate(report: "Report") -> str:
    """What became of a hook that ran inside, and the end of what it printed."""
    output = report.detail.decode("utf-8", "backslashreplace").strip()
    said = f": {output}" if output else ""
    if report.value == ops.HOOK_TIMED_OUT:
        return f"the hook timed out and was killed{said}"
    if report.value <= ops.HOOK_NOT_EXECUTED * 2:
        return f"the hook could not be started: {reason(ops.HOOK_NOT_EXECUTED * 2 - report.value)}"
    if report.value <= ops.HOOK_NOT_EXECUTED:
        return f"the hook could not be executed: {reason(ops.HOOK_NOT_EXECUTED - report.value)}"
    signal = report.value & 0x7F
    return (
        f"the hook was killed by signal {signal}" if signal else f"the hook failed with exit status {report.value >> 8}"
    ) + said


def _why(name: str, call: str, report: "Report") -> str:
    """What the kernel said beside the errno, or what the errno means for this call."""
    said = [line[2:] for line in report.detail.decode("utf-8", "backslashreplace").splitlines()]
    if said:
        return ", ".join(said)
    number = report.value
    if name == "fsopen" and number == errno.ENODEV:
        return "the kernel has no such filesystem; a bind mount needs bind or rbind in options"
    if name == "move_mount" and number in (errno.EINVAL, errno.ENOTDIR):
        return "one of source and destination is a directory, the other is a file"
    if name == "check" and "filesystem" in call:
        return "it is on another filesystem than it must be"
    if name == "check" and "byte" in call:
        return "the directory is outside the container's root"
    if name == "check":
        return "what lies there is not the device that is wanted"
    if name == "setns" and number == errno.EINVAL:
        return "the path is no namespace of this type"
    if number == errno.ELOOP:
        return "a symlink is where none may be"
    return _HINTS.get((name, number), "")


_HINTS = {
    ("clone3", errno.EBUSY): "the cgroup has controllers enabled for its children, so that no process may be in it",
    ("clone3", errno.EAGAIN): "a limit on processes (RLIMIT_NPROC or pids.max) is reached",
    ("clone3", errno.ENOSPC): "a limit on nested namespaces (/proc/sys/user) is reached",
    ("clone3", errno.EPERM): "new namespaces need privileges, or a user namespace",
    ("pivot_root", errno.EINVAL): "the host's root is the initial ramfs; use --no-pivot",
    ("setgroups", errno.EPERM): "the user namespace denies setgroups",
    ("setresuid", errno.EINVAL): "the user id is not mapped in the user namespace",
    ("setresgid", errno.EINVAL): "the group id is not mapped in the user namespace",
    ("mknodat", errno.EPERM): "this user namespace may not make devices",
}
