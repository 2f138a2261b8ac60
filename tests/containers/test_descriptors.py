# SPDX-License-Identifier: Apache-2.0
"""SPEC-369, SPEC-370: what is open in the process: standard streams, preserved and activated descriptors."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import Box, runtime


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[int]]:
    """Descriptors 3 to 8 of the runtime, each open on a file of that name."""
    opened = []
    for number in range(3, 9):
        (tmp_path / f"file{number}").write_text(str(number))
        opened.append(os.open(tmp_path / f"file{number}", os.O_RDONLY))
    yield opened
    for fd in opened:
        os.close(fd)


def run(box: Box, files: list[int], *flags: str, env: dict[str, str] | None = None) -> dict[str, list[object]]:
    def place() -> None:
        for number, fd in enumerate(files):
            os.dup2(fd, 100 + number)
        for number in range(len(files)):
            os.dup2(100 + number, 3 + number)

    box.write({}, "guest", "fds", "env")
    words = [runtime(), "--root", str(box.root), "run", *flags, "--bundle", str(box.bundle), box.id]
    # sd_listen_fds(3): they are for the process that LISTEN_PID names
    command = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *words]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=place,  # noqa: PLW1509 - no other thread runs here
        close_fds=False,
        env={**os.environ, **(env or {})},
    )
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err.decode()
    return dict(json.loads(out))


def test_only_the_standard_streams(box: Box) -> None:
    assert box.run({}, "guest", "fds").json["fds"] == [0, 1, 2]


def test_what_the_caller_left_open_stays_out(box: Box, files: list[int]) -> None:
    assert run(box, files)["fds"] == [0, 1, 2]


@pytest.mark.parametrize("count", [1, 2, 6])
def test_preserved_ones_are_exactly_these(box: Box, files: list[int], count: int) -> None:
    assert run(box, files, "--preserve-fds", str(count))["fds"] == list(range(3 + count))


def test_preserved_ones_are_the_callers(box: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("words")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    box.write({}, "cat <&3")
    process = box.spawn(
        "run", "--preserve-fds=1", "--bundle", box.bundle, box.id, preexec_fn=lambda: os.dup2(fd, 3), close_fds=False
    )
    assert process.communicate(timeout=20)[0] == "words"
    os.close(fd)


@pytest.mark.parametrize("log", [False, True])
def test_preserved_ones_that_are_not_open_stay_closed(box: Box, *, log: bool) -> None:
    """Podman's --preserve-fd=5 counts to 5; neither the helper's files nor the log come into the gap (runc#5474)."""
    if log:
        box.flags = ["--log", str(box.folder / "log")]
    box.write({}, "guest", "fds")
    words = [runtime(), "--root", str(box.root), *box.flags, "run", "--preserve-fds=9"]
    script = 'exec "$@" 5</dev/null 3<&- 4<&-'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words, "--bundle", str(box.bundle), box.id], capture_output=True, check=True
    )
    assert json.loads(done.stdout)["fds"] == [0, 1, 2, 5]


def test_exec_leaves_gaps_closed(box: Box) -> None:
    box.start({}, "sleep", "100")
    assert box.exec("guest", "fds", flags=("--preserve-fds", "20")).json["fds"] == [0, 1, 2]


def test_socket_activation(box: Box, files: list[int]) -> None:
    found = run(box, files, env={"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"})
    assert found["fds"] == [0, 1, 2, 3, 4]
    assert {"LISTEN_FDS=2", "LISTEN_PID=1", "LISTEN_FDNAMES=a:b"} <= set(map(str, found["env"]))


def test_socket_activation_and_preserved_ones(box: Box, files: list[int]) -> None:
    assert run(box, files, "--preserve-fds", "1", env={"LISTEN_FDS": "1"})["fds"] == [0, 1, 2, 3, 4]


def test_exec_preserves(box: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("words")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    box.start({}, "sleep 100")
    command = ("exec", "--preserve-fds", "1", box.id, "sh", "-c", "cat <&3")
    process = box.spawn(*command, preexec_fn=lambda: os.dup2(fd, 3), close_fds=False)
    assert process.communicate(timeout=20)[0] == "words"
    os.close(fd)


def received(listener: socket.socket) -> int:
    """The one descriptor that the runtime sends."""
    listener.settimeout(20)
    with listener.accept()[0] as connection:
        fds = socket.recv_fds(connection, 4096, 4)[1]
    assert len(fds) == 1
    return fds[0]


@pytest.mark.parametrize("verb", ["create", "exec"])
def test_a_pidfd_is_sent(box: Box, verb: str) -> None:
    path = f"/tmp/{box.id}.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        flags = ("--pidfd-socket", path)
        try:
            if verb == "create":
                box.create({}, "true", flags=flags)
                pid = box.pid
            else:
                box.start({}, "sleep 100")
                box._detached("exec", "-d", *flags, "--pid-file", box.folder / "pid", box.id, "sleep", "100")
                pid = int((box.folder / "pid").read_text())
            fd = received(listener)
        finally:
            os.unlink(path)
    try:
        assert f"Pid:\t{pid}\n" in Path(f"/proc/self/fdinfo/{fd}").read_text()
    finally:
        os.close(fd)


def test_a_pidfd_is_sent_where_an_annotation_says(box: Box) -> None:
    """crun(1): run.oci.pidfd_receiver."""
    path = f"/tmp/{box.id}.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        try:
            box.create({"annotations": {"run.oci.pidfd_receiver": path}}, "true")
            fd = received(listener)
        finally:
            os.unlink(path)
    try:
        assert f"Pid:\t{box.pid}\n" in Path(f"/proc/self/fdinfo/{fd}").read_text()
    finally:
        os.close(fd)


def test_a_pidfd_socket_that_is_not_there_leaves_nothing(box: Box) -> None:
    box.create({}, "true", flags=("--pidfd-socket", "/no/such"), status=1)
    box.check_clean()
