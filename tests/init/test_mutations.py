# SPDX-License-Identifier: Apache-2.0
"""A program of which any byte is wrong never makes the helper crash: it is refused, or fails, or ends.

The helper runs as nobody, with a system call filter that lets it do little: a changed number may be any call.
"""

import ctypes
import os
import signal
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrunc.linux.uapi import AT_FDCWD, CLONE_PARENT
from pyrunc.plan import ops
from pyrunc.plan.program import Load, Program, Struct, Within
from tests.init.rig import BINARY, MACHINE, encode

NOBODY = 65534
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
# read write close fstat lseek ppoll exit_group execve openat2 readlinkat; mmap where the kernel chooses the place
ALLOWED = (0, 1, 3, 5, 8, 271, 231, 59, 437, 267)
MMAP = 9
ALLOW, EPERM = 0x7FFF0000, 0x00050001

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(MACHINE != "x86_64", reason="the filter has the numbers of x86_64"),
]


def statement(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """A struct sock_filter of linux/filter.h."""
    return struct.pack("HBBI", code, yes, no, value)


def filter_program() -> bytes:
    load, equal, give = 0x20, 0x15, 0x06
    lines = [statement(load, 0)]
    for number in ALLOWED:
        lines += [statement(equal, number, 0, 1), statement(give, ALLOW)]
    # mmap(NULL, …): both halves of the first argument are 0
    lines += [statement(equal, MMAP, 0, 5), statement(load, 16), statement(equal, 0, 0, 3)]
    lines += [statement(load, 20), statement(equal, 0, 0, 1), statement(give, ALLOW)]
    return b"".join([*lines, statement(give, EPERM)])


FILTER = filter_program()


def confine() -> None:
    """Between fork and execve: nobody, no privileges, little time, few system calls."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.umask(0o777)
    program = ctypes.create_string_buffer(FILTER, len(FILTER))
    fprog = struct.pack("HxxxxxxQ", len(FILTER) // 8, ctypes.addressof(program))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0):
        os._exit(99)


def harmless() -> bytes:
    """All instructions, with pointers, registers and skips, that do nothing outside."""
    program = Program(MACHINE)
    out = program.input("out")
    buffer = Struct("64s", b"HOME=/")
    root = program.call("openat", AT_FDCWD, "/", 0, 0, to="root", accept=(1,))
    program.here_on_error(root)
    program.call("fstat", out, buffer, accept=(1, 9))
    program.call("read", out, Within(buffer, 8), Load(buffer, 24), accept=(1, 9, 14))
    program.call("write", out, Struct("IIQQ", root, 0, root, b"text"), 24, accept=(1, 9))
    program.mkpath(out, "/some/../path", ops.KIND_FILE).accept = (1, 2, 9, 20)
    program.check_byte(buffer, ord("H")).accept = (19,)
    program.check(out, 0, 0).accept = (9, 19)
    over = program.jump(root)
    program.sync(1, "point", root)
    program.here_on_success(over)
    program.clone(Struct("11Q", CLONE_PARENT, *(0,) * 10)).accept = (1,)
    program.exec(["/nowhere", "/neither"], ["a", "b"], ["C=d", buffer], origin="").accept = (2,)
    program.hook("/nowhere", ["h"], [], out, 10, origin="")
    return encode(program)


VALID = harmless()


def status_of(raw: bytes) -> int | None:
    """The exit status; None when it had to be ended, as it waits for something (which a wrong number may ask for)."""
    code = os.memfd_create("program")
    os.write(code, raw)
    reports, reports_end = os.pipe()
    os.dup2(code, 100)
    os.dup2(reports_end, 101)
    try:
        process = subprocess.Popen(
            [BINARY, "100"],
            preexec_fn=confine,  # noqa: PLW1509 - this test has one thread
            pass_fds=(100, 101),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
        )
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None
    finally:
        for fd in (code, reports, reports_end, 100, 101):
            os.close(fd)


def assert_no_crash(raw: bytes) -> None:
    status = status_of(raw)
    assert status is None or status in (0, 1, 2), signal.Signals(-status).name if status < 0 else status


def test_the_program_itself_runs_to_its_end() -> None:
    """Under the filter too: its last instruction, a hook, is the one that fails."""
    assert status_of(VALID) == 1


@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=6))
@settings(max_examples=300)
def test_any_bytes_may_be_wrong(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(VALID)
    for place, value in changes:
        raw[place] = value
    assert_no_crash(bytes(raw))


@given(st.integers(0, len(VALID)), st.integers(0, 64), st.binary(max_size=64))
@settings(max_examples=60)
def test_any_part_may_be_missing_or_more(place: int, missing: int, more: bytes) -> None:
    assert_no_crash(VALID[:place] + more + VALID[place + missing :])


@given(
    st.integers(0, len(VALID) // 8 - 1),
    st.sampled_from([0, 1, 7, 8, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 2**64 - 8, 4096]),
)
@settings(max_examples=100)
def test_any_word_may_be_an_extreme(place: int, value: int) -> None:
    raw = bytearray(VALID)
    struct.pack_into("<Q", raw, 8 * place, value)
    assert_no_crash(bytes(raw))
