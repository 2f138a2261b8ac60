# SPDX-License-Identifier: Apache-2.0
"""The status: what the process, the exec fifo and the freezer show, and the moves that it allows."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrunc.errors import StateError, StatusError
from pyrunc.state import status, store
from pyrunc.state.record import Record
from pyrunc.state.status import CREATED, CREATING, PAUSED, RUNNING, STOPPED, actual, require, save


@pytest.fixture
def entry(tmp_path: Path) -> Iterator[store.Entry]:
    entry = store.claim(str(tmp_path / "root"), "box")
    yield entry
    entry.close()


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "30"]) as child:
        yield child
        child.kill()


@pytest.fixture
def record(child: "subprocess.Popen[bytes]") -> Record:
    record = Record(id="box", bundle="/b", rootfs="/b/rootfs", oci_version="1.2.0", status=CREATED)
    record.bind(child.pid)
    return record


def test_a_live_process_runs(entry: store.Entry, record: Record) -> None:
    assert actual(entry, record) == RUNNING


def test_the_fifo_says_that_it_was_not_started(entry: store.Entry, record: Record) -> None:
    entry.make_fifo()
    assert actual(entry, record) == CREATED
    entry.discard(store.FIFO)
    assert actual(entry, record) == RUNNING


def test_a_frozen_cgroup_is_paused(entry: store.Entry, record: Record) -> None:
    assert actual(entry, record, lambda _: True) == PAUSED
    assert actual(entry, record, lambda _: False) == RUNNING


def test_a_process_that_ended_is_stopped_before_it_is_reaped(
    entry: store.Entry, record: Record, child: "subprocess.Popen[bytes]"
) -> None:
    fd = status.open_process(record)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert actual(entry, record, lambda _: True) == STOPPED
    assert status.open_process(record) == -1
    child.wait()
    assert actual(entry, record) == STOPPED
    assert status.open_process(record) == -1
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(fd, 0)
    os.close(fd)


def test_another_process_with_its_pid_is_stopped(entry: store.Entry, record: Record) -> None:
    """[state-pid-reuse]"""
    record.start -= 1
    assert actual(entry, record) == STOPPED
    assert status.open_process(record) == -1


def test_a_record_of_another_boot_is_stopped(entry: store.Entry, record: Record) -> None:
    record.boot = "11111111-2222-3333-4444-555555555555"
    assert actual(entry, record) == STOPPED
    assert status.open_process(record) == -1


def test_open_process_is_the_process(record: Record, child: "subprocess.Popen[bytes]") -> None:
    fd = status.open_process(record)
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    os.close(fd)
    assert child.wait() == -signal.SIGKILL


def test_create_ends_between_the_record_and_the_lock(entry: store.Entry, record: Record) -> None:
    """Whoever polls `state` never sees a container that was just created as stopped."""
    old = Record(id="box", bundle="/b", rootfs="/b/rootfs", oci_version="1.2.0", status=CREATING)
    save(entry, record)
    entry.make_fifo(store.FIFO)
    entry.unlock()
    assert actual(entry, old) == CREATED
    assert old.pid == record.pid


def test_creating_is_believed_only_while_create_works(entry: store.Entry, tmp_path: Path) -> None:
    record = Record(id="box", bundle="/b", rootfs="/b/rootfs", oci_version="1.2.0", status=CREATING)
    ready, told = os.pipe()
    entry.unlock()
    pid = os.fork()
    if not pid:
        entry.lock()
        os.write(told, b"x")
        time.sleep(30)
    os.read(ready, 1)
    assert actual(entry, record) == CREATING
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert actual(entry, record) == STOPPED
    entry.lock()
    assert actual(entry, record) == STOPPED
    os.close(ready)
    os.close(told)


@pytest.mark.parametrize(
    ("move", "before", "words"),
    [
        ("start", STOPPED, "cannot start a container that has stopped"),
        ("start", RUNNING, "cannot start an already running container"),
        ("start", PAUSED, "cannot start a container in the paused state"),
        ("kill", STOPPED, "container not running"),
        ("exec", STOPPED, "cannot exec in a stopped container"),
        ("exec", PAUSED, "cannot exec in a paused container (use --ignore-paused to override)"),
        ("pause", STOPPED, "container not running"),
        ("resume", RUNNING, "container not paused"),
        ("delete", RUNNING, "cannot delete container box that is not stopped: running"),
        ("delete", PAUSED, "cannot delete container box that is not stopped: paused"),
    ],
)
def test_a_refused_move_has_the_words_of_runc(move: str, before: str, words: str) -> None:
    with pytest.raises(StatusError) as caught:
        require(move, "box", before)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("move", "before", "after"),
    [
        ("start", CREATED, RUNNING),
        ("pause", RUNNING, PAUSED),
        ("resume", PAUSED, RUNNING),
        ("delete", CREATED, STOPPED),
    ],
)
def test_an_allowed_move_leads_on(move: str, before: str, after: str) -> None:
    assert require(move, "box", before) == after


def test_every_move_has_a_row_for_every_status() -> None:
    moves = {name for name, *_ in status.MOVES}
    rows = [(name, before) for name, before, *_ in status.MOVES]
    assert sorted(rows) == sorted((move, s) for move in moves for s in (CREATING, CREATED, RUNNING, PAUSED, STOPPED))
    assert all(bool(after) != bool(refusal) for _, _, after, refusal in status.MOVES)


def test_load_and_save(entry: store.Entry, record: Record) -> None:
    status.save(entry, record)
    assert status.load(entry).pid == record.pid


def test_a_missing_record_is_a_create_that_did_not_finish(entry: store.Entry) -> None:
    with pytest.raises(StateError, match="delete --force"):
        status.load(entry)


def test_the_record_of_another_container_is_refused(entry: store.Entry, record: Record) -> None:
    record.id = "other"
    status.save(entry, record)
    with pytest.raises(StateError, match="another container"):
        status.load(entry)
