# SPDX-License-Identifier: Apache-2.0
"""HOOK: state on stdin, exit status, signal, deadline, the end of the output; and nothing of the helper in the hook."""

import errno
import os
import time
from pathlib import Path

import pytest

from pyrunc.plan import ops
from pyrunc.plan.program import Program
from pyrunc.process.protocol import Report
from tests.init.rig import MACHINE, new_program, start

SH = "/bin/sh"


def program_of(*scripts: str, milliseconds: int = 0, environment: tuple[str, ...] = ()) -> Program:
    program = new_program()
    state = program.input("state")
    for script in scripts:
        program.hook(SH, ["sh", "-c", script], list(environment), state, milliseconds, origin="")
    program.sync(1, "after")
    return program


def outcome(program: Program, state: bytes = b"{}") -> Report | None:
    """The report of a hook that failed, None when all went well; the helper has no child left."""
    fd = os.memfd_create("state")
    os.write(fd, state)
    try:
        with start(program, fd) as running:
            report = running.report()
            assert report is not None
            children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text("ascii")
            assert children == ""
            running.answer()
            running.close()
            status = running.wait()
    finally:
        os.close(fd)
    if report.kind == ops.REPORT_SYNC:
        assert status == 0
        return None
    assert (report.kind, status) == (ops.REPORT_HOOK, 1)
    return report


def failed(program: Program, state: bytes = b"{}") -> Report:
    report = outcome(program, state)
    assert report is not None
    return report


def test_success_goes_on() -> None:
    assert outcome(program_of("exit 0", "true")) is None


def test_an_exit_status() -> None:
    report = failed(program_of("true", "echo why >&2; exit 3", "true"))
    assert (report.index, report.value, report.detail) == (2, 3 << 8, b"why\n")


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV"])
def test_a_signal(name: str) -> None:
    import signal

    number = getattr(signal, f"SIG{name}")
    assert failed(program_of(f"ulimit -c 0; kill -{name} $$")).value == number


def test_state_is_on_stdin_of_each_hook(tmp_path: Path) -> None:
    script = f"cat >> {tmp_path}/seen"
    assert outcome(program_of(script, script), b'{"id": "x"}') is None
    assert (tmp_path / "seen").read_bytes() == b'{"id": "x"}' * 2


def test_the_environment_is_what_is_given(tmp_path: Path) -> None:
    """Nothing of the runtime's; sh adds PWD by itself."""
    script = f"/usr/bin/env > {tmp_path}/seen"
    assert outcome(program_of(script, environment=("A=b c", "D="))) is None
    names = [line.partition("=")[0] for line in (tmp_path / "seen").read_text("utf-8").splitlines()]
    assert {"A", "D"} <= set(names) <= {"A", "D", "PWD", "SHLVL", "_", "OLDPWD"}


def test_no_descriptor_leaks_into_a_hook(tmp_path: Path) -> None:
    """Not even those that the container's process keeps (--preserve-fds)."""
    program = Program(MACHINE)
    state = program.input("state")
    program.call("dup3", 2, 50, 0)
    program.hook("/bin/ls", ["ls", "/proc/self/fd"], [], state, 0, origin="")
    program.hook(SH, ["sh", "-c", f"ls /proc/self/fd > {tmp_path}/seen"], [], state, 0, origin="")
    program.sync(1, "after")
    assert outcome(program) is None
    # 0, 1, 2 and the one with which ls reads the directory
    assert (tmp_path / "seen").read_text("ascii").split() == ["0", "1", "2", "3"]


def test_a_hook_has_its_own_session(tmp_path: Path) -> None:
    assert (
        outcome(program_of(f"cut -d' ' -f1,5,6 /proc/self/stat > {tmp_path}/seen; echo $$ >> {tmp_path}/seen")) is None
    )
    stat, shell = (tmp_path / "seen").read_text("ascii").splitlines()
    assert stat.split()[1:] == [shell, shell]


def test_much_output_blocks_nobody() -> None:
    """The output is a pipe that blocks and is read: no write of the hook fails with EAGAIN."""
    assert outcome(program_of("head -c 3000000 /dev/zero && exit 0")) is None


def test_the_end_of_the_output_is_kept() -> None:
    report = failed(program_of("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; exit 1"))
    assert len(report.detail) == ops.DETAIL_MAX
    assert report.detail.endswith(b"line 1998\nline 1999\n")


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1023, 1024, 1025, 1536, 5000])
def test_output_of_any_size(size: int) -> None:
    text = bytes(97 + number % 26 for number in range(size))
    report = failed(program_of(f"printf %s {text.decode()}; exit 1"))
    assert report.detail == text[-ops.DETAIL_MAX :]


def test_the_output_of_one_that_succeeds_is_forgotten() -> None:
    assert failed(program_of("echo before", "exit 1")).detail == b""


def test_a_deadline() -> None:
    begin = time.monotonic()
    report = failed(program_of("echo said; sleep 100", milliseconds=300))
    assert (report.value, report.detail) == (ops.HOOK_TIMED_OUT, b"said\n")
    assert time.monotonic() - begin < 10


def test_a_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    failed(program_of(f"sleep 100 & echo $! > {tmp_path}/pid; wait", milliseconds=300))
    pid = int((tmp_path / "pid").read_text("ascii"))
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text("ascii").split()[2]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} of the hook is still there")


def test_a_deadline_that_is_not_reached() -> None:
    assert outcome(program_of("sleep 0.2", milliseconds=20_000)) is None


def test_a_daemon_that_keeps_the_output_open_is_not_waited_for(tmp_path: Path) -> None:
    begin = time.monotonic()
    assert outcome(program_of(f"sleep 30 & echo $! > {tmp_path}/pid")) is None
    assert time.monotonic() - begin < 10
    os.kill(int((tmp_path / "pid").read_text("ascii")), 9)


def test_a_hook_that_closes_its_output() -> None:
    """The end of the output is not the end of the hook, and no reason to be busy."""
    report = failed(program_of("exec >&- 2>&-; sleep 0.3; exit 4"))
    assert report.value == 4 << 8


@pytest.mark.parametrize(
    ("content", "mode", "number"),
    [
        (None, 0, errno.ENOENT),
        ("", 0o644, errno.EACCES),
        ("no program", 0o755, errno.ENOEXEC),
        ("#!/nowhere\n", 0o755, errno.ENOENT),
    ],
)
def test_what_cannot_be_executed(tmp_path: Path, content: str | None, mode: int, number: int) -> None:
    """An errno of its own, and no exit status that the hook might have."""
    path = tmp_path / "hook"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    program = new_program()
    program.hook(str(path), ["hook"], [], program.input("state"), 1000, origin="")
    assert failed(program).value == ops.HOOK_NOT_EXECUTED - number


def test_many_hooks_leave_nothing_open() -> None:
    """Neither descriptors nor memory are used up."""
    program = program_of(*["true"] * 40)
    fd = os.memfd_create("state")
    with start(program, fd) as running:
        report = running.report()
        assert report is not None
        assert report.kind == ops.REPORT_SYNC
        # standard streams, both pipes, state
        assert len(os.listdir(f"/proc/{running.pid}/fd")) <= 6
        assert "/dev/zero" not in Path(f"/proc/{running.pid}/maps").read_text("ascii")
        running.answer()
        assert running.wait() == 0
    os.close(fd)
