# SPDX-License-Identifier: Apache-2.0
"""Each instruction by itself: what it does, and that its failure is reported with its index and errno."""

import errno
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc.linux.uapi import (
    AT_FDCWD,
    CLONE_NEWPID,
    CLONE_PARENT,
    FSCONFIG_CMD_CREATE,
    FSCONFIG_SET_STRING,
    FSOPEN_CLOEXEC,
    PROC_SUPER_MAGIC,
    S_IFCHR,
    S_IFDIR,
)
from pyrunc.plan import ops
from pyrunc.plan.program import Load, Op, Program, Struct, Within
from tests.init.rig import MACHINE, failure, new_program, run, start, written

NULL = os.makedev(1, 3)
ZERO = os.makedev(1, 5)
ST_MODE = 24 if MACHINE == "x86_64" else 16


def open_null(program: Program) -> Op:
    return program.call("openat", AT_FDCWD, "/dev/null", 0, 0, to="null")


def clone_args(flags: int) -> Struct:
    return Struct("11Q", flags, *(0,) * 10)


FAILING: dict[str, tuple[Callable[[Program], object], int]] = {
    "syscall": (lambda p: p.call("chdir", "/nowhere"), errno.ENOENT),
    "syscall with another errno accepted": (lambda p: p.call("chdir", "/nowhere", accept=(errno.EPERM,)), errno.ENOENT),
    "an address that is none": (lambda p: p.call("getcwd", 8, 100), errno.EFAULT),
    "mkpath": (lambda p: p.mkpath(p.call("umask", 0, to="no fd"), "/a", ops.KIND_DIRECTORY), errno.ENOTDIR),
    "check of a file type": (lambda p: p.check(open_null(p), S_IFDIR, NULL), errno.ENODEV),
    "check of a device number": (lambda p: p.check(open_null(p), S_IFCHR, ZERO), errno.ENODEV),
    "check of no descriptor": (lambda p: p.check(closed(p), S_IFCHR, NULL), errno.EBADF),
    "check of a filesystem": (lambda p: p.check_fs(open_null(p), 1), errno.ENODEV),
    "check of a filesystem of no descriptor": (lambda p: p.check_fs(closed(p), 1), errno.EBADF),
    "check of another filesystem": (
        lambda p: p.check_other_fs(p.call("openat", AT_FDCWD, "/proc", 0, 0, to="proc"), PROC_SUPER_MAGIC),
        errno.ENODEV,
    ),
    "check of another filesystem of no descriptor": (lambda p: p.check_other_fs(closed(p), 1), errno.EBADF),
    "check of a byte": (lambda p: p.check_byte(Struct("Q", ord("x")), ord("/")), errno.ENODEV),
    "clone": (lambda p: p.clone(clone_args(1)), errno.EINVAL),
    "exec": (lambda p: p.exec(["/nowhere"], ["x"], [], origin=""), errno.ENOENT),
    "exec of no candidate": (lambda p: p.exec([], ["x"], [], origin=""), errno.ENOENT),
    "a jump on an errno that is not accepted": (
        lambda p: p.jump(p.call("chdir", "/nowhere", to="there", accept=(errno.ENOENT,)), (errno.EBADF,)),
        errno.ENOENT,
    ),
}


def closed(program: Program) -> Op:
    fd = open_null(program)
    program.call("close", fd)
    return fd


@pytest.mark.parametrize("before", [0, 1, 300])
@pytest.mark.parametrize("name", FAILING)
def test_a_failure_has_index_and_errno(name: str, before: int) -> None:
    """Nothing runs after it."""
    build, number = FAILING[name]
    program = new_program()
    for _ in range(before):
        program.call("umask", 0)
    build(program)
    last = len(program.ops) - 1
    program.exec(["/bin/true"], ["true"], [], origin="")
    if name == "mkpath":
        # The register holds a umask: some number that is no directory, or not open at all
        assert failure(program)[:2] == (ops.REPORT_ERROR, last)
    else:
        assert failure(program) == (ops.REPORT_ERROR, last, number)


def test_the_kernel_says_why_a_mount_failed() -> None:
    """The messages of a filesystem context are the detail of the report: fsopen(2)."""
    program = new_program()
    context = program.call("fsopen", "tmpfs", FSOPEN_CLOEXEC, to="context")
    program.call("fsconfig", context, FSCONFIG_SET_STRING, "nonsense", "1", 0)
    if os.geteuid():
        program = new_program()
        context = program.call("fsopen", "tmpfs", FSOPEN_CLOEXEC, to="context")
        assert failure(program)[2] == errno.EPERM
        return
    _, (report,) = run(program)
    assert report.value == errno.EINVAL
    assert b"nonsense" in report.detail


@pytest.mark.root
def test_only_what_failed_is_explained() -> None:
    """No detail of an earlier instruction is left over."""
    program = new_program()
    context = program.call("fsopen", "tmpfs", FSOPEN_CLOEXEC, to="context")
    program.call("fsconfig", context, FSCONFIG_SET_STRING, "nonsense", "1", 0, accept=(errno.EINVAL,))
    program.call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0)
    program.call("chdir", "/nowhere")
    _, (report,) = run(program)
    assert report.detail == b""


