# SPDX-License-Identifier: Apache-2.0
"""What is no program: the helper leaves with status 2 and has done nothing."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc.errors import HostError
from pyrunc.linux.uapi import AT_FDCWD
from pyrunc.plan import ops
from pyrunc.plan.program import Array, Program, Struct
from tests.init.rig import BINARY, MACHINE, Running, encode, new_program, spawn

HEADER = struct.calcsize(ops.HEADER)
HEAD = ("magic", "version", "registers", "instructions", "relocations", "blob", "reports", "answers", "zero")
CODES = ("SYSCALL", "STORE", "MKPATH", "CHECK", "CLONE", "SYNC", "HOOK", "EXEC", "CHANNEL", "JUMP")
RESULT, KINDS, ACCEPT, OPERANDS = 8, 10, 16, 24
"""Offsets in an instruction: ops.INSTRUCTION."""


def valid(folder: Path) -> Program:
    """One instruction of each kind; the first leaves a trace, none fails before it."""
    program = new_program()
    program.call("mkdirat", AT_FDCWD, str(folder / "trace"), 0o700)
    root = program.call("openat", AT_FDCWD, str(folder), 0, 0, to="root")
    program.call("write", 2, Struct("IQ", root, root), 0)
    program.mkpath(root, "/a", ops.KIND_DIRECTORY)
    program.check_fs(root, 0)
    program.clone(Struct("11Q", *(0,) * 11))
    program.sync(1, "point")
    program.hook("/h", ["h"], [], root, 0, origin="")
    program.channel(root, root)
    program.jump()
    program.exec(["/x"], ["x"], [], origin="")
    return program


class Bytes:
    """The bytes of a program, to be spoilt at a field by its name."""

    def __init__(self, raw: bytes) -> None:
        self.raw = bytearray(raw)
        self.head = dict(zip(HEAD, struct.unpack_from(ops.HEADER, raw), strict=True))
        self.code = HEADER + 8 * self.head["registers"]
        self.relocation = self.code + ops.INSTRUCTION_SIZE * self.head["instructions"]
        self.blob = len(raw) - self.head["blob"]

    def header(self, **fields: int) -> None:
        struct.pack_into(ops.HEADER, self.raw, 0, *(self.head | fields).values())

    def op(self, name: str) -> int:
        """The offset of the first instruction of this kind."""
        places = range(self.code, self.relocation, ops.INSTRUCTION_SIZE)
        return next(place for place in places if self.raw[place] == CODES.index(name) + 1)

    def operand(self, name: str, place: int, value: int, kind: int | None = None) -> None:
        start = self.op(name)
        struct.pack_into("<Q", self.raw, start + OPERANDS + 8 * place, value)
        if kind is not None:
            self.raw[start + KINDS + place] = kind

    def byte(self, offset: int, value: int) -> None:
        self.raw[offset] = value

    def half(self, offset: int, value: int) -> None:
        struct.pack_into("<H", self.raw, offset, value)

    def word(self, offset: int, value: int) -> None:
        struct.pack_into("<I", self.raw, offset, value)


def odd_size(program: Bytes) -> None:
    program.raw.append(0)
    program.header(blob=program.head["blob"] + 1)


def store_across(program: Bytes) -> None:
    program.operand("STORE", 0, program.head["blob"] - 4)
    program.operand("STORE", 1, 8)


def byte_at_an_address(program: Bytes) -> None:
    program.operand("CHECK", 1, ops.CHECK_BYTE)
    program.operand("CHECK", 0, 1, ops.IMMEDIATE)


def cut(length: int) -> Callable[[Bytes], None]:
    def spoil(program: Bytes) -> None:
        del program.raw[length:]

    return spoil


SPOILT: dict[str, Callable[[Bytes], object]] = {
    "nothing": cut(0),
    "half a header": cut(HEADER // 2),
    "a header only": cut(HEADER),
    "the last byte is missing": cut(-1),
    "the last word is missing": cut(-8),
    "trailing bytes": lambda p: p.raw.extend(bytes(8)),
    "magic": lambda p: p.header(magic=1),
    "version": lambda p: p.header(version=2),
    "reserved word of the header": lambda p: p.header(zero=1),
    "too many registers": lambda p: p.header(registers=ops.REGISTERS_MAX + 1),
    "registers beyond the end": lambda p: p.header(registers=ops.REGISTERS_MAX),
    "one instruction more": lambda p: p.header(instructions=p.head["instructions"] + 1),
    "instructions beyond the end": lambda p: p.header(instructions=0xFFFFFFFF),
    "two relocations more": lambda p: p.header(relocations=p.head["relocations"] + 2),
    "relocations beyond the end": lambda p: p.header(relocations=0xFFFFFFFF),
    "no blob": lambda p: p.header(blob=0),
    "a shorter blob": lambda p: p.header(blob=p.head["blob"] - 8),
    "a longer blob": lambda p: p.header(blob=p.head["blob"] + 8),
    "a blob of odd size": odd_size,
    "a blob without an end": lambda p: p.byte(len(p.raw) - 8, 1),
    "code 0": lambda p: p.byte(p.code, 0),
    "a code that is not known": lambda p: p.byte(p.code, len(CODES) + 1),
    "code 255": lambda p: p.byte(p.code, 255),
    "reserved byte of an instruction": lambda p: p.byte(p.code + 1, 1),
    "reserved half of an instruction": lambda p: p.half(p.code + 22, 1),
    "a skip beyond the end": lambda p: p.half(p.code + 2, p.head["instructions"]),
    "a skip on error beyond the end": lambda p: p.half(p.code + 4, 0xFFFF),
    "a result in no register": lambda p: p.half(p.code + RESULT, p.head["registers"]),
    "a kind of operand that is not known": lambda p: p.byte(p.code + KINDS + 5, 4),
    "an operand beyond the blob": lambda p: p.operand("SYSCALL", 0, p.head["blob"], ops.BLOB),
    "a negative offset": lambda p: p.operand("SYSCALL", 0, 2**64 - 8, ops.BLOB),
    "an operand in no register": lambda p: p.operand("SYSCALL", 0, p.head["registers"], ops.REGISTER),
    "a load beyond the blob": lambda p: p.operand("SYSCALL", 0, p.head["blob"], ops.LOAD),
    "a load across the end": lambda p: p.operand("SYSCALL", 0, p.head["blob"] - 2, ops.LOAD),
    "a load whose end wraps": lambda p: p.operand("SYSCALL", 0, 2**64 - 2, ops.LOAD),
    "a store of 3 bytes": lambda p: p.operand("STORE", 1, 3),
    "a store of a size that a register tells": lambda p: p.operand("STORE", 1, 0, ops.REGISTER),
    "a store to an address": lambda p: p.operand("STORE", 0, 4096, ops.IMMEDIATE),
    "a store to a register": lambda p: p.operand("STORE", 0, 0, ops.REGISTER),
    "a store across the end": store_across,
    "a path at an address": lambda p: p.operand("MKPATH", 1, 4096, ops.IMMEDIATE),
    "a path in a register": lambda p: p.operand("MKPATH", 1, 0, ops.REGISTER),
    "a check that a register chooses": lambda p: p.operand("CHECK", 1, 0, ops.REGISTER),
    "a byte at an address": byte_at_an_address,
    "a byte in a register": lambda p: p.operand("CHECK", 1, ops.CHECK_BYTE),
    "arguments of clone at an address": lambda p: p.operand("CLONE", 0, 4096, ops.IMMEDIATE),
    "arguments of clone across the end": lambda p: p.operand("CLONE", 0, p.head["blob"] - 56),
    "candidates at an address": lambda p: p.operand("EXEC", 0, 4096, ops.IMMEDIATE),
    "candidates at an odd address": lambda p: p.operand("EXEC", 0, 4),
    "a relocation beyond the blob": lambda p: p.word(p.relocation, p.head["blob"]),
    "a relocation of the last word": lambda p: p.word(p.relocation, p.head["blob"] - 8),
    "a relocation at an odd address": lambda p: p.word(p.relocation, 4),
    "a relocation that wraps": lambda p: p.word(p.relocation, 0xFFFFFFF8),
    "a pointer beyond the blob": lambda p: struct.pack_into(
        "<Q", p.raw, p.blob + struct.unpack_from("<I", p.raw, p.relocation)[0], p.head["blob"]
    ),
    "a pointer that is relocated twice": lambda p: p.word(
        p.relocation + 4, struct.unpack_from("<I", p.raw, p.relocation)[0]
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_program_is_not_begun(name: str, tmp_path: Path) -> None:
    """Status 2, no report, and not even the first instruction was run."""
    program = Bytes(encode(valid(tmp_path)))
    SPOILT[name](program)
    with Running(bytes(program.raw)) as running:
        assert running.wait() == 2
        running.close()
        assert running.report() is None
    assert not (tmp_path / "trace").exists()


def test_what_is_spoilt_is_valid_before(tmp_path: Path) -> None:
    """The program runs up to its check, which is to fail: the cases above differ from it in one place each."""
    with Running(encode(valid(tmp_path))) as running:
        running.close()
        report = running.report()
    assert report is not None
    assert report.index == next(op.index for op in valid(tmp_path).ops if op.name == "check")
    assert (tmp_path / "trace").is_dir()


@pytest.mark.parametrize("arguments", [[], ["3", "4"], ["x"], [""], ["-1"], ["99"], ["3x"], ["99999999999"]], ids=str)
def test_arguments(arguments: list[str]) -> None:
    """The one argument is the number of an open descriptor."""
    pid = spawn(arguments, {}, [])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2


def test_what_is_no_file() -> None:
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    pid = spawn(["100"], {100: ours}, [])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    os.close(ours)
    os.close(theirs)


def test_the_header_is_up_to_date() -> None:
    """init/ops.h is what plan/ops.py says."""
    assert (BINARY.parent / "ops.h").read_text("ascii") == ops.header()


def test_sizes() -> None:
    """The C side has the same in its _Static_assert."""
    assert struct.calcsize(ops.HEADER) == 32
    sizes = {struct.calcsize(ops.INSTRUCTION % (count, 48 - 8 * count)) for count in range(ops.OPERANDS_MAX + 1)}
    assert sizes == {ops.INSTRUCTION_SIZE}
    assert struct.calcsize(ops.REPORT) == ops.REPORT_SIZE


def test_a_program_of_no_instruction_ends_well() -> None:
    with Running(encode(Program(MACHINE))) as running:
        assert running.wait() == 0


def test_too_many_registers_are_refused_before_the_helper_is() -> None:
    program = Program(MACHINE)
    for number in range(ops.REGISTERS_MAX + 1):
        program.input(str(number))
    with pytest.raises(HostError, match="too large"):
        program.encode(dict.fromkeys(program.inputs, 0), 3, 4)


def test_too_long_a_program_is_refused_before_the_helper_is() -> None:
    program = Program(MACHINE)
    program.call("write", 2, bytes(ops.PROGRAM_MAX), 0)
    with pytest.raises(HostError, match="too large"):
        program.encode({}, 3, 4)


def test_a_large_program_runs() -> None:
    """More registers, instructions and bytes than a config of thousands of mounts has."""
    program = new_program()
    for number in range(20_000):
        program.call("umask", 0o22, to=f"mask {number}")
    program.call("write", 2, Array(["x" * 100_000] * 50), 0)
    with Running(encode(program)) as running:
        assert running.wait() == 0


def test_a_skip_of_more_than_255() -> None:
    program = new_program()
    jump = program.jump()
    for _ in range(1000):
        program.call("chdir", "/nowhere")
    program.here_on_success(jump)
    with Running(encode(program)) as running:
        assert running.wait() == 0
