# SPDX-License-Identifier: Apache-2.0
"""Limits on cgroup2, as the kernel has them and as they bite: memory, cpu, cpuset, io, pids, rdma."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.box import SECONDS, Box, Patch

MIB = 1 << 20
MANY = {"memory": {"limit": 64 * MIB}, "pids": {"limit": 50}}
EAT = "head -c 40000000 /dev/zero > /dev/big"
"""40 MB of a tmpfs, which only swap could take away."""

pytestmark = [pytest.mark.view("v2"), pytest.mark.controller("memory"), pytest.mark.controller("cpu")]


def resources(**fields: object) -> Patch:
    return {"linux": {"resources": fields}}


def value(box: Box, file: str) -> str:
    return (box.cgroup("") / file).read_text().strip()


def number(box: Box, file: str, name: str) -> int:
    """The number in the line `name number`."""
    rows = (line.split() for line in value(box, file).splitlines())
    return next(int(row[1]) for row in rows if row[0] == name)


def until(box: Box, file: str, name: str) -> int:
    """The number, once it is not 0."""
    deadline = time.monotonic() + 20
    while not (found := number(box, file, name)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def disk_of(path: Path) -> str:
    """The number of the disk, of which no partition can be limited, that holds the path."""
    device = path.stat().st_dev
    number = f"{device >> 8 & 0xFFF}:{device & 0xFF}"
    folder = Path("/sys/dev/block", number).resolve()
    return (folder.parent / "dev").read_text().strip() if (folder / "partition").exists() else number


@pytest.mark.parametrize(
    ("fields", "file", "expected"),
    [
        ({"memory": {"limit": 16 * MIB}}, "memory.max", str(16 * MIB)),
        ({"memory": {"limit": -1}}, "memory.max", "max"),
        ({"memory": {"reservation": 8 * MIB}}, "memory.low", str(8 * MIB)),
        ({"memory": {"limit": 16 * MIB, "swap": 24 * MIB}}, "memory.swap.max", str(8 * MIB)),
        ({"memory": {"limit": 16 * MIB, "swap": 16 * MIB}}, "memory.swap.max", "0"),
        ({"memory": {"limit": 16 * MIB, "swap": -1}}, "memory.swap.max", "max"),
        ({"unified": {"memory.high": str(8 * MIB)}}, "memory.high", str(8 * MIB)),
        ({"unified": {"memory.oom.group": "1"}}, "memory.oom.group", "1"),
        ({"cpu": {"shares": 1024}}, "cpu.weight", "100"),
        ({"cpu": {"quota": 20000, "period": 50000}}, "cpu.max", "20000 50000"),
        ({"cpu": {"quota": -1}}, "cpu.max", "max 100000"),
        ({"cpu": {"period": 50000}}, "cpu.max", "max 50000"),
        ({"cpu": {"quota": 20000, "burst": 10000}}, "cpu.max.burst", "10000"),
        ({"cpu": {"idle": 1}}, "cpu.idle", "1"),
        ({"cpu": {"cpus": "0", "mems": "0"}}, "cpuset.cpus", "0"),
        ({"cpu": {"cpus": "0", "mems": "0"}}, "cpuset.mems", "0"),
        ({"pids": {"limit": 20}}, "pids.max", "20"),
        ({"pids": {"limit": -1}}, "pids.max", "max"),
        ({"blockIO": {"weight": 500}}, "io.weight", "default 4950"),
    ],
    ids=str,
)
def test_limit(box: Box, fields: Patch, file: str, expected: str) -> None:
    """Below a parent that create makes, and that gets the controllers."""
    box.create({"linux": {"cgroupsPath": f"/{box.id}/a", "resources": fields}}, "true")
    assert value(box, file) == expected


def test_throttling(box: Box) -> None:
    disk = disk_of(box.bundle)
    major, minor = map(int, disk.split(":"))
    row = {"major": major, "minor": minor}
    limits = {"throttleReadBpsDevice": [row | {"rate": 2097152}], "throttleWriteIOPSDevice": [row | {"rate": 100}]}
    box.create(resources(blockIO=limits), "true")
    assert value(box, "io.max") == f"{disk} rbps=2097152 wbps=max riops=max wiops=100"


def test_the_io_limit_is_in_force(box: Box) -> None:
    major, minor = map(int, disk_of(box.bundle).split(":"))
    limits = {"throttleWriteBpsDevice": [{"major": major, "minor": minor, "rate": MIB}]}
    box.run(resources(blockIO=limits), "true")
    began = time.monotonic()
    box.run(resources(blockIO=limits), "dd if=/dev/zero of=/tmp/x bs=1M count=8 conv=fsync")
    assert time.monotonic() - began > 5


def test_the_pids_limit_is_in_force(box: Box) -> None:
    result = box.run(resources(pids={"limit": 2}), "sleep 1 & sleep 1 & sleep 1 & wait", status=None)
    assert "can't fork" in result.err


def test_the_memory_limit_is_in_force(box: Box) -> None:
    patch = resources(memory={"limit": 8 * MIB, "swap": 8 * MIB})
    assert box.run(patch, "x=x; while :; do x=$x$x; done", status=None).status == 137


def test_one_process_is_killed(box: Box) -> None:
    """A shell in which another process was killed for memory goes on."""
    box.start(resources(memory={"limit": 16 * MIB, "swap": 16 * MIB}), "sleep 100")
    assert box.exec(EAT, status=None).status != 0
    assert number(box, "memory.events", "oom_kill") == 1
    assert box.status == "running"


def test_all_are_killed_together(box: Box) -> None:
    """memory.oom.group: the container ends with the process that wanted too much."""
    patch = resources(memory={"limit": 16 * MIB, "swap": 16 * MIB}, unified={"memory.oom.group": "1"})
    box.start(patch, "sleep 100")
    assert box.exec(EAT, status=None).status != 0
    box.until("stopped")


def test_the_cpu_quota_is_in_force(box: Box) -> None:
    box.start(resources(cpu={"quota": 5000, "period": 100000}), "while :; do :; done")
    assert until(box, "cpu.stat", "nr_throttled")
    data = box.pyrunc("events", "--stats", box.id).json["data"]
    assert data["cpu"]["throttling"]["throttledPeriods"] > 0
    if Path("/proc/pressure").exists():
        assert data["cpu"]["psi"]["some"]["total"] > 0


def test_the_cpuset_is_in_force(box: Box) -> None:
    out = box.run(resources(cpu={"cpus": "1"}), "grep Cpus_allowed_list /proc/self/status").out
    assert out.split() == ["Cpus_allowed_list:", "1"]


@pytest.fixture
def rdma_device() -> Iterator[str]:
    """RDMA over a pair of network devices that are made for it."""
    name = "pyruncrdma"
    commands = (
        ["modprobe", "rdma_rxe"],
        ["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}2"],
        ["ip", "link", "set", name, "up"],
        ["rdma", "link", "add", f"{name}0", "type", "rxe", "netdev", name],
    )
    with contextlib.ExitStack() as stack:
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"needs RDMA by software (rdma_rxe): {done.stderr.strip()}")
            if command[:3] == ["ip", "link", "add"]:
                stack.callback(subprocess.run, ["ip", "link", "del", name], check=True)
        yield f"{name}0"


@pytest.mark.controller("rdma")
def test_rdma(box: Box, rdma_device: str) -> None:
    box.start(resources(rdma={rdma_device: {"hcaHandles": 3, "hcaObjects": 10000}}), "sleep 100")
    assert value(box, "rdma.max") == f"{rdma_device} hca_handle=3 hca_object=10000"


@pytest.mark.parametrize(
    ("flag", "text", "file", "expected"),
    [
        ("--memory", "64M", "memory.max", str(64 * MIB)),
        ("--memory-reservation", "33554432", "memory.low", str(32 * MIB)),
        ("--pids-limit", "10", "pids.max", "10"),
        ("--pids-limit", "-1", "pids.max", "max"),
        ("--cpu-period", "50000", "cpu.max", "max 50000"),
        ("--cpu-quota", "60000", "cpu.max", "60000 100000"),
        ("--cpu-share", "1024", "cpu.weight", "100"),
        ("--cpu-idle", "1", "cpu.idle", "1"),
        ("--cpuset-cpus", "0", "cpuset.cpus", "0"),
        ("--cpuset-mems", "0", "cpuset.mems", "0"),
        ("--blkio-weight", "500", "io.weight", "default 4950"),
    ],
)
def test_update(box: Box, flag: str, text: str, file: str, expected: str) -> None:
    box.start({}, "sleep 100")
    box.pyrunc("update", flag, text, box.id)
    assert value(box, file) == expected


def saved(box: Box) -> Any:
    return json.loads((box.root / box.id / "config.json").read_text())["linux"].get("resources")


def test_update_of_memory_and_swap_in_both_directions(box: Box) -> None:
    box.start(resources(memory={"limit": 64 * MIB, "swap": 128 * MIB}), "sleep 100")
    for memory, swap in ((256, 512), (32, 64), (32, 512), (256, 256)):
        box.pyrunc("update", "--memory", f"{memory}M", "--memory-swap", f"{swap}m", box.id)
        assert (value(box, "memory.max"), value(box, "memory.swap.max")) == (
            str(memory * MIB),
            str((swap - memory) * MIB),
        )
    box.pyrunc("update", "--memory", "-1", box.id)
    assert (value(box, "memory.max"), value(box, "memory.swap.max")) == ("max", "max")


def test_update_below_the_usage_is_refused_when_asked_to_look(box: Box) -> None:
    """memory.checkBeforeUpdate: without it the kernel kills, which is what the other half shows."""
    box.start(resources(memory={"limit": 128 * MIB}), "sleep 100")
    box.exec("head -c 20000000 /dev/zero > /dev/big")
    pids = value(box, "pids.max")  # systemd has a limit of its own
    patch = {"memory": {"limit": MIB, "swap": MIB, "checkBeforeUpdate": True}, "pids": {"limit": 77}}
    error = box.pyrunc("update", "-r", "-", box.id, status=1, stdin=json.dumps(patch)).err
    assert "/linux/resources/memory/limit" in error
    assert (value(box, "memory.max"), value(box, "pids.max")) == (str(128 * MIB), pids)
    assert value(box, "memory.high") == "max"
    assert number(box, "memory.events", "oom_kill") == 0
    assert box.status == "running"
    box.pyrunc("update", "--memory", "1M", "--memory-swap", "1M", box.id)
    box.until("stopped")


def test_update_of_quota_and_period_together(box: Box) -> None:
    box.start(resources(cpu={"quota": 50000, "period": 100000}), "sleep 100")
    box.pyrunc("update", "--cpu-period", "200000", box.id)
    box.pyrunc("update", "--cpu-quota", "150000", box.id)
    assert value(box, "cpu.max") == "150000 200000"
    box.pyrunc("update", "--cpu-burst", "100000", box.id)
    assert value(box, "cpu.max.burst") == "100000"
    assert saved(box)["cpu"] == {"quota": 150000, "period": 200000, "burst": 100000}


def test_the_weight_comes_back_with_the_end_of_idle(box: Box) -> None:
    box.start(resources(cpu={"shares": 1024}), "sleep 100")
    box.pyrunc("update", "--cpu-idle", "1", box.id)
    box.pyrunc("update", "--cpu-idle", "0", box.id)
    assert (value(box, "cpu.idle"), value(box, "cpu.weight")) == ("0", "100")


def test_update_of_created_and_paused_containers(box: Box) -> None:
    box.create({}, "sleep 100")
    box.pyrunc("update", "--pids-limit", "21", box.id)
    box.start()
    box.pyrunc("pause", box.id)
    box.pyrunc("update", "--pids-limit", "22", box.id)
    assert value(box, "pids.max") == "22"
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")


def test_statistics(box: Box) -> None:
    box.start(resources(**MANY), "sleep 100")
    data = box.pyrunc("events", "--stats", box.id).json["data"]
    assert data["memory"]["usage"]["limit"] == 64 * MIB
    assert 0 < data["memory"]["usage"]["usage"] < 64 * MIB
    assert data["pids"] == {"current": 1, "limit": 50}
    assert ("psi" in data["memory"]) == Path("/proc/pressure").exists()


def test_an_event_tells_that_memory_was_short(box: Box) -> None:
    """One event, though the killed process is not the container's first."""
    box.start(resources(memory={"limit": 16 * MIB, "swap": 16 * MIB}), "sleep 100")
    process = box.spawn("events", "--interval", "100s", box.id)
    time.sleep(3)
    box.exec(EAT, status=None)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"type": "oom", "id": box.id}
    box.pyrunc("kill", box.id, "KILL")
    process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.controller("pids")
def test_a_command_where_no_process_more_may_be_born(box: Box) -> None:
    """It comes in all the same, as an administrator must: clone3 refuses it, and a move is not refused (EAGAIN)."""
    box.start(resources(pids={"limit": 1}), "exec sleep 1000")
    assert value(box, "pids.current") == "1"
    seen = box.exec("cat", "/proc/self/cgroup")
    assert seen.out == "0::/"
    null = subprocess.DEVNULL
    assert box.spawn("exec", "--detach", box.id, "sleep", "1000", stdout=null, stderr=null).wait(SECONDS) == 0
    assert len(value(box, "cgroup.procs").split()) == 2
    result = box.exec("sleep 0; echo never", status=None)
    assert "fork" in result.err
    assert "pyrunc" not in result.err
