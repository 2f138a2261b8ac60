# SPDX-License-Identifier: Apache-2.0
"""linux.resources to files and values, without a cgroup."""

import pytest

from pyrunc.cgroups.resources import ROWS, Write, warnings, weight_of_shares, writes
from pyrunc.config.fields import Section
from pyrunc.errors import ConfigError

DEVICE = {"major": 8, "minor": 0}


def asked(data: dict[str, object], v2: bool) -> list[Write]:
    return writes(Section(data, "/linux/resources"), v2)


def lines(data: dict[str, object], v2: bool) -> list[str]:
    """`file=text` of each write; its alternatives with |, optional ones with ?."""
    return [
        "|".join(f"{file}={text}" for file, text in write.choices) + ("?" if write.optional else "")
        for write in asked(data, v2)
    ]


@pytest.mark.parametrize(
    ("data", "v1", "v2"),
    [
        ({"pids": {"limit": 5}}, "pids.max=5", "pids.max=5"),
        ({"pids": {"limit": 0}}, "pids.max=1", "pids.max=1"),
        ({"pids": {"limit": -1}}, "pids.max=max?", "pids.max=max?"),
        ({"memory": {"limit": 4096}}, "memory.limit_in_bytes=4096", "memory.max=4096"),
        ({"memory": {"limit": 0, "swap": 0, "reservation": 0}}, "", ""),
        (
            {"memory": {"limit": -1}},
            "memory.limit_in_bytes=-1? memory.memsw.limit_in_bytes=-1?",
            "memory.max=max? memory.swap.max=max?",
        ),
        (
            {"memory": {"limit": 10, "swap": 30}},
            "memory.limit_in_bytes=10 memory.memsw.limit_in_bytes=30",
            "memory.max=10 memory.swap.max=20",
        ),
        (
            {"memory": {"limit": 10, "swap": 10}},
            "memory.limit_in_bytes=10 memory.memsw.limit_in_bytes=10",
            "memory.max=10 memory.swap.max=0?",
        ),
        (
            {"memory": {"limit": 10, "swap": -1}},
            "memory.limit_in_bytes=10 memory.memsw.limit_in_bytes=-1?",
            "memory.max=10 memory.swap.max=max?",
        ),
        (
            {"memory": {"limit": -1, "swap": 30}},
            "memory.limit_in_bytes=-1? memory.memsw.limit_in_bytes=30",
            "memory.max=max? memory.swap.max=30",
        ),
        ({"memory": {"reservation": -1}}, "memory.soft_limit_in_bytes=-1", "memory.low=max"),
        ({"memory": {"disableOOMKiller": False, "useHierarchy": True}}, "memory.use_hierarchy=1", ""),
        ({"cpu": {"shares": 1024}}, "cpu.shares=1024", "cpu.weight=100"),
        ({"cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""}}, "", ""),
        (
            {"cpu": {"quota": 5000, "period": 10000}},
            "cpu.cfs_period_us=10000 cpu.cfs_quota_us=5000",
            "cpu.max=5000 10000",
        ),
        ({"cpu": {"quota": 5000}}, "cpu.cfs_quota_us=5000", "cpu.max=5000"),
        ({"cpu": {"quota": -7}}, "cpu.cfs_quota_us=-1?", "cpu.max=max?"),
        ({"cpu": {"period": 9000}}, "cpu.cfs_period_us=9000", "cpu.max=max 9000"),
        ({"cpu": {"burst": 0, "idle": 1}}, "cpu.idle=1 cpu.cfs_burst_us=0", "cpu.idle=1 cpu.max.burst=0"),
        ({"cpu": {"cpus": "0-1,3", "mems": "0"}}, "cpuset.cpus=0-1,3 cpuset.mems=0", "cpuset.cpus=0-1,3 cpuset.mems=0"),
        ({"cpu": {"realtimeRuntime": 0, "realtimePeriod": 0}}, "", ""),
        (
            {"blockIO": {"weight": 10}},
            "blkio.weight=10|blkio.bfq.weight=10",
            "io.bfq.weight=10|io.weight=1",
        ),
        (
            {"blockIO": {"weightDevice": [{**DEVICE, "weight": 1000}]}},
            "blkio.weight_device=8:0 1000|blkio.bfq.weight_device=8:0 1000",
            "io.bfq.weight=8:0 1000|io.weight=8:0 10000",
        ),
        (
            {"blockIO": {"throttleReadBpsDevice": [{**DEVICE, "rate": 7}]}},
            "blkio.throttle.read_bps_device=8:0 7",
            "io.max=8:0 rbps=7",
        ),
        (
            {"blockIO": {"throttleWriteIOPSDevice": [{**DEVICE, "rate": 0}]}},
            "blkio.throttle.write_iops_device=8:0 0",
            "io.max=8:0 wiops=max",
        ),
        (
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 9}]},
            "hugetlb.2MB.limit_in_bytes=9 hugetlb.2MB.rsvd.limit_in_bytes=9?",
            "hugetlb.2MB.max=9 hugetlb.2MB.rsvd.max=9?",
        ),
        ({"rdma": {"mlx5_1": {"hcaHandles": 3}}}, "rdma.max=mlx5_1 hca_handle=3", "rdma.max=mlx5_1 hca_handle=3"),
        ({"unified": {}, "future": {"a": 1}, "memory": {"future": 1}}, "", ""),
    ],
)
def test_values(data: dict[str, object], v1: str, v2: str) -> None:
    """Each property becomes the file and the text of either version, as runc writes them; 0 is often "not set"."""
    assert " ".join(lines(data, False)) == v1
    assert " ".join(lines(data, True)) == v2


