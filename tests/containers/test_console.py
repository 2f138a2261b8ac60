# SPDX-License-Identifier: Apache-2.0
"""SPEC-092 to SPEC-095, SPEC-206: terminals: of a foreground run, of a console socket, of exec."""

import fcntl
import os
import pty
import signal
import socket
import struct
import termios
import time
from collections.abc import Iterator

import pytest

from tests.containers.box import Box, Patch, wait_for


class Terminal:
    """A pty of ours, on which a foreground `run` or `exec` is; text is all that came."""

    def __init__(self, box: Box, *arguments: object, rows: int = 24, columns: int = 80) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.text = ""
        self.process = box.spawn(
            *arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        os.set_blocking(self.master, False)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def write(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read(self) -> str:
        try:
            while data := os.read(self.master, 4096):
                self.text += data.decode()
        except OSError:
            pass  # nothing yet, or the other end is closed
        return self.text

    def until(self, words: str) -> None:
        wait_for(lambda: words in self.read(), f"{words!r} in {self.text!r}")

    def end(self) -> int:
        wait_for(lambda: (self.read(), self.process.poll())[1] is not None, f"end: {self.text!r}")
        self.read()
        os.close(self.master)
        return self.process.wait()


def terminal(**fields: object) -> Patch:
    return {"process": {"terminal": True, **fields}}


def run(box: Box, patch: Patch, *argv: str, rows: int = 24, columns: int = 80) -> Terminal:
    box.write(patch, *argv)
    return Terminal(box, "run", "--bundle", box.bundle, box.id, rows=rows, columns=columns)


@pytest.fixture
def listener(box: Box) -> Iterator[socket.socket]:
    path = f"/tmp/{box.id}.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        listening.settimeout(20)
        yield listening
    os.unlink(path)


def master_of(listener: socket.socket) -> int:
    with listener.accept()[0] as connection:
        fds = socket.recv_fds(connection, 4096, 4)[1]
    assert len(fds) == 1
    return fds[0]


def test_the_streams_are_a_terminal(box: Box) -> None:
    window = run(box, terminal(), "test -t 0 && test -t 1 && test -t 2 && tty")
    assert window.end() == 0
    assert window.text.strip() in {"/dev/pts/0", "/dev/console"}


def test_it_is_the_controlling_terminal(box: Box) -> None:
    window = run(box, terminal(), "echo words > /dev/tty; ps -o pid,tty | tail -1")
    assert window.end() == 0
    assert "words" in window.text


def test_the_console_is_the_terminal(box: Box) -> None:
    window = run(
        box, terminal(), "echo words > /dev/console; stat -c %t /dev/console; grep -c ' /dev/console ' /proc/mounts"
    )
    assert window.end() == 0
    assert window.text.split() == ["words", "88", "1"]


def test_without_terminal_there_is_no_console(box: Box) -> None:
    assert "console" not in box.run({}, "ls /dev").out
    box.run({"process": {"terminal": False, "consoleSize": {"height": 9, "width": 9}}}, "test -t 0", status=1)


def test_the_size_of_config(box: Box, listener: socket.socket) -> None:
    patch = terminal(consoleSize={"height": 31, "width": 97})
    box.start(patch, "guest winsize; sleep 100", flags=("--console-socket", listener.getsockname()))
    master = master_of(listener)
    text = ""
    while "\n" not in text:
        text += os.read(master, 1000).decode()
    assert '{"winsize":[31,97]}' in text
    os.close(master)


def test_the_size_of_our_terminal_and_its_changes(box: Box) -> None:
    window = run(
        box,
        terminal(),
        "guest winsize; trap 'guest winsize; exit' WINCH; while :; do sleep 0.01; done",
        rows=33,
        columns=99,
    )
    window.until("[33,99]")
    window.resize(41, 101)
    window.until("[41,101]")
    assert window.end() == 0


def test_input_and_output(box: Box) -> None:
    window = run(box, terminal(), "read line; echo got $line")
    window.write("words\n")
    assert window.end() == 0
    assert "got words" in window.text


def test_control_c_is_the_containers(box: Box) -> None:
    window = run(box, terminal(), "trap 'echo interrupted; exit 6' INT; echo ready; while :; do sleep 0.01; done")
    window.until("ready")
    window.write("\x03")
    assert window.end() == 6
    assert "interrupted" in window.text


def test_control_d_ends_the_input(box: Box) -> None:
    window = run(box, terminal(), "echo ready; cat; echo end")
    window.until("ready")
    window.write("\x04")
    assert window.end() == 0
    assert "end" in window.text


def test_our_terminal_is_as_before(box: Box) -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    box.write(terminal(), "true")
    process = box.spawn("run", "--bundle", box.bundle, box.id, stdin=slave, stdout=slave, stderr=slave)
    assert process.wait(20) == 0
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_the_exit_status_and_the_last_byte(box: Box) -> None:
    window = run(box, terminal(), "seq 1 3000; exit 9")
    assert window.end() == 9
    assert window.text.split() == [str(number) for number in range(1, 3001)]


def test_a_signal_to_the_runtime_goes_on(box: Box) -> None:
    window = run(box, terminal(), "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done")
    window.until("ready")
    window.process.send_signal(signal.SIGTERM)
    assert window.end() == 7


def test_the_terminal_belongs_to_the_user(box: Box) -> None:
    window = run(box, terminal(user={"uid": 1000, "gid": 1000}), "stat -c %u $(tty); echo words > /dev/console")
    assert window.end() == 0
    assert window.text.split() == ["1000", "words"]


def test_a_console_socket(box: Box, listener: socket.socket) -> None:
    box.create(terminal(), "echo words; sleep 100", flags=("--console-socket", listener.getsockname()))
    master = master_of(listener)
    box.start()
    text = ""
    while "words" not in text:
        text += os.read(master, 1000).decode()
    assert os.isatty(master)
    os.close(master)


def test_a_detached_terminal_needs_a_socket(box: Box) -> None:
    error = box.create(terminal(), "true", status=1).err
    assert "console socket" in error
    box.check_clean()


def test_a_socket_needs_a_terminal(box: Box, listener: socket.socket) -> None:
    box.create({}, "true", flags=("--console-socket", listener.getsockname()), status=1)
    assert not (box.root / box.id).exists()


def test_a_socket_that_is_not_there_leaves_nothing(box: Box) -> None:
    box.create(terminal(), "true", flags=("--console-socket", "/no/such"), status=1)
    box.check_clean()


@pytest.mark.parametrize("flag", ["-t", "--tty"])
def test_exec(box: Box, flag: str) -> None:
    box.start({}, "sleep 100")
    window = Terminal(box, "exec", flag, box.id, "sh", "-c", "test -t 0 && guest winsize; exit 4", rows=22, columns=66)
    assert window.end() == 4
    assert "[22,66]" in window.text


def test_exec_with_a_console_socket(box: Box, listener: socket.socket) -> None:
    box.start({}, "sleep 100")
    flags = ("-d", "-t", "--console-socket", listener.getsockname())
    box._detached("exec", *flags, box.id, "sh", "-c", "echo words; sleep 100")
    master = master_of(listener)
    time.sleep(0.1)
    assert b"words" in os.read(master, 1000)
    os.close(master)


def test_two_terminals_are_two(box: Box) -> None:
    box.start({}, "sleep 100")
    windows = [Terminal(box, "exec", "-t", box.id, "sh", "-c", "tty; sleep 0.3") for _ in range(2)]
    assert [window.end() for window in windows] == [0, 0]
    assert windows[0].text != windows[1].text
