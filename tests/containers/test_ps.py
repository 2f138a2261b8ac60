# SPDX-License-Identifier: Apache-2.0
"""The processes of a container, in the numbers of the host."""

import shutil
from pathlib import Path

import pytest

from tests.containers.box import Box, wait_for

needs_ps = pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps (procps)")


def running(box: Box, count: int) -> list[int]:
    wait_for(lambda: len(box.pyrunc("ps", "--format", "json", box.id).json) == count, f"{count} processes")
    found: list[int] = box.pyrunc("ps", "--format", "json", box.id).json
    return found


def test_json_is_an_array_of_host_pids(box: Box) -> None:
    """The form that containerd calls."""
    box.start({}, "sleep 100 & sleep 100 & wait")
    found = running(box, 3)
    assert box.pid in found
    assert found == sorted(found)
    names = sorted(Path(f"/proc/{pid}/comm").read_text().strip() for pid in found)
    assert names == ["sh", "sleep", "sleep"]


def test_a_paused_container_has_processes_and_a_stopped_one_none(box: Box) -> None:
    box.start({}, "sleep", "100")
    box.pyrunc("pause", box.id)
    assert running(box, 1) == [box.pid]
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")
    assert box.pyrunc("ps", "-f", "json", box.id).out == "[]"


@needs_ps
def test_table(box: Box) -> None:
    box.start({}, "sleep 98765 & wait")
    found = running(box, 2)
    title, *rows = box.pyrunc("ps", box.id).lines
    assert title.split()[:3] == ["UID", "PID", "PPID"]
    assert sorted(int(row.split()[1]) for row in rows) == found
    assert any("sleep 98765" in row for row in rows)


@needs_ps
def test_options_of_ps(box: Box) -> None:
    box.start({}, "sleep", "98765")
    assert box.pyrunc("ps", box.id, "-e", "-o", "args,pid").lines[0].split() == ["COMMAND", "PID"]
    assert box.pyrunc("ps", box.id, "-e", "-o", "ppid,pid,comm").lines[1].split()[1:] == [str(box.pid), "sleep"]
    assert len(box.pyrunc("ps", box.id, "-em", "-o", "pid,tid").lines) == 3  # title, process, thread


@needs_ps
def test_options_that_ps_refuses(box: Box) -> None:
    box.start({}, "sleep", "100")
    assert "prints no column PID" in box.pyrunc("ps", box.id, "-e", "-o", "comm", status=1).err
    assert "exit status 1" in box.pyrunc("ps", box.id, "--no-such-option", status=1).err


def test_no_container(box: Box) -> None:
    assert "does not exist" in box.pyrunc("ps", box.id, status=1).err


def test_without_a_cgroup_the_first_process_is_known(box: Box) -> None:
    box.write({}, "sleep", "100")
    box._detached("--cgroup-manager", "disabled", "create", "--bundle", box.bundle, box.id)
    assert running(box, 1) == [box.pid]