@pytest.mark.parametrize(
    ("v2", "data", "pointer"),
    [
        (True, {"memory": {"swappiness": 0}}, "memory/swappiness"),
        (True, {"memory": {"disableOOMKiller": True}}, "memory/disableOOMKiller"),
        (True, {"memory": {"useHierarchy": False}}, "memory/useHierarchy"),
        (True, {"memory": {"kernelTCP": 5}}, "memory/kernelTCP"),
        (True, {"memory": {"swap": 5}}, "memory/swap"),
        (True, {"memory": {"limit": 9, "swap": 5}}, "memory/swap"),
        (False, {"memory": {"limit": 9, "swap": 5}}, "memory/swap"),
        (False, {"memory": {"swappiness": 101}}, "memory/swappiness"),
        (False, {"memory": {"limit": -2}}, "memory/limit"),
        (True, {"memory": {"limit": True}}, "memory/limit"),
        (False, {"cpu": {"shares": 1}}, "cpu/shares"),
        (True, {"cpu": {"realtimeRuntime": 5}}, "cpu/realtimeRuntime"),
        (True, {"cpu": {"idle": 2}}, "cpu/idle"),
        (True, {"cpu": {"cpus": "0\n1"}}, "cpu/cpus"),
        (False, {"blockIO": {"weight": 9}}, "blockIO/weight"),
        (True, {"blockIO": {"leafWeight": 10}}, "blockIO/leafWeight"),
        (True, {"blockIO": {"weightDevice": [DEVICE]}}, "blockIO/weightDevice/0"),
        (True, {"blockIO": {"weightDevice": [{"major": 8, "weight": 10}]}}, "blockIO/weightDevice/0/minor"),
        (True, {"blockIO": {"throttleReadBpsDevice": [DEVICE]}}, "blockIO/throttleReadBpsDevice/0/rate"),
        (True, {"hugepageLimits": [{"pageSize": "2mb", "limit": 9}]}, "hugepageLimits/0/pageSize"),
        (True, {"hugepageLimits": [{"pageSize": "../MB", "limit": 9}]}, "hugepageLimits/0/pageSize"),
        (True, {"hugepageLimits": [{"pageSize": "2MB"}]}, "hugepageLimits/0/limit"),
        (True, {"network": {"classID": 5}}, "network/classID"),
        (True, {"network": {"priorities": [{"name": "eth0", "priority": 5}]}}, "network/priorities"),
        (False, {"network": {"priorities": [{"name": "eth0\n1", "priority": 5}]}}, "network/priorities/0/name"),
        (True, {"rdma": {"mlx": {}}}, "rdma/mlx"),
        (False, {"unified": {"memory.high": "5"}}, "unified"),
        (True, {"unified": {"../memory.high": "5"}}, "unified/..~1memory.high"),
        (True, {"unified": {"memory": "5"}}, "unified/memory"),
    ],
)
def test_refused(v2: bool, data: dict[str, object], pointer: str) -> None:
    """A wrong value, or one that this version of cgroups does not have, is an error that names the field."""
    with pytest.raises(ConfigError) as caught:
        asked(data, v2)
    assert caught.value.pointer == f"/linux/resources/{pointer}"


def test_unified_is_written_last_and_by_line() -> None:
    """What it says of a file counts more than memory.limit; io.max takes one device for each write."""
    data: dict[str, object] = {
        "unified": {"memory.max": "1", "io.max": "8:0 rbps=1\n8:16 rbps=2\n"},
        "memory": {"limit": 2},
    }
    assert lines(data, True) == ["memory.max=2", "memory.max=1", "io.max=8:0 rbps=1", "io.max=8:16 rbps=2"]


@pytest.mark.parametrize(
    ("shares", "weight"), [(2, 1), (3, 2), (100, 17), (256, 35), (512, 59), (1024, 100), (2048, 174), (262144, 10000)]
)
def test_weight_of_shares(shares: int, weight: int) -> None:
    """The formula of runc 1.3.2 and crun 1.23; its least, default and greatest fall together."""
    assert weight_of_shares(shares) == weight


def test_weight_of_shares_equals_the_formula() -> None:
    """The binary logarithm without the module math is the same."""
    import math

    for shares in range(3, 262144, 997):
        log = math.log2(shares)
        assert weight_of_shares(shares) == math.ceil(10 ** ((log * log + 125 * log) / 612.0 - 7.0 / 34.0)), shares


def test_kernel_memory_is_ignored_with_a_warning() -> None:
    """As runc: Linux has no such limit any more."""
    section = Section({"memory": {"kernel": 5}}, "/linux/resources")
    assert [text.partition(":")[0] for text in warnings(section)] == ["/linux/resources/memory/kernel"]
    assert writes(section, False) == []


def test_every_property_of_the_specification_has_a_row() -> None:
    """The first half of linux.resources, and the rest of it that has a file: one row each, none twice."""
    names = [f"{section}/{key}" if section else key for section, key, *_ in ROWS]
    assert len(names) == len(set(names))
    for section, keys in {
        "memory": "limit reservation swap kernelTCP swappiness disableOOMKiller useHierarchy",
        "cpu": "shares quota period burst realtimeRuntime realtimePeriod cpus mems idle",
        "blockIO": "weight leafWeight weightDevice throttleReadBpsDevice throttleWriteBpsDevice"
        " throttleReadIOPSDevice throttleWriteIOPSDevice",
        "pids": "limit",
        "network": "classID priorities",
    }.items():
        assert {f"{section}/{key}" for key in keys.split()} <= set(names)
    assert {"hugepageLimits", "rdma", "unified"} <= set(names)
