# SPDX-License-Identifier: Apache-2.0
"""A program as text: each call as strace would write it, with the register it fills and the field that asked for it."""

from pyrunc.linux.symbols import symbolic
from pyrunc.linux.syscalls import SYSCALLS
from pyrunc.linux.uapi import (
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_RAISE,
    PR_CAPBSET_DROP,
    PR_SET_PDEATHSIG,
    TIOCGPTPEER,
)
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
_BY_OPERAND = (
    ("prctl", 0, (PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE), ("PR", "AMBIENT", "CAP")),
    ("prctl", 0, (PR_CAP_AMBIENT,), ("PR", "AMBIENT")),
    ("prctl", 0, (PR_CAPBSET_DROP,), ("PR", "CAP")),
    ("prctl", 0, (PR_SET_PDEATHSIG,), ("PR", "SIGNAL")),
    ("prctl", 0, (), ("PR", "d")),
    ("ioctl", 1, (TIOCGPTPEER,), ("fd", "IOCTL", "O")),
    ("check", 1, (ops.CHECK_NODE,), ("fd", "CHECK", "TYPE", "DEV")),
)
"""Calls whose operands mean what an earlier one says, which stands at a place; the first row that fits."""
_STRUCTS = {
    "openat2": (("flags", "O"), ("mode", "o"), ("resolve", "RESOLVE")),
    "mount_setattr": (
        ("attr_set", "MOUNT_ATTR"),
        ("attr_clr", "MOUNT_ATTR"),
        ("propagation", "MS"),
        ("userns_fd", "fd"),
    ),
}
_PATH_KINDS = {ops.KIND_DIRECTORY: "directory", ops.KIND_FILE: "file", ops.KIND_LIKE: "like"}
_WIDTH = 100
_SHORT = 64


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
    kinds = _kinds(op)
    shown = []
    for place, operand in enumerate(op.operands):
        shown.append(_struct(op.name, operand) or _operand(operand, kinds[place] if place < len(kinds) else "d"))
    if op.code == ops.MKPATH and op.operands[2] != ops.KIND_LIKE:
        shown.pop()
    if op.name == "prctl":
        shown = shown[: len(kinds)]
    return f"{op.name}({', '.join(shown)})"


def _kinds(op: "Op") -> tuple[str, ...]:
    for name, place, values, kinds in _BY_OPERAND:
        if name == op.name and op.operands[place : place + len(values)] == values:
            return kinds
    return tuple(SYSCALLS[op.name][2].split()) if op.code == ops.SYSCALL else _KINDS.get(op.name, ())


def _struct(name: str, operand: "Operand") -> str:
    """The structs of calls that several concerns make, written from their values."""
    from pyrunc.plan.program import Struct

    if name not in _STRUCTS or not isinstance(operand, Struct):
        return ""
    shown = [
        f"{key}={_operand(value, kind)}"
        for (key, kind), value in zip(_STRUCTS[name], operand.values, strict=False)
        if value and not isinstance(value, bytes)
    ]
    return "{" + ", ".join(shown) + "}"


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
    if isinstance(operand, Load):
        return f"{{{operand.struct.text}}}[{operand.offset}]"
    if isinstance(operand, Within):
        return f"{{{operand.struct.text}}}+{operand.offset}"
    if isinstance(operand, bytes) and len(operand) <= _SHORT and operand.isascii() and operand.decode().isprintable():
        return _quoted(operand.decode())
    if isinstance(operand, bytes):
        return f"{len(operand)} bytes"
    if isinstance(operand, str):
        return _quoted(operand)
    if kind == "KIND":
        return _PATH_KINDS[operand]
    if kind == "CHECK":
        return ("node", "filesystem", "byte", "no filesystem")[operand]
    return symbolic(kind, operand)


def _quoted(text: str) -> str:
    from pyrunc.config.dump import dump

    return dump(text)


def _errno_name(number: int) -> str:
    import errno

    return errno.errorcode.get(number, str(number))
