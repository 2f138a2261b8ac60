# SPDX-License-Identifier: Apache-2.0
"""update: limits of a container that runs, as the kernel has them afterwards."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.containers.box import Box

MB = 1 << 20
V1 = pytest.mark.view("v1")


def value(box: Box, file: str) -> str:
    return (box.cgroup(file.partition(".")[0]) / file).read_text().strip()


def saved(box: Box) -> Any:
    return json.loads((box.root / box.id / "config.json").read_text())["linux"].get("resources")


def resources(**members: object) -> dict[str, Any]:
    return {"linux": {"resources": members}}


@V1
@pytest.mark.parametrize(
    ("flag", "text", "file", "expected"),
    [
        ("--memory", "64M", "memory.limit_in_bytes", 64 * MB),
        ("--memory-reservation", "33554432", "memory.soft_limit_in_bytes", 32 * MB),
        ("--pids-limit", "10", "pids.max", 10),
        ("--pids-limit", "0", "pids.max", 1),
        ("--pids-limit", "-1", "pids.max", "max"),
        ("--cpu-period", "50000", "cpu.cfs_period_us", 50000),
        ("--cpu-quota", "60000", "cpu.cfs_quota_us", 60000),
        ("--cpu-share", "512", "cpu.shares", 512),
        ("--cpu-idle", "1", "cpu.idle", 1),
        ("--cpuset-cpus", "0", "cpuset.cpus", 0),
        ("--cpuset-mems", "0", "cpuset.mems", 0),
    ],
)
def test_one_flag(box: Box, flag: str, text: str, file: str, expected: object) -> None:
    box.start({}, "sleep 100")
    box.pyrunc("update", flag, text, box.id)
    assert value(box, file) == str(expected)


@V1
def test_memory_and_swap_in_both_directions(box: Box) -> None:
    """The kernel refuses a memory limit above that of memory and swap, so which is written first depends."""
    box.start(resources(memory={"limit": 64 * MB, "swap": 128 * MB}), "sleep 100")
    for memory, swap in ((256, 512), (32, 64), (32, 512), (256, 256)):
        box.pyrunc("update", "--memory", f"{memory}M", "--memory-swap", f"{swap}m", box.id)
        assert value(box, "memory.limit_in_bytes") == str(memory * MB)
        assert value(box, "memory.memsw.limit_in_bytes") == str(swap * MB)
    box.pyrunc("update", "--memory", "-1", box.id)
    assert int(value(box, "memory.memsw.limit_in_bytes")) > 1 << 60
    assert "swap" not in saved(box)["memory"]


@V1
def test_a_memory_limit_above_the_swap_limit_of_before(box: Box) -> None:
    box.start(resources(memory={"limit": 64 * MB, "swap": 128 * MB}), "sleep 100")
    assert "less than the memory limit" in box.pyrunc("update", "--memory", "256M", box.id, status=1).err
    assert value(box, "memory.limit_in_bytes") == str(64 * MB)


@V1
def test_a_limit_below_the_usage_is_refused(box: Box) -> None:
    box.start({}, "sleep 100")
    before = value(box, "pids.max")  # systemd has a default
    box.exec("head -c 20000000 /dev/zero > /dev/big")  # a tmpfs: without swap it cannot be reclaimed
    error = box.pyrunc("update", "--pids-limit", "77", "--memory", "1M", box.id, status=1).err
    assert "bytes are in use" in error
    assert "/linux/resources/memory/limit" in error
    assert value(box, "pids.max") == before, "what was written before the refusal is undone"
    assert box.status == "running"


@V1
def test_resources_from_standard_input_and_a_file(box: Box) -> None:
    """The forms of containerd and of podman; 0 is `as it is`."""
    box.start(resources(pids={"limit": 20}), "sleep 100")
    patch = {"memory": {"limit": 64 * MB, "reservation": 0}, "cpu": {"shares": 0, "quota": 0, "cpus": ""}, "pids": None}
    box.pyrunc("update", "--resources=-", box.id, stdin=json.dumps(patch))
    assert value(box, "memory.limit_in_bytes") == str(64 * MB)
    file = box.folder / "resources.json"
    file.write_text('{"pids": {"limit": 30}}')
    box.pyrunc("update", "--resources", file, "--memory", "1", box.id)
    assert value(box, "pids.max") == "30"
    assert value(box, "memory.limit_in_bytes") == str(64 * MB), "the other flags do not count then"
    assert saved(box) == {"pids": {"limit": 30}, "memory": {"limit": 64 * MB}}


@V1
def test_quota_and_period_belong_together(box: Box) -> None:
    """What is not named stays, also what an earlier update set."""
    box.start(resources(cpu={"quota": 50000, "period": 100000}), "sleep 100")
    box.pyrunc("update", "--cpu-period", "200000", box.id)
    box.pyrunc("update", "--cpu-quota", "150000", box.id)
    assert (value(box, "cpu.cfs_quota_us"), value(box, "cpu.cfs_period_us")) == ("150000", "200000")
    box.pyrunc("update", "--cpu-burst", "100000", box.id)
    assert value(box, "cpu.cfs_burst_us") == "100000"
    assert saved(box)["cpu"] == {"quota": 150000, "period": 200000, "burst": 100000}
    box.exec("true")


@V1
def test_shares_come_back_with_the_end_of_idle(box: Box) -> None:
    box.start(resources(cpu={"shares": 512}), "sleep 100")
    box.pyrunc("update", "--cpu-idle", "1", box.id)
    box.pyrunc("update", "--cpu-idle", "0", box.id)
    assert (value(box, "cpu.idle"), value(box, "cpu.shares")) == ("0", "512")


def test_the_same_devices_are_left_alone(box: Box) -> None:
    """CRI sends the list of create with every update; a hook may have allowed more since."""
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"}]
    box.start(resources(devices=rules), "sleep 100")
    before = "" if not Path("/sys/fs/cgroup/devices").exists() else value(box, "devices.list")
    box.pyrunc("update", "-r", "-", box.id, stdin=json.dumps({"devices": rules}))
    if before:
        assert value(box, "devices.list") == before


@V1
def test_other_devices_are_applied(box: Box) -> None:
    box.start(resources(devices=[{"allow": False, "access": "rwm"}]), "sleep 100")
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"}]
    box.pyrunc("update", "-r", "-", box.id, stdin=json.dumps({"devices": rules}))
    assert "c 10:229 r" in value(box, "devices.list").splitlines()
    assert saved(box)["devices"] == rules


@V1
def test_created_and_paused_containers(box: Box) -> None:
    box.create({}, "sleep 100")
    box.pyrunc("update", "--pids-limit", "21", box.id)
    box.start()
    box.pyrunc("pause", box.id)
    box.pyrunc("update", "--pids-limit", "22", box.id)
    assert value(box, "pids.max") == "22"
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")
    assert "container not running" in box.pyrunc("update", "--pids-limit", "23", box.id, status=1).err


@pytest.mark.view("v2")
def test_huge_pages_on_v2(box: Box) -> None:
    """The controller that also a hybrid host has in its cgroup2 tree."""
    if "hugetlb" not in Path("/sys/fs/cgroup/cgroup.controllers").read_text().split():
        pytest.skip("needs the controller hugetlb in the cgroup2 tree")
    box.start({}, "sleep 100")
    names = (path.name.split(".")[1] for path in box.cgroup("").glob("hugetlb.*.rsvd.max"))
    size = min(names, key=lambda name: (name[-2:] != "MB", len(name)))
    patch = {"hugepageLimits": [{"pageSize": size, "limit": 1 << 30}]}
    box.pyrunc("update", "-r", "-", box.id, stdin=json.dumps(patch))
    assert (box.cgroup("") / f"hugetlb.{size}.max").read_text().strip() == str(1 << 30)
    assert saved(box) == patch


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--memory", "lots"], "--memory: 'lots' is not a size"),
        (["--cpu-quota", "1_0"], "--cpu-quota: '1_0' is not a number"),
        (["--cpuset-cpus", "zero"], "/linux/resources/cpu/cpus"),
        (["--blkio-weight", "5000"], "out of range"),
        (["--l3-cache-schema", "L3:0=ff"], "Intel RDT/CAT: l3 cache schema is not enabled"),
        (["--mem-bw-schema", "MB:0=20"], "Intel RDT/MBA: memory bandwidth schema is not enabled"),
        (["--resources", "/nonexistent"], "not found"),
        (["--resources", "-"], "standard input"),
    ],
    ids=str,
)
def test_refused(box: Box, arguments: list[str], words: str) -> None:
    box.start({}, "sleep 100")
    before = saved(box)
    error = box.pyrunc("update", *arguments, box.id, status=1, stdin="[]").err
    assert words in error
    assert saved(box) == before


def test_nobody(box: Box) -> None:
    assert "does not exist" in box.pyrunc("update", "--pids-limit", "1", box.id, status=1).err
