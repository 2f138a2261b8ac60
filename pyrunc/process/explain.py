# SPDX-License-Identifier: Apache-2.0
"""From a report of the helper to an error with its field, its call and its reason; loaded when something failed."""

from errno import ENOSYS, EPERM

from pyrunc.errors import ExecError, HookError, PyruncError, SetupError
from pyrunc.linux.errnos import reason
from pyrunc.plan import ops
from pyrunc.plan.listing import call
from pyrunc.plan.program import Op, Program, Struct
from pyrunc.process import executable, reasons
from pyrunc.process.look import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.execve import Command
    from pyrunc.process.protocol import Report

_CANDIDATES = ("faccessat2", "execve")
_FILTERED = (EPERM, ENOSYS)
"""What execve(2) says by itself of next to no program, and a seccomp filter of all."""


def failure(program: Program, report: "Report", pid: int, command: "Command | None", rootfs: str) -> PyruncError:
    """The error of a report; `pid` is the process that failed and still waits, 0 when unknown; `rootfs` is the path of
    its root on the host.
    """
    filtered = any(op.name == "seccomp" for op in program.ops)
    return _error(program, program.ops[report.index], report, pid, command, rootfs, filtered=filtered)


def failure_of_tail(rows: list[object], report: "Report", pid: int, command: "Command", rootfs: str) -> PyruncError:
    """The same after `start`, of what create kept of the program's end (container.launch): the program is gone."""
    for row in rows:
        if isinstance(row, list) and len(row) == 5 and row[0] == report.index:
            index, code, name, origin, operands = row
            op = Op(index, code, name, tuple(_operand(kept) for kept in operands), origin, None)
            filtered = any(isinstance(other, list) and "seccomp" in other for other in rows)
            return _error(Program(), op, report, pid, command, rootfs, filtered=filtered)
    return SetupError("", f"instruction {report.index}", report.value, reason(report.value))


def _operand(kept: object) -> "int | str | Op | Struct | None":
    """An operand as container.launch keeps it."""
    if isinstance(kept, list):
        return Struct("", text=str(kept[0]))
    if isinstance(kept, dict):
        return Op(0, 0, "", (), "", str(kept.get("to")))
    return kept if isinstance(kept, int | str) else None


def _error(
    program: Program,
    op: Op,
    report: "Report",
    pid: int,
    command: "Command | None",
    rootfs: str,
    *,
    filtered: bool,
) -> PyruncError:
    if report.kind == ops.REPORT_HOOK:
        kind, number = op.origin.split("/")[-2:]
        path = _text(op)
        return HookError(f"error running {kind} hook #{number}: {path}: {_fate(op, report, pid, rootfs)}", op.origin)
    if op.name == "execve" and command is not None and report.value in _FILTERED and filtered:
        # Not the program's fault, so that these words are not for it.
        why = "the filter does not let execve through, by which the program is started"
        return SetupError("/linux/seccomp", f'execve("{command.args[0]}")', report.value, reason(report.value), why)
    if op.name in _CANDIDATES and command is not None:
        return ExecError(executable.reason(command, report.value, pid, rootfs), op.origin)
    said = [line[2:] for line in report.detail.decode("utf-8", "backslashreplace").splitlines()]
    why = reasons.why(reasons.Failure(program, op, report.value, said, pid, rootfs))
    return SetupError(op.origin, call(op), report.value, reason(report.value), why)


def _text(op: Op) -> str:
    path = op.operands[0]
    return path if isinstance(path, str) else ""


def _fate(op: Op, report: "Report", pid: int, rootfs: str) -> str:
    """What became of a hook that ran inside, and the end of what it printed; in the words of process/hooks.py."""
    output = report.detail.decode("utf-8", "backslashreplace").strip()
    said = f": {output}" if output else ""
    if report.value == ops.HOOK_TIMED_OUT:
        milliseconds = op.operands[4] if len(op.operands) > 4 else 0
        return f"timed out after {int(milliseconds) // 1000 if isinstance(milliseconds, int) else 0} s{said}"
    if report.value <= ops.HOOK_NOT_EXECUTED * 2:
        return f"cannot be run: {reason(ops.HOOK_NOT_EXECUTED * 2 - report.value)}"
    if report.value <= ops.HOOK_NOT_EXECUTED:
        number = ops.HOOK_NOT_EXECUTED - report.value
        return cannot_run(_text(op), number, pid, rootfs if "/startContainer/" in op.origin else "")
    signal = report.value & 0x7F
    return (f"killed by signal {signal}" if signal else f"exit status {report.value >> 8}") + said


def cannot_run(path: str, number: int, pid: int = 0, rootfs: str = "") -> str:
    """Why a hook could not be executed, in a process that waits or here (0); `rootfs`: it is one of the container's."""
    view = View(pid, where="in the container" if rootfs else "on the host", instead=rootfs or "/")
    try:
        why = executable.fault(path, number, view)
    finally:
        view.close()
    return f"cannot be run: {reason(number)}" + (f": {why}" if why else "")
