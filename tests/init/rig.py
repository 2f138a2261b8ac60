# SPDX-License-Identifier: Apache-2.0
"""Runs pyrunc-init alone: on a Program, or on bytes that are none."""

import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pyrunc.plan import ops
from pyrunc.plan.program import Program
from pyrunc.process.protocol import Report, read_report

BINARY = Path(__file__).parents[2] / "pyrunc/init/pyrunc-init"
CODE, REPORTS, ANSWERS, FIRST_INPUT = 100, 101, 102, 103
"""Descriptors of the helper: its program, the protocol, and from there on the inputs of the program in their order."""
CLOEXEC = 4
ALL = 0xFFFFFFFF
MACHINE = os.uname().machine
SECONDS = 20


def new_program() -> Program:
    """A program for this machine that leaves nothing open to what it executes."""
    program = Program(MACHINE)
    program.call("close_range", 3, ALL, CLOEXEC)
    return program


class Running:
    """A helper and both pipes of its protocol; leaving the block ends it."""

    def __init__(self, raw: bytes, inputs: list[int] | None = None) -> None:
        self.reports, reports_end = os.pipe2(os.O_CLOEXEC)
        answers_end, self.answers = os.pipe2(os.O_CLOEXEC)
        code = os.memfd_create("program")
        os.write(code, raw)
        self.pid = spawn([str(CODE)], {CODE: code, REPORTS: reports_end, ANSWERS: answers_end}, inputs or [])
        for fd in (reports_end, answers_end, code):
            os.close(fd)
        self.children: list[int] = []
        self.status: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in [*self.children, *([self.pid] if self.status is None else [])]:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        os.close(self.reports)
        self.close()

    def report(self) -> Report | None:
        """The next report; None at the end. TimeoutError when the helper says nothing."""
        if not select.select([self.reports], [], [], SECONDS)[0]:
            raise TimeoutError
        report = read_report(self.reports)
        if report is not None and report.kind == ops.REPORT_PID:
            self.children.append(report.value)
        return report

    def answer(self, byte: bytes = b"\0") -> None:
        os.write(self.answers, byte)

    def close(self) -> None:
        """No more answers."""
        if self.answers >= 0:
            os.close(self.answers)
            self.answers = -1

    def wait(self) -> int:
        """The exit status of the helper, or the negative number of the signal that killed it."""
        if self.status is None:
            deadline = time.monotonic() + SECONDS
            done = 0
            while not done:
                done, status = os.waitpid(self.pid, os.WNOHANG)
                if time.monotonic() > deadline:
                    raise TimeoutError
                time.sleep(0.001)
            self.status = os.waitstatus_to_exitcode(status)
        return self.status


def spawn(arguments: list[str], descriptors: Mapping[int, int], inputs: list[int]) -> int:
    """Start the helper with exactly these descriptors, number -> ours, and the inputs behind them."""
    wanted = {**descriptors, **{FIRST_INPUT + place: fd for place, fd in enumerate(inputs)}}
    actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in wanted.items()]
    # Whatever the caller of the tests left open
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in inherited() if fd not in wanted]
    return os.posix_spawn(str(BINARY), ["pyrunc-init", *arguments], {"SECRET": "of the runtime"}, file_actions=actions)


def inherited() -> list[int]:
    """Our descriptors above the standard streams that a program we start would have."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            continue  # the one with which the folder was read
    return found


def encode(program: Program) -> bytes:
    """The program on the wire, its inputs in the order in which they were named."""
    return program.encode({name: FIRST_INPUT + place for place, name in enumerate(program.inputs)}, REPORTS, ANSWERS)


def start(program: Program, *inputs: int) -> Running:
    return Running(encode(program), list(inputs))


def run(program: Program, *inputs: int, answers: bytes = b"") -> tuple[int, list[Report]]:
    """Run it to its end: exit status of the first stage, and all reports. Each sync point takes a byte of `answers`."""
    with start(program, *inputs) as running:
        if answers:
            running.answer(answers)
        running.close()
        reports = []
        while (report := running.report()) is not None:
            reports.append(report)
        return running.wait(), reports


def failure(program: Program, *inputs: int) -> tuple[int, int, int]:
    """Kind, index and value of the one report of a program that fails."""
    status, reports = run(program, *inputs)
    assert status == 1
    assert len(reports) == 1
    return reports[0].kind, reports[0].index, reports[0].value


def written(build: Callable[[Program], None]) -> bytes:
    """What a program writes to its input "out"."""
    program = new_program()
    program.input("out")
    build(program)
    out = os.memfd_create("out")
    try:
        status, reports = run(program, out)
        assert (status, reports) == (0, [])
        return os.pread(out, 1 << 16, 0)
    finally:
        os.close(out)
