# SPDX-License-Identifier: Apache-2.0
"""`--log journald:ID`, `syslog:ID` and `file:PATH`: what arrives, and what is refused."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrunc.cli import log
from pyrunc.cli.log_daemon import DaemonLog
from pyrunc.errors import PyruncError, UsageError


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "log"))
        end.settimeout(5)
        before = set(os.listdir("/proc/self/fd"))
        yield end
        for fd in set(os.listdir("/proc/self/fd")) - before:
            with contextlib.suppress(OSError):
                os.close(int(fd))


def test_an_entry_of_the_journal(daemon: socket.socket, capfd: pytest.CaptureFixture[str]) -> None:
    """Fields, one a line; a message of several lines cannot make another field."""
    DaemonLog("journald", "engine", "error", daemon.getsockname()).fail(PyruncError("lost\nPRIORITY=0", "/root"))
    lines = daemon.recv(4096).decode().splitlines()
    assert lines[:2] == ["PRIORITY=3", "SYSLOG_IDENTIFIER=engine"]
    assert lines[2].startswith("MESSAGE=/root: lost")
    assert lines[3:] == ["PYRUNC_POINTER=/root"]
    assert capfd.readouterr().err.startswith("pyrunc: /root: lost")


def test_an_entry_of_syslog(daemon: socket.socket) -> None:
    found = DaemonLog("syslog", "", "warning", daemon.getsockname())
    found.warning("low")
    found.write("debug", "nobody asked")
    found.fail("lost")
    assert [daemon.recv(4096) for _ in range(2)] == [b"<28>pyrunc: low", b"<27>pyrunc: lost"]


def test_a_daemon_that_is_gone_changes_nothing(daemon: socket.socket, capfd: pytest.CaptureFixture[str]) -> None:
    found = DaemonLog("syslog", "x", "error", daemon.getsockname())
    daemon.shutdown(socket.SHUT_RDWR)
    found.fail("lost")
    assert capfd.readouterr().err == "pyrunc: lost\n"


def test_a_daemon_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--log: cannot reach journald at .*/none: not there"):
        DaemonLog("journald", "x", "error", str(tmp_path / "none"))


def test_a_file_by_its_backend(tmp_path: Path) -> None:
    log.start(f"file:{tmp_path}/log", "json", "error").write("error", "lost")
    assert '"msg":"lost"' in (tmp_path / "log").read_text()


def test_other_words_before_a_colon_are_of_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log.start("other:log", "text", "error").write("error", "lost")
    assert (tmp_path / "other:log").exists()
