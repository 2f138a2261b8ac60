# SPDX-License-Identifier: Apache-2.0
"""Consoles: sockets, the caller's terminal, and a relay that loses nothing, with real ptys."""

import ctypes
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrunc.process import console

ROOT = Path(__file__).parent.parent

# A `run -t`: 0 to 2 as given, a pty for the command, a relay between.
RUN = """
import os, sys
from pyrunc.process import console
from pyrunc.process.signals import Caught
from pyrunc.process.supervise import supervise
caught = Caught()
master, slave = os.openpty()
pid = os.fork()
if not pid:
    os.setsid()
    os.close(master)
    import fcntl, termios
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(slave, fd)
    os.close(slave)
    import signal
    for n in range(1, 32):
        if n not in (9, 19):
            signal.signal(n, signal.SIG_DFL)
    os.execv("/bin/sh", ["sh", "-c", sys.argv[1]])
os.close(slave)
relay = console.Relay(master)
try:
    status = supervise(pid, caught, relay)
finally:
    relay.close()
    caught.close()
sys.exit(status)
"""


class Person:
    """Someone at a terminal, in whose session a `run -t` goes."""

    def __init__(self, script: str, rows: int = 24, columns: int = 80) -> None:
        self.master, self.slave = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, script],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            cwd=ROOT,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one thread
        )
        self.seen = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def wait_for(self, text: bytes, seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        os.set_blocking(self.master, False)
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} not in {self.seen!r}"
            try:
                self.seen += os.read(self.master, 65536)
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:
                break

    def end(self) -> int:
        status = self.process.wait(10)
        os.set_blocking(self.master, False)
        try:
            while data := os.read(self.master, 65536):
                self.seen += data
        except OSError:
            pass
        return status


@pytest.fixture
def person(request: pytest.FixtureRequest) -> Iterator[Person]:
    person = Person(request.param)
    yield person
    person.process.kill()
    person.process.wait()
    os.close(person.master)
    os.close(person.slave)


@pytest.mark.parametrize("person", ["echo hello; exit 3"], indirect=True)
def test_output_and_status_come_back_and_newlines_are_turned_once(person: Person) -> None:
    assert person.end() == 3
    assert person.seen == b"hello\r\n"


@pytest.mark.parametrize(
    "person", ["trap 'echo caught; exit 4' INT; echo ready; while :; do sleep 0.01; done"], indirect=True
)
def test_control_c_is_the_containers(person: Person) -> None:
    person.wait_for(b"ready")
    person.type(b"\x03")
    assert person.end() == 4
    assert b"caught" in person.seen


@pytest.mark.parametrize("person", ["stty raw -echo; echo ready; exec head -c 5 | od -An -tx1"], indirect=True)
def test_every_key_arrives_as_it_is(person: Person) -> None:
    person.wait_for(b"ready")
    person.type(b"\x03\x1a\x11\r\n")
    assert person.end() == 0
    assert person.seen.split()[-5:] == [b"03", b"1a", b"11", b"0d", b"0a"]


@pytest.mark.parametrize(
    "person", ["stty size; trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done"], indirect=True
)
def test_the_size_is_copied_at_once_and_on_every_change(person: Person) -> None:
    person.wait_for(b"ready")
    assert person.seen.startswith(b"24 80\r\n")
    person.resize(50, 132)
    assert person.end() == 0
    assert person.seen.endswith(b"50 132\r\n")


@pytest.mark.parametrize("person", ["echo ready; read line; exit 5", "echo ready; kill -9 $$"], indirect=True)
def test_the_terminal_is_restored(person: Person) -> None:
    person.wait_for(b"ready")
    person.type(b"x\r")
    assert person.end() in (5, 137)
    assert termios.tcgetattr(person.slave) == person.before


@pytest.mark.parametrize("person", ["echo ready; exec sleep 30"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_from_outside_ends_it_in_order(person: Person, number: signal.Signals) -> None:
    person.wait_for(b"ready")
    assert termios.tcgetattr(person.slave) != person.before
    os.kill(person.process.pid, number)
    assert person.end() == 128 + number
    assert termios.tcgetattr(person.slave) == person.before


@pytest.mark.parametrize("person", ["echo ready; read line; echo got $line"], indirect=True)
def test_after_a_stop_the_terminal_is_raw_again(person: Person) -> None:
    person.wait_for(b"ready")
    raw = termios.tcgetattr(person.slave)
    os.kill(person.process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, person.process.pid, os.WSTOPPED)
    termios.tcsetattr(person.slave, termios.TCSANOW, person.before)
    os.kill(person.process.pid, signal.SIGCONT)
    for _ in range(200):
        if termios.tcgetattr(person.slave) == raw:
            break
        time.sleep(0.01)
    assert termios.tcgetattr(person.slave) == raw
    person.type(b"it\r")
    assert person.end() == 0
    assert person.seen.endswith(b"got it\r\n")


def run(script: str, **given: object) -> "subprocess.CompletedProcess[bytes]":
    """A `run -t` without a terminal."""
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", RUN, script],
        check=False,
        cwd=ROOT,
        start_new_session=True,
        timeout=30,
        capture_output=True,
        **given,
    )


def test_all_output_arrives_before_the_end() -> None:
    """Twenty times: the end of the process and its last words race."""
    for _ in range(20):
        done = run("seq 1 3000; exit 2", stdin=subprocess.DEVNULL)
        assert (done.returncode, done.stderr) == (2, b"")
        assert done.stdout.split() == [b"%d" % n for n in range(1, 3001)]


def test_much_output_to_a_slow_reader_is_whole() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "seq 1 60000"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        time.sleep(0.5)
        assert process.stdout is not None
        lines = process.stdout.read().split()
    assert lines == [b"%d" % n for n in range(1, 60001)]
    assert process.returncode == 0


def test_a_blocked_reader_does_not_hold_back_signals() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "exec yes"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        time.sleep(0.7)
        process.terminate()
        time.sleep(0.3)
        process.terminate()  # the process has ended by now; this ends the wait for the reader
        assert process.wait(10) == 143


def test_a_closed_stdout_does_not_block_the_container() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", RUN, "seq 1 100000; exit 6"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=writer,
        check=False,
        timeout=30,
    )
    os.close(writer)
    assert done.returncode == 6


