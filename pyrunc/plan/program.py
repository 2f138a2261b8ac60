# SPDX-License-Identifier: Apache-2.0
"""A program of syscalls as a value: built by the concerns, listed by `pyrunc plan`, run by pyrunc-init.

    op = program.call("fsopen", "tmpfs", FSOPEN_CLOEXEC, origin="/mounts/2", to="tmpfs")
    program.call("fsconfig", op, FSCONFIG_CMD_CREATE, None, None, 0, origin="/mounts/2")

Each instruction keeps its origin, the JSON pointer of the field that asked for it ("" for what every container needs),
so that a failure (instruction, errno) becomes an error that names the field.
"""

from _struct import Struct as Layout
from _struct import calcsize, pack

from pyrunc.errors import HostError
from pyrunc.linux.syscalls import MACHINES, SYSCALLS
from pyrunc.plan import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeAlias

    Operand: TypeAlias = "int | str | bytes | Op | Array | Struct | Within | Load | None"
    Value: TypeAlias = "int | str | bytes | Op | Struct"

_PACK = [
    Layout(ops.INSTRUCTION % (count, 8 * (ops.OPERANDS_MAX - count))).pack for count in range(ops.OPERANDS_MAX + 1)
]
"""By the count of operands."""
_INTEGERS = frozenset((int,))
_SYSCALL, _NO_REGISTER = ops.SYSCALL, ops.NO_REGISTER


class Op:
    """One instruction; as an operand it is the register of its result (a descriptor, or -errno when accepted)."""

    __slots__ = ("accept", "code", "index", "name", "operands", "origin", "register", "skip_err", "skip_ok", "to")

    def __init__(
        self,
        index: int,
        code: int,
        name: str,
        operands: "tuple[Operand, ...]",
        origin: str,
        to: "str | None",
        accept: tuple[int, ...] = (),
    ) -> None:
        self.index = index
        self.code = code
        self.name = name
        self.operands = operands
        self.origin = origin
        self.to = to
        self.register = _NO_REGISTER
        self.accept = accept
        self.skip_ok = 0
        self.skip_err = 0

    def __index__(self) -> int:
        return self.register


class Array:
    """An operand that is an array of pointers to strings, or to structs that hold one, and a null: argv, envp."""

    __slots__ = ("texts",)

    def __init__(self, texts: "Sequence[str | Struct]") -> None:
        self.texts = texts


class Struct:
    """An operand that points to a struct: `layout` as for the struct module, native order, padding written out.

    A value may be an Op (its register is stored there, field of 4 or 8 bytes), or str, bytes or a Struct (a pointer to
    it, field Q; in a field of "s" the bytes themselves). `text` is how a listing writes it.
    """

    __slots__ = ("layout", "text", "values")

    def __init__(self, layout: str, *values: "Value", text: str = "") -> None:
        self.layout = layout
        self.values = values
        self.text = text


class Within:
    """An operand that is the address of a field of a struct: a place for the kernel to write to."""

    __slots__ = ("offset", "struct")

    def __init__(self, struct: Struct, offset: int) -> None:
        self.struct = struct
        self.offset = offset


class Load(Within):
    """An operand that is read when the instruction runs: 4 bytes at `offset` in a struct that the kernel filled."""

    __slots__ = ()


_NULL = 4
"""The kind of an operand None, an immediate 0."""
_KINDS: "dict[type, int]" = {
    int: ops.IMMEDIATE,
    Op: ops.REGISTER,
    type(None): _NULL,
    **dict.fromkeys((str, bytes, Array, Within, Struct), ops.BLOB),
    Load: ops.LOAD,
}
_PLAIN = bytes((ops.IMMEDIATE, ops.REGISTER))
"""Operands that stand in an instruction as they are."""
_ON_THE_WIRE = bytes(range(_NULL)) + bytes(256 - _NULL)


