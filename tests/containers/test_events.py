# SPDX-License-Identifier: Apache-2.0
"""events: statistics of a real container, and the notice that it was short of memory."""

import json
import time
from subprocess import Popen
from typing import Any

import pytest

from tests.containers.box import Box

BUSY = "while :; do :; done"


def lines(process: Popen[str], kind: str, count: int) -> list[Any]:
    """Read until there are `count` events of a type."""
    assert process.stdout is not None
    found: list[Any] = []
    while len(found) < count:
        line = process.stdout.readline()
        assert line, "events ended early"
        event = json.loads(line)
        if event["type"] == kind:
            found.append(event)
    return found


def test_statistics_once(box: Box) -> None:
    box.start({}, BUSY)
    time.sleep(0.2)
    event = box.pyrunc("events", "--stats", box.id).json
    assert list(event) == ["type", "id", "data"]
    assert (event["type"], event["id"]) == ("stats", box.id)
    assert event["data"]["cpu"]["usage"]["total"] > 50_000_000
    assert event["data"]["pids"]["current"] == 1


@pytest.mark.view("v1")
def test_memory_and_limits(box: Box) -> None:
    limits = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}
    box.start({"linux": {"resources": limits}}, "sleep 100")
    data = box.pyrunc("events", "--stats", box.id).json["data"]
    assert data["memory"]["usage"]["limit"] == 64 << 20
    assert 0 < data["memory"]["usage"]["usage"] < 64 << 20
    assert data["pids"] == {"current": 1, "limit": 50}


def test_statistics_at_intervals_until_the_end(box: Box) -> None:
    box.start({}, BUSY)
    process = box.spawn("events", "--interval", "100ms", box.id)
    first, second, third = lines(process, "stats", 3)
    times = [event["data"]["cpu"]["usage"]["total"] for event in (first, second, third)]
    assert times == sorted(set(times))
    box.pyrunc("kill", box.id, "KILL")
    process.communicate(timeout=10)
    assert process.returncode == 0


@pytest.mark.view("v1")
def test_out_of_memory(box: Box) -> None:
    """One event, though the killed process is not the container's first."""
    limits = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
    box.start({"linux": {"resources": limits}}, "sleep 100")
    process = box.spawn("events", "--interval", "100s", box.id)
    time.sleep(0.5)
    box.exec("head -c 40000000 /dev/zero > /dev/big", status=None)
    assert lines(process, "oom", 1) == [{"type": "oom", "id": box.id}]
    assert box.status == "running"
    box.pyrunc("kill", box.id, "KILL")
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_refused(box: Box) -> None:
    assert "does not exist" in box.pyrunc("events", box.id, status=1).err
    box.start({}, "sleep 100")
    for text in ("0s", "5", "-1s"):
        assert "--interval" in box.pyrunc("events", "--interval", text, box.id, status=1).err
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")
    assert f"container with id {box.id} is not running" in box.pyrunc("events", "--stats", box.id, status=1).err