def test_input_from_a_pipe_is_read_to_its_end_and_no_further() -> None:
    done = run("read a; read b; echo $a-$b; sleep 0.3; exit 1", input=b"one\ntwo\n")
    assert done.returncode == 1
    assert done.stdout.endswith(b"one-two\r\n")


def test_much_input_is_whole(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"".join(b"%d\n" % n for n in range(20000)))
    size = (tmp_path / "text").stat().st_size
    # Typed once the container has made its pty raw.
    with subprocess.Popen(["sh", "-c", "sleep 0.5; exec cat text"], cwd=tmp_path, stdout=subprocess.PIPE) as typist:
        done = run(f"stty raw -echo; head -c {size} | cksum", stdin=typist.stdout)
    want = subprocess.run(["cksum", "text"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert done.stdout.split() == want.split()[:2]


def test_stdout_as_a_file_is_appended_to(tmp_path: Path) -> None:
    with (tmp_path / "out").open("ab") as file:
        file.write(b"before\n")
        file.flush()
        subprocess.run(
            [sys.executable, "-c", RUN, "echo after"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, check=True
        )
    assert (tmp_path / "out").read_bytes() == b"before\nafter\r\n"


def test_the_callers_descriptors_keep_their_flags() -> None:
    reader, writer = os.pipe()
    subprocess.run([sys.executable, "-c", RUN, "echo"], cwd=ROOT, stdin=reader, stdout=writer, check=True)
    assert os.get_blocking(reader)
    assert os.get_blocking(writer)
    os.close(reader)
    os.close(writer)


def test_a_process_that_keeps_the_pty_does_not_hold_us() -> None:
    start = time.monotonic()
    done = run("(trap '' HUP; exec sleep 8 >/dev/null) & echo out; exit 0", stdin=subprocess.DEVNULL)
    assert time.monotonic() - start < 6
    assert done.stdout == b"out\r\n"


def test_output_after_a_time_without_any_slave_arrives() -> None:
    """EIO while nothing has the slave open, as by a daemon that comes back to /dev/console."""
    start = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "t=$(tty); exec <&- >&- 2>&-; sleep 0.5; echo again >$t; exec sleep 6"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"again\r\n"
        assert time.monotonic() - start < 5
        process.terminate()
    assert process.returncode == 143


@pytest.mark.parametrize("person", ["exec yes"], indirect=True)
def test_a_blocked_terminal_does_not_hold_back_signals(person: Person) -> None:
    time.sleep(0.7)
    person.process.terminate()
    time.sleep(0.3)
    person.process.terminate()
    assert person.process.wait(5) == 143


def test_raw_is_what_the_c_library_calls_raw() -> None:
    libc = ctypes.CDLL(None)
    master, slave = os.openpty()
    terminal = console.Terminal.__new__(console.Terminal)
    terminal.fd = slave
    terminal._before = termios.tcgetattr(slave)
    terminal.make_raw()
    raw = termios.tcgetattr(slave)
    terminal.restore()
    assert termios.tcgetattr(slave) == terminal._before
    attributes = ctypes.create_string_buffer(256)
    assert libc.tcgetattr(slave, attributes) == 0
    libc.cfmakeraw(attributes)
    assert libc.tcsetattr(slave, termios.TCSANOW, attributes) == 0
    assert termios.tcgetattr(slave) == raw
    os.close(master)
    os.close(slave)


def test_a_pipe_and_a_terminal_get_a_flag_of_their_own_and_nothing_else_does(tmp_path: Path) -> None:
    """Another writer of the same pipe may fill it between poll and write."""
    reader, writer = os.pipe()
    master, slave = os.openpty()
    file = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    ours, theirs = console.socketpair()
    for fd in (writer, slave):
        again = console._nonblocking(fd)
        assert again != fd
        assert (os.get_blocking(again), os.get_blocking(fd)) == (False, True)
        os.close(again)
    assert [console._nonblocking(fd) for fd in (master, file, ours)] == [master, file, ours]
    for fd in (reader, writer, master, slave, file, ours, theirs):
        os.close(fd)