class Program:
    """An ordered list of instructions for one machine ("x86_64" or "aarch64")."""

    __slots__ = ("_registers", "inputs", "machine", "ops")

    def __init__(self, machine: str = "x86_64") -> None:
        self.machine = MACHINES.index(machine)
        self.ops: list[Op] = []
        self.inputs: dict[str, Op] = {}
        self._registers = 0

    def _add(self, code: int, name: str, operands: "tuple[Operand, ...]", origin: str, to: "str | None") -> Op:
        op = Op(len(self.ops), code, name, operands, origin, to)
        if to is not None:
            op.register = self._registers
            self._registers += 1
        self.ops.append(op)
        return op

    def input(self, name: str) -> Op:
        """A register that the runtime fills before the program starts: a descriptor or a number."""
        op = self.inputs.get(name)
        if op is None:
            op = self.inputs[name] = Op(-1, 0, "input", (), "", name)
            op.register = self._registers
            self._registers += 1
        return op

    def call(
        self, name: str, *operands: "Operand", origin: str = "", to: "str | None" = None, accept: tuple[int, ...] = ()
    ) -> Op:
        """Add a system call; `accept` has at most six errnos that do not fail the program."""
        if Struct in map(type, operands):
            for operand in operands:
                if type(operand) is Struct:
                    self._store_registers(operand, origin)
        # As _add does: most of all instructions come this way.
        op = Op(len(self.ops), _SYSCALL, name, operands, origin, to, accept)
        if to is not None:
            op.register = self._registers
            self._registers += 1
        self.ops.append(op)
        return op

    def _store_registers(self, struct: Struct, origin: str) -> None:
        kinds = [*map(type, struct.values)]
        if Op not in kinds and Struct not in kinds:
            return
        for (offset, size, _), value in zip(_layout(struct.layout)[1], struct.values, strict=True):
            if type(value) is Op:
                self._add(ops.STORE, "store", (Within(struct, offset), size, value), origin, None)
            elif type(value) is Struct:
                self._store_registers(value, origin)

    def here_on_error(self, op: Op) -> None:
        """When `op` ends with an errno that it accepts, go on with the next instruction to be added."""
        op.skip_err = len(self.ops) - op.index - 1

    def here_on_success(self, op: Op) -> None:
        """When `op` succeeds, or is a jump, go on with the next instruction to be added."""
        op.skip_ok = len(self.ops) - op.index - 1

    def jump(self, condition: "Op | None" = None, absent: tuple[int, ...] = ()) -> Op:
        """Add a jump; its target is given by here_on_success. With a condition: only if that call has succeeded.

        The condition may be an input that is perhaps not given; `absent` is then the errno in its place.
        """
        if condition is None:
            return self._add(ops.JUMP, "jump", (), "", None)
        op = self._add(ops.JUMP, "jump if", (condition,), "", None)
        op.accept = absent or condition.accept
        return op

    def mkpath(
        self, root: Op, path: str, kind: "int | Op", mode: int = 0o755, *, origin: str = "", to: str = "target"
    ) -> Op:
        """Open `path` beneath the descriptor `root` with O_PATH, made with its parents where it is missing.

        `kind` is ops.KIND_DIRECTORY, ops.KIND_FILE, or an Op: a directory if that descriptor is one, else a file.
        Symlinks are followed within the root (openat2, RESOLVE_IN_ROOT; CVE-2021-30465, CVE-2024-45310).
        """
        like = kind if type(kind) is Op else 0
        what = ops.KIND_LIKE if type(kind) is Op else kind
        return self._add(ops.MKPATH, "mkpath", (root, path, what, mode, like), origin, to)

    def check(self, fd: Op, kind: int, rdev: int, *, origin: str = "") -> Op:
        """Fail with ENODEV unless `fd` is of the file type `kind` (S_IF…) with the device number `rdev`."""
        return self._add(ops.CHECK, "check", (fd, ops.CHECK_NODE, kind, rdev), origin, None)

    def check_fs(self, fd: Op, magic: int, *, origin: str = "") -> Op:
        """Fail with ENODEV unless `fd` is on a filesystem with the superblock magic (statfs(2))."""
        return self._add(ops.CHECK, "check", (fd, ops.CHECK_FS, magic), origin, None)

    def check_other_fs(self, fd: Op, magic: int, *, origin: str = "") -> Op:
        """Fail with ENODEV if `fd` is on a filesystem with the superblock magic (statfs(2))."""
        return self._add(ops.CHECK, "check", (fd, ops.CHECK_OTHER_FS, magic), origin, None)

    def check_byte(self, struct: Struct, byte: int, *, origin: str = "") -> Op:
        """Fail with ENODEV unless the first byte of a buffer that the kernel filled is `byte`."""
        return self._add(ops.CHECK, "check", (struct, ops.CHECK_BYTE, byte), origin, None)

    def clone(self, args: Struct, *, origin: str = "", accept: tuple[int, ...] = ()) -> Op:
        """Go on in a child process (clone3), which reports its pid; the parent leaves."""
        self._store_registers(args, origin)
        op = self._add(ops.CLONE, "clone3", (args, _layout(args.layout)[0].size), origin, None)
        op.accept = accept
        return op

    def sync(self, point: int, name: str, *descriptors: Op, origin: str = "") -> Op:
        """Tell the runtime that `point` is reached, with up to two descriptors to look at, and wait for its word."""
        return self._add(ops.SYNC, name, (point, *descriptors), origin, None)

    def hook(
        self, path: str, argv: "Sequence[str]", envp: "Sequence[str]", stdin: Op, milliseconds: int, *, origin: str
    ) -> Op:
        """Run a hook where the program now is, and wait for it; `milliseconds` 0 is without end."""
        return self._add(ops.HOOK, "hook", (path, Array(argv), Array(envp), stdin, milliseconds), origin, None)

    def exec(
        self, candidates: "Sequence[str]", argv: "Sequence[str]", envp: "Sequence[str | Struct]", *, origin: str
    ) -> Op:
        """Become the first of the candidates that can be executed, as execvp(3) tries them."""
        return self._add(ops.EXEC, "execve", (Array(candidates), Array(argv), Array(envp)), origin, None)

    def channel(self, reports: Op, answers: Op) -> Op:
        """From here on report to, and take answers from, other descriptors."""
        return self._add(ops.CHANNEL, "channel", (reports, answers), "", None)

    def listing(self) -> list[str]:
        """One line for each instruction: the call as written, and its origin."""
        from pyrunc.plan.listing import lines

        return lines(self)

    def describe(self, index: int) -> str:
        """The call of one instruction as written, with symbolic flags."""
        from pyrunc.plan.listing import call

        return call(self.ops[index])

    def encode(self, inputs: "Mapping[str, int]", reports: int, answers: int) -> bytes:
        """The program on the wire (plan/ops.py), its input registers filled, with the descriptors of the protocol."""
        blob = _Blob()
        code = []
        kind_of = _KINDS.__getitem__
        table, machine = SYSCALLS, self.machine
        for op in self.ops:
            values: Sequence[Any] = op.operands
            kinds = bytes(map(kind_of, map(type, values)))
            if kinds.strip(_PLAIN):
                values = [*map(blob.value, values, kinds)]
                kinds = kinds.translate(_ON_THE_WIRE)
            number = table[op.name][machine] if op.code == _SYSCALL else 0
            pack = _PACK[len(values)]
            code.append(pack(op.code, op.skip_ok, op.skip_err, number, op.register, kinds, bytes(op.accept), *values))
        registers = [-1] * self._registers
        for name, op in self.inputs.items():
            registers[op.register] = inputs[name]
        return blob.finish(code, registers, reports, answers)