def test_an_accepted_errno_is_the_result() -> None:
    def build(program: Program) -> None:
        fd = program.call("openat", AT_FDCWD, "/nowhere", 0, 0, to="fd", accept=(errno.EACCES, errno.ENOENT))
        result = Struct("Q", fd)
        program.call("write", program.input("out"), result, 8)

    assert struct.unpack("<q", written(build)) == (-errno.ENOENT,)


def test_an_accepted_errno_skips() -> None:
    def build(program: Program) -> None:
        out = program.input("out")
        fd = program.call("chdir", "/nowhere", accept=(errno.ENOENT,))
        program.call("write", out, b"a", 1)
        program.call("write", out, b"b", 1)
        program.here_on_error(fd)
        program.call("write", out, b"c", 1)

    assert written(build) == b"c"


def test_success_skips() -> None:
    def build(program: Program) -> None:
        out = program.input("out")
        here = program.call("chdir", "/", accept=(errno.ENOENT,))
        program.call("write", out, b"a", 1)
        program.here_on_success(here)
        program.call("write", out, b"b", 1)

    assert written(build) == b"b"


@pytest.mark.parametrize(("path", "expected"), [("/", b"b"), ("/nowhere", b"ab")])
def test_a_jump_depends_on_an_earlier_call(path: str, expected: bytes) -> None:
    def build(program: Program) -> None:
        out = program.input("out")
        there = program.call("chdir", path, to="there", accept=(errno.ENOENT,))
        program.call("umask", 0)
        over = program.jump(there)
        program.call("write", out, b"a", 1)
        program.here_on_success(over)
        program.call("write", out, b"b", 1)

    assert written(build) == expected


def test_a_jump_to_the_end() -> None:
    program = new_program()
    over = program.jump()
    program.call("chdir", "/nowhere")
    program.here_on_success(over)
    assert run(program) == (0, [])


def test_registers_are_stored_into_structs() -> None:
    """4 and 8 bytes, and nothing beside them."""

    def build(program: Program) -> None:
        fd = program.call("dup3", 2, 77, 0, to="fd")
        program.call("write", program.input("out"), Struct("IIQI", 0xAAAAAAAA, fd, fd, 0xBBBBBBBB), 20)

    assert struct.unpack("=IIQI", written(build)) == (0xAAAAAAAA, 77, 77, 0xBBBBBBBB)


def test_a_struct_points_to_strings_and_structs() -> None:
    """writev(2) is not in the table: sendmsg's kind of nested pointers, by the bytes that are there."""

    def build(program: Program) -> None:
        program.call("write", program.input("out"), Struct("16sH6s", b"lo", 7, b"rest"), 24)

    assert written(build) == b"lo" + bytes(14) + b"\7\0rest\0\0"


