# SPDX-License-Identifier: Apache-2.0
"""Foreground supervision: signals reach the process, its status comes back, nothing is left, whatever the order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrunc.process.signals import DEFAULT, Caught
from pyrunc.process.supervise import become_subreaper, supervise

TELL = """
import os, signal, sys, time
got = []
for n in sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, 32, 33}):
    signal.signal(n, lambda n, _: got.append(int(n)))
os.write(1, b"ready\\n")
while signal.SIGTERM not in got:
    time.sleep(0.005)
print(*sorted(got))
"""


@pytest.fixture
def caught() -> Iterator[Caught]:
    signals = Caught()
    yield signals
    signals.close()


def shell(script: str) -> int:
    return os.posix_spawn("/bin/sh", ["sh", "-c", script], {"PATH": os.environ["PATH"]}, setsigdef=DEFAULT)


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143)],
)
def test_the_status_is_that_of_the_process(caught: Caught, script: str, status: int) -> None:
    assert supervise(shell(script), caught) == status


def test_a_process_that_ended_before_is_found(caught: Caught) -> None:
    pid = shell("exit 5")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert supervise(pid, caught) == 5


def test_signals_are_forwarded_and_those_of_our_own_are_not() -> None:
    """From outside, to a process of its own; runc keeps SIGCHLD, SIGURG and SIGWINCH to itself."""
    script = (
        "import os, sys\n"
        "from pyrunc.process.signals import Caught\n"
        "from pyrunc.process.supervise import supervise\n"
        "caught = Caught()\n"
        f"pid = os.posix_spawn({sys.executable!r}, ['python', '-ISc', {TELL!r}], {{}})\n"
        "sys.exit(supervise(pid, caught))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == "ready\n"
        sent = [n for n in DEFAULT if n not in (4, 7, 8, 11, 13, 15, 21, 22, 25)]
        for number in sent:
            os.kill(outer.pid, number)
            if number == signal.SIGCONT:
                time.sleep(0.1)  # the kernel drops a waiting SIGCONT when SIGTSTP comes
        time.sleep(0.2)
        assert outer.poll() is None, "a signal stopped or ended the runtime itself"
        os.kill(outer.pid, signal.SIGTERM)
        told = [int(n) for n in outer.stdout.read().split()]
        assert outer.wait() == 0
    assert sorted(told) == sorted(set(sent) - {signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH} | {signal.SIGTERM})


def test_a_signal_before_the_process_exists_reaches_it(caught: Caught) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    assert supervise(shell("sleep 30"), caught) == 128 + signal.SIGTERM


def test_what_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signals = Caught()
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.take() == b""
        signals.close()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_close_puts_everything_back() -> None:
    before = {n: signal.getsignal(n) for n in DEFAULT}
    fds = os.listdir("/proc/self/fd")
    signals = Caught()
    assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    signals.close()
    signals.close()
    assert {n: signal.getsignal(n) for n in DEFAULT} == before
    assert os.listdir("/proc/self/fd") == fds
    assert signal.set_wakeup_fd(-1) == -1


def test_other_children_are_reaped_meanwhile(caught: Caught) -> None:
    """[zombie-leak]"""
    others = [shell("exit 1") for _ in range(5)]
    assert supervise(shell("sleep 0.2; exit 3"), caught) == 3
    assert [pid for pid in others if Path(f"/proc/{pid}").exists()] == []


ORPHAN = """
import os, sys
from pyrunc.process.signals import Caught
from pyrunc.process.supervise import become_subreaper, supervise
assert become_subreaper()
caught = Caught()
line = "(sh -c 'echo $$; sleep 0.2; ps -o ppid= -p $$' & exit 0); sleep 0.6"
status = supervise(os.posix_spawn("/bin/sh", ["sh", "-c", line], os.environ), caught)
print(os.getpid(), status, open(f"/proc/self/task/{os.getpid()}/children").read() or "none")
"""


def test_a_subreaper_reaps_orphans() -> None:
    """[zombie-leak]"""
    done = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, check=True)
    orphan, parent, us, *rest = done.stdout.split()
    assert parent == us, "the orphan did not come to the subreaper"
    assert rest == ["0", "none"]
    assert not Path(f"/proc/{orphan}").exists()


def test_become_subreaper_without_the_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_prctl", None)
    assert not become_subreaper()