class _Blob:
    """The strings and structs of a program, each string once, and the pointers within them."""

    __slots__ = ("data", "relocations", "strings", "structs")

    def __init__(self) -> None:
        self.data = bytearray()
        self.relocations: list[int] = []
        self.strings: dict[str | bytes, int] = {}
        self.structs: dict[int, int] = {}

    def value(self, operand: "Any", kind: int) -> "Any":
        """What stands in the instruction for an operand."""
        if kind in _PLAIN:
            return operand
        if kind == _NULL:
            return 0
        if type(operand) is str:
            offset = self.strings.get(operand)
            return self.string(operand) if offset is None else offset
        if type(operand) is Struct:
            return self.struct(operand)
        if type(operand) is bytes:
            return self.string(operand)
        if type(operand) is Array:
            return self.array([self.pointed(text) for text in operand.texts])
        # A Within or a Load
        return self.struct(operand.struct) + operand.offset

    def pointed(self, value: "str | bytes | Struct") -> int:
        return self.struct(value) if isinstance(value, Struct) else self.string(value)

    def string(self, text: "str | bytes") -> int:
        offset = self.strings.get(text)
        if offset is None:
            # A word of the command line may be any bytes, which Python gives as lone surrogates.
            raw = text.encode("utf-8", "surrogateescape") + b"\0" if isinstance(text, str) else text
            offset = self.strings[text] = self.place(raw)
        return offset

    def array(self, offsets: list[int]) -> int:
        start = self.place(pack(f"={len(offsets) + 1}Q", *offsets, 0))
        self.relocations += range(start, start + 8 * len(offsets), 8)
        return start

    def struct(self, struct: Struct) -> int:
        start = self.structs.get(id(struct))
        if start is not None:
            return start
        layout, fields = _layout(struct.layout)
        values: Sequence[Any] = struct.values
        pointers: list[int] = []
        if not _INTEGERS.issuperset(map(type, values)):
            packed: list[int | bytes] = []
            for (offset, _, is_text), value in zip(fields, values, strict=True):
                if isinstance(value, Op):
                    packed.append(0)
                elif isinstance(value, int) or (isinstance(value, bytes) and is_text):
                    packed.append(value)
                else:
                    packed.append(self.pointed(value))
                    pointers.append(offset)
            values = packed
        start = self.structs[id(struct)] = self.place(layout.pack(*values))
        self.relocations += [start + pointer for pointer in pointers]
        return start

    def place(self, raw: bytes) -> int:
        """Add bytes at a multiple of 8, as a pointer or a struct needs."""
        start = len(self.data)
        self.data += raw
        self.data += bytes(-len(self.data) % 8)
        return start

    def finish(self, code: list[bytes], registers: list[int], reports: int, answers: int) -> bytes:
        self.place(b"\0")
        relocations = self.relocations + [0] * (len(self.relocations) % 2)
        head = pack(
            ops.HEADER,
            ops.FORMAT_MAGIC,
            ops.FORMAT_VERSION,
            len(registers),
            len(code),
            len(self.relocations),
            len(self.data),
            reports,
            answers,
            0,
        )
        body = pack(f"={len(registers)}q", *registers) + b"".join(code) + pack(f"={len(relocations)}I", *relocations)
        raw = head + body + bytes(self.data)
        if len(registers) > ops.REGISTERS_MAX or len(raw) > ops.PROGRAM_MAX:
            raise HostError("config.json is too large: its program does not fit the limits of pyrunc-init")
        return raw


_layouts: "dict[str, tuple[Layout, list[tuple[int, int, bool]]]]" = {}


def _layout(text: str) -> "tuple[Layout, list[tuple[int, int, bool]]]":
    """A struct's layout, and (offset, size, whether it is bytes) of each field; each layout is read once.

    "3Q2I" has the fields Q Q Q I I, "16s" is one.
    """
    found = _layouts.get(text)
    if found is None:
        fields: list[tuple[int, int, bool]] = []
        count, offset = "", 0
        for char in text:
            if char.isdigit():
                count += char
                continue
            if char == "x":
                raise ValueError(text)
            times, size = (1, int(count or 1)) if char == "s" else (int(count or 1), calcsize("=" + char))
            for _ in range(times):
                fields.append((offset, size, char == "s"))
                offset += size
            count = ""
        found = _layouts[text] = Layout("=" + text), fields
    return found
