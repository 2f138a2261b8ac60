# SPDX-License-Identifier: Apache-2.0
"""A program as text: each call as strace would write it, with the register it fills and the field that asked for it."""

from pyrunc.linux.symbols import symbolic
from pyrunc.linux.syscalls import SYSCALLS
from pyrunc.plan import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.program import Op, Operand, Program

_KINDS = {
    "mkpath": ("fd", "path", "KIND", "o", "fd"),
    "check": ("fd", "CHECK", "x", "DEV"),
    "clone3": ("buf", "d"),
    "hook": ("path", "buf", "buf", "fd", "d"),
    "execve": ("path", "buf", "buf"),
}
_PATH_KINDS = {ops.KIND_DIRECTORY: "directory", ops.KIND_FILE: "file", ops.KIND_LIKE: "like"}
_WIDTH = 100


def lines(program: "Program") -> list[str]:
    """The listing: one line for each instruction but the stores into structs, which the struct's text shows."""
    return [_line(op) for op in program.ops if op.code != ops.STORE]


def _line(op: "Op") -> str:
    text = call(op)
    if op.to is not None:
        text = f"{op.to} = {text}"
    if op.accept:
        text += " or " + "|".join(_errno_name(number) for number in op.accept)
    if op.code == ops.JUMP or op.skip_ok:
        text += f" then to {op.index + 1 + op.skip_ok}"
    if op.skip_err:
        text += f" else to {op.index + 1 + op.skip_err}"
    return f"{op.index:4} {text:{_WIDTH}} {op.origin}".rstrip()


def call(op: "Op") -> str:
    """`name(operands)` with symbolic flags, for listings and errors."""
    kinds: tuple[str, ...] = _KINDS.get(op.name, ())
    if op.code == ops.SYSCALL:
        kinds = tuple(SYSCALLS[op.name][2].split())
    shown = []
    for place, operand in enumerate(op.operands):
        shown.append(_operand(operand, kinds[place] if place < len(kinds) else "d"))
    if op.code == ops.MKPATH and op.operands[2] != ops.KIND_LIKE:
        shown.pop()
    if op.name == "prctl":
        shown = shown[:2]
    return f"{op.name}({', '.join(shown)})"


def _operand(operand: "Operand", kind: str) -> str:
    from pyrunc.plan.program import Array, Load, Op, Struct, Within

    if operand is None:
        return "NULL"
    if isinstance(operand, Op):
        return f"<{operand.to}>" if operand.index < 0 else str(operand.to)
    if isinstance(operand, Array):
        return "[" + ", ".join(_operand(text, "path") for text in operand.texts) + "]"
    if isinstance(operand, Struct):
        return "{" + (operand.text or ", ".join(_operand(value, "d") for value in operand.values)) + "}"
    if isinstance(operand, Within):
        return f"{{{operand.struct.text}}}+{operand.offset}"
    if isinstance(operand, Load):
        return f"{{{operand.struct.text}}}[{operand.offset}]"
    if isinstance(operand, bytes):
        return f"{len(operand)} bytes"
    if isinstance(operand, str):
        return _quoted(operand)
    if kind == "KIND":
        return _PATH_KINDS[operand]
    if kind == "CHECK":
        return ("node", "filesystem", "byte")[operand]
    return symbolic(kind, operand)


def _quoted(text: str) -> str:
    from pyrunc.config.dump import dump

    return dump(text)


def _errno_name(number: int) -> str:
    import errno

    return errno.errorcode.get(number, str(number))
