# SPDX-License-Identifier: Apache-2.0
"""EXEC, and what is left of the helper in the program that it becomes."""

import errno
import os
from pathlib import Path

import pytest

from pyrunc.config.fields import Config
from pyrunc.linux.host import probe
from pyrunc.plan import ops
from pyrunc.plan.compile import Choices, process
from pyrunc.plan.program import Program
from pyrunc.process.spawn import spawn
from tests.init.rig import MACHINE, failure, new_program, run, start

PARTS = {"missing": None, "denied": 0o644, "good": 0o755}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files to execute; every one that can be executed writes its own name to stdout's place, a file."""
    for name, mode in PARTS.items():
        if mode is not None:
            path = tmp_path / name
            path.write_text(f"#!/bin/sh\necho $0 > {tmp_path}/out\n")
            path.chmod(mode)
    (tmp_path / "empty").touch(0o755)
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").write_text(f"#!/bin/sh\necho other > {tmp_path}/out\n")
    (tmp_path / "other").chmod(0o755)
    return tmp_path


def execute(folder: Path, *names: str) -> Program:
    program = new_program()
    program.exec([str(folder / name) for name in names], ["x"], [], origin="")
    return program


@pytest.mark.parametrize(
    "names",
    [("good",), ("missing", "good"), ("denied", "good"), ("folder", "missing", "good", "other"), ("good/x", "good")],
)
def test_the_first_that_can_be_executed(folder: Path, names: tuple[str, ...]) -> None:
    assert run(execute(folder, *names)) == (0, [])
    assert (folder / "out").read_text() == f"{folder}/good\n"


@pytest.mark.parametrize(
    ("names", "number"),
    [
        (("missing",), errno.ENOENT),
        (("missing", "good/x"), errno.ENOENT),
        (("denied", "missing"), errno.EACCES),
        (("missing", "folder"), errno.EACCES),
        (("empty", "good"), errno.ENOEXEC),
    ],
)
def test_the_errno_to_tell(folder: Path, names: tuple[str, ...], number: int) -> None:
    """EACCES counts more than ENOENT; another errno ends the search, as with execvp(3)."""
    assert failure(execute(folder, *names)) == (ops.REPORT_ERROR, 1, number)
    assert not (folder / "out").exists()


def test_arguments_and_environment_are_exact() -> None:
    program = new_program()
    out = program.input("out")
    program.call("dup3", out, 1, 0)
    argv = ["sh", "-c", "cat /proc/$$/cmdline /proc/$$/environ", "", "a b", "ü\n", "-"]
    program.exec(["/bin/sh"], argv, ["A=1", "EMPTY=", "U=ü"], origin="")
    fd = os.memfd_create("out")
    assert run(program, fd) == (0, [])
    text = os.pread(fd, 1 << 16, 0)
    os.close(fd)
    assert text == "".join(f"{part}\0" for part in [*argv, "A=1", "EMPTY=", "U=ü"]).encode()


def test_without_arguments_and_environment() -> None:
    program = new_program()
    program.exec(["/bin/true"], ["true"], [], origin="")
    assert run(program) == (0, [])


def descriptors(preserve: int) -> tuple[list[str], bytes]:
    """What is open in a process that `exec` starts, and its environment, by the real program of `exec`."""
    environment = ["A=b", "HOME=/"]
    config = Config(
        {
            "ociVersion": "1.2.0",
            "root": {"path": "/"},
            "process": {
                "cwd": "/",
                "args": ["/bin/sh", "-c", "ls /proc/self/fd >&1; cat /proc/$$/environ"],
                "env": environment,
                "user": {"uid": 0, "gid": 0},
            },
        },
        "/",
    )
    facts = probe()
    facts.stdio = (None, None, None)
    program = process(config, facts, Choices(preserve_fds=preserve), 0)
    out = os.memfd_create("out")
    # The last instruction is execve: before it the standard output becomes a file of ours.
    execve = program.ops.pop()
    program.call("dup3", program.input("out"), 1, 0)
    execve.index = len(program.ops)
    program.ops.append(execve)
    root = os.open("/", os.O_PATH)
    helper = spawn(program, {"out": out, "root": root}, preserve)
    os.close(root)
    pid = 0
    try:
        while (report := helper.report()) is not None:
            if report.kind == ops.REPORT_PID:
                pid = report.value
                helper.reap()
            elif report.kind == ops.REPORT_SYNC:
                # Not even our own user may look at it: its files in /proc are root's, and it cannot be traced.
                assert os.stat(f"/proc/{pid}/environ").st_uid == 0
                helper.answer()
            else:
                assert report.kind not in (ops.REPORT_ERROR, ops.REPORT_HOOK), (report.index, report.value)
    finally:
        helper.close()
    assert os.waitpid(pid, 0)[1] == 0
    text = os.pread(out, 1 << 16, 0)
    os.close(out)
    names, _, rest = text.partition(b"A=b")
    return names.decode().split(), b"A=b" + rest


@pytest.mark.root
def test_nothing_of_the_helper_is_open_in_the_process() -> None:
    """Standard streams alone (and the one with which ls reads); nothing of the runtime's environment."""
    leak = os.open("/", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        open_, environment = descriptors(0)
    finally:
        os.close(leak)
    assert open_ == ["0", "1", "2", "3"]
    assert environment == b"A=b\0HOME=/\0"


@pytest.mark.root
def test_preserved_descriptors_are_open_in_the_process() -> None:
    """--preserve-fds 2: 3 and 4, and none above."""
    saved = {number: os.dup(number) for number in (3, 4) if os.path.exists(f"/proc/self/fd/{number}")}
    source = os.open("/dev/null", os.O_RDONLY)
    try:
        for number in (3, 4):
            os.dup2(source, number)
        open_, _ = descriptors(2)
    finally:
        for number in (3, 4):
            if number in saved:
                os.dup2(saved[number], number, inheritable=False)
                os.close(saved[number])
            elif number != source:
                os.close(number)
        if source not in (3, 4):
            os.close(source)
    assert open_ == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.root
def test_the_helper_runs_from_sealed_memory() -> None:
    """A process in a container that finds it in /proc cannot change the file of the host (CVE-2019-5736)."""
    program = Program(MACHINE)
    program.sync(1, "point")
    helper = spawn(program, {}, 0)
    try:
        assert helper.report() is not None
        assert os.readlink(f"/proc/{helper.pid}/exe") == "/memfd:pyrunc-init (deleted)"
        with pytest.raises(OSError, match=r"busy|permitted|denied"):
            os.close(os.open(f"/proc/{helper.pid}/exe", os.O_WRONLY))
        helper.answer()
        assert helper.reap() == 0
    finally:
        helper.close()


def test_the_helper_is_small_and_alone() -> None:
    """No library, no interpreter, nothing to write to in its text; what a limit of 512 KiB holds with ease."""
    from tests.init.rig import BINARY

    raw = BINARY.read_bytes()
    assert len(raw) < 16_384
    assert b"ld-linux" not in raw
    program = new_program()
    program.sync(1, "point")
    with start(program) as running:
        assert running.report() is not None
        maps = Path(f"/proc/{running.pid}/maps").read_text("ascii").splitlines()
        assert not [line for line in maps if ".so" in line]
        writable = [line for line in maps if "wx" in line.split()[1]]
        assert writable == []
        running.answer()
        assert running.wait() == 0