def test_load_reads_what_the_kernel_wrote(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch()
    first.chmod(0o4751)
    second.touch()

    def build(program: Program) -> None:
        stat = Struct("18Q", *(0,) * 18)
        one = program.call("openat", AT_FDCWD, str(first), 0, 0, to="one")
        two = program.call("openat", AT_FDCWD, str(second), 0, 0, to="two")
        program.call("fstat", one, stat)
        program.call("fchmod", two, Load(stat, ST_MODE))

    written(build)
    assert second.stat().st_mode & 0o7777 == 0o4751


def test_within_is_a_place_for_the_kernel() -> None:
    def build(program: Program) -> None:
        buffer = Struct("64s", b"HOME=?")
        program.call("chdir", "/")
        program.call("getcwd", Within(buffer, 5), 59)
        program.call("write", program.input("out"), buffer, 8)

    assert written(build) == b"HOME=/\0\0"


def test_checks_that_hold() -> None:
    def build(program: Program) -> None:
        proc = program.call("openat", AT_FDCWD, "/proc", 0, 0, to="proc")
        program.check_fs(proc, PROC_SUPER_MAGIC)
        program.check_other_fs(proc, 1)
        program.check(proc, S_IFDIR, 0)
        program.check(open_null(program), S_IFCHR, NULL)

    assert written(build) == b""


def test_a_byte_that_the_kernel_wrote_is_checked() -> None:
    def build(program: Program) -> None:
        buffer = Struct("64s", b"")
        program.call("chdir", "/tmp")
        program.call("getcwd", buffer, 64)
        program.check_byte(buffer, ord("/"))

    assert written(build) == b""


def test_equal_strings_are_one_and_structs_are_not() -> None:
    program = Program(MACHINE)
    program.call("chdir", "/a")
    program.call("chdir", "/a")
    raw = program.encode({}, 3, 4)
    assert raw.count(b"/a\0") == 1


# --- SYNC


def test_sync_tells_its_point_and_waits() -> None:
    program = new_program()
    fd = program.call("dup3", 2, 300, 0, to="fd")
    absent = program.call("openat", AT_FDCWD, "/nowhere", 0, 0, to="absent", accept=(errno.ENOENT,))
    program.sync(7, "one", fd)
    program.sync(8, "two", fd, fd)
    program.sync(9, "three", absent)
    with start(program) as running:
        seen = []
        for _ in range(3):
            report = running.report()
            assert report is not None
            seen.append(
                (report.kind, report.index, report.value & 0xFFFF, report.value >> 16 & 0xFFFF, report.value >> 32)
            )
            running.answer()
        assert running.wait() == 0
    assert seen[0] == (ops.REPORT_SYNC, 3, 7, 300, 0)
    assert seen[1] == (ops.REPORT_SYNC, 4, 8, 300, 300)
    assert seen[2][:3] == (ops.REPORT_SYNC, 5, 9)


@pytest.mark.parametrize("answer", [b"\1", b"x", b"\xff"])
def test_another_answer_ends_the_helper(answer: bytes) -> None:
    program = new_program()
    program.sync(1, "point")
    program.call("chdir", "/nowhere")
    status, reports = run(program, answers=answer)
    assert status == 1
    assert [report.kind for report in reports] == [ops.REPORT_SYNC]


def test_the_end_of_answers_ends_the_helper() -> None:
    """The runtime died: nobody would undo what comes next."""
    program = new_program()
    program.sync(1, "point")
    program.call("chdir", "/nowhere")
    status, reports = run(program)
    assert status == 1
    assert [report.kind for report in reports] == [ops.REPORT_SYNC]


# --- the wait after a failure


def test_after_a_failure_it_can_be_looked_at() -> None:
    """It stays until the runtime closes its end, or answers; not for ever."""
    program = new_program()
    program.call("chdir", "/tmp")
    program.call("chdir", "/nowhere")
    for leave in ("answer", "close"):
        with start(program) as running:
            assert running.report() is not None
            time.sleep(0.05)
            assert os.readlink(f"/proc/{running.pid}/cwd") == "/tmp"
            assert os.waitpid(running.pid, os.WNOHANG) == (0, 0)
            getattr(running, leave)()
            assert running.wait() == 1


@pytest.mark.slow
def test_after_a_failure_it_leaves_by_itself() -> None:
    program = new_program()
    program.call("chdir", "/nowhere")
    begin = time.monotonic()
    with start(program) as running:
        assert running.wait() == 1
    assert 4 < time.monotonic() - begin < 15


# --- CLONE


@pytest.mark.parametrize("flags", [CLONE_PARENT, pytest.param(CLONE_PARENT | CLONE_NEWPID, marks=pytest.mark.root)])
def test_the_pid_comes_before_all_else_of_the_clone(flags: int) -> None:
    """The child's own reports are never read before its pid, which is as we see it, also from a new pid namespace."""
    program = new_program()
    program.clone(clone_args(flags))
    program.sync(3, "point")
    for _ in range(20):
        with start(program) as running:
            first, second = running.report(), running.report()
            assert first is not None
            assert second is not None
            assert (first.kind, first.index) == (ops.REPORT_PID, 1)
            assert (second.kind, second.index, second.value) == (ops.REPORT_SYNC, 2, 3)
            assert running.wait() == 0
            assert first.value != running.pid
            # CLONE_PARENT: it is our child
            assert os.waitpid(first.value, os.WNOHANG) == (0, 0)
            running.answer()
            assert os.waitpid(first.value, 0)[1] == 0
            running.children.clear()


def test_the_clone_fails_with_its_own_index() -> None:
    program = new_program()
    program.clone(clone_args(CLONE_PARENT))
    program.call("chdir", "/nowhere")
    with start(program) as running:
        assert running.report() is not None
        report = running.report()
        assert report is not None
        assert (report.kind, report.index, report.value) == (ops.REPORT_ERROR, 2, errno.ENOENT)
        assert running.wait() == 0


# --- CHANNEL


def test_a_channel_takes_over() -> None:
    """Reports go to the new descriptor, answers come from the new one, and the old ones can be closed."""
    program = new_program()
    reports, answers = program.input("new reports"), program.input("new answers")
    program.channel(reports, answers)
    program.sync(5, "point")
    program.call("chdir", "/nowhere")
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    theirs_answers, ours_answers = os.pipe2(os.O_CLOEXEC)
    with start(program, theirs, theirs_answers) as running:
        raw = os.read(ours, ops.REPORT_SIZE)
        assert struct.unpack(ops.REPORT, raw) == (ops.REPORT_SYNC, 0, 0, 2, 5)
        os.write(ours_answers, b"\0\0")
        raw = os.read(ours, ops.REPORT_SIZE)
        assert struct.unpack(ops.REPORT, raw) == (ops.REPORT_ERROR, 0, 0, 3, errno.ENOENT)
        assert running.wait() == 1
        running.close()
        assert running.report() is None
    for fd in (ours, theirs, theirs_answers, ours_answers):
        os.close(fd)
