# SPDX-License-Identifier: Apache-2.0
"""Statistics from the texts that kernels write, in the members that clients of `runc events` decode."""

from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups import stats
from pyrunc.cgroups.driver import Cgroup, from_state
from pyrunc.cgroups.stats_v1 import blkio as blkio_v1
from pyrunc.config.duration import seconds

PRESSURE = "some avg10=1.50 avg60=0.25 avg300=0.00 total=77715\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"

V2 = {
    "cpu.stat": "usage_usec 77\nuser_usec 40\nsystem_usec 37\nnr_periods 9\nnr_throttled 2\nthrottled_usec 5\n",
    "cpu.pressure": PRESSURE,
    "cpuset.cpus.effective": "0-2,7\n",
    "cpuset.mems.effective": "0\n",
    "memory.stat": "anon 500\nfile 300\nkernel 20\n",
    "memory.current": "1000\n",
    "memory.max": "5000\n",
    "memory.peak": "1500\n",
    "memory.swap.current": "10\n",
    "memory.swap.max": "100\n",
    "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    "pids.current": "3\n",
    "pids.max": "max\n",
    "io.stat": "8:0 rbytes=4096 wbytes=0 rios=1 wios=2 dbytes=0 dios=0\n259:1 \n",
    "hugetlb.2MB.current": "2097152\n",
    "hugetlb.2MB.rsvd.current": "4194304\n",
    "hugetlb.2MB.events": "max 3\n",
    "hugetlb.1GB.current": "0\n",
}
V1 = {
    "cpuacct/cpuacct.usage": "77823968\n",
    "cpuacct/cpuacct.usage_percpu": "77606983 216985 \n",
    "cpuacct/cpuacct.usage_all": "cpu user system\n0 44000000 36000000\n1 0 216985\n",
    "cpuacct/cpuacct.stat": "user 4\nsystem 3\n",
    "cpu/cpu.stat": "nr_periods 9\nnr_throttled 2\nthrottled_time 5000\n",
    "cpuset/cpuset.cpus": "0-1\n",
    "cpuset/cpuset.mems": "0\n",
    "cpuset/cpuset.sched_load_balance": "1\n",
    "cpuset/cpuset.sched_relax_domain_level": "-1\n",
    "memory/memory.stat": "cache 300\nrss 500\n",
    "memory/memory.usage_in_bytes": "1000\n",
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/memory.max_usage_in_bytes": "1500\n",
    "memory/memory.failcnt": "4\n",
    "memory/memory.kmem.usage_in_bytes": "20\n",
    "pids/pids.current": "3\n",
    "pids/pids.max": "10\n",
    "blkio/blkio.throttle.io_serviced": "8:0 Read 5\n8:0 Total 5\nTotal 5\n",
    "blkio/blkio.throttle.io_service_bytes": "8:0 Read 4096\n8:16 Write 1\nTotal 4097\n",
    "hugetlb/hugetlb.2MB.usage_in_bytes": "2\n",
    "hugetlb/hugetlb.2MB.max_usage_in_bytes": "3\n",
    "hugetlb/hugetlb.2MB.failcnt": "1\n",
}


def cgroup(root: Path, mode: str, texts: dict[str, str]) -> Cgroup:
    for name, text in texts.items():
        path = root / "box" / name if mode == "v2" else root / name.replace("/", "/box/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    names = {name.partition("/")[0] for name in texts}
    paths = {"": f"{root}/box"} if mode == "v2" else {name: f"{root}/{name}/box" for name in names}
    return from_state({"mode": mode, "root": str(root), "paths": paths, "made": []})


def test_v2(tmp_path: Path) -> None:
    found: Any = stats.collect(cgroup(tmp_path, "v2", V2))
    assert list(found) == ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"]
    assert found["cpu"] == {
        "usage": {"total": 77000, "kernel": 37000, "user": 40000},
        "throttling": {"periods": 9, "throttledPeriods": 2, "throttledTime": 5000},
        "psi": {"some": {"avg10": 1.5, "avg60": 0.25, "avg300": 0.0, "total": 77715}},
    }
    assert found["cpuset"]["cpus"] == [0, 1, 2, 7]
    assert found["memory"] == {
        "cache": 300,
        "usage": {"limit": 5000, "usage": 1000, "max": 1500, "failcnt": 0},
        "swap": {"limit": 5100, "usage": 1010, "failcnt": 0},
        "raw": {"anon": 500, "file": 300, "kernel": 20},
        "psi": {},
    }
    assert found["pids"] == {"current": 3}
    assert found["blkio"] == {
        "ioServiceBytesRecursive": [
            {"major": 8, "op": "Read", "value": 4096},
            {"major": 8, "op": "Write"},
        ],
        "ioServicedRecursive": [{"major": 8, "op": "Read", "value": 1}, {"major": 8, "op": "Write", "value": 2}],
    }
    assert found["hugetlb"] == {"1GB": {"failcnt": 0}, "2MB": {"usage": 4194304, "failcnt": 3}}
    assert (found["intel_rdt"], found["network_interfaces"]) == ({}, None)


def test_v1(tmp_path: Path) -> None:
    found: Any = stats.collect(cgroup(tmp_path, "v1", V1))
    assert found["cpu"] == {
        "usage": {
            "total": 77823968,
            "percpu": [77606983, 216985],
            "percpu_kernel": [36000000, 216985],
            "percpu_user": [44000000, 0],
            "kernel": 30000000,
            "user": 40000000,
        },
        "throttling": {"periods": 9, "throttledPeriods": 2, "throttledTime": 5000},
    }
    assert list(found["cpuset"])[:4] == ["cpus", "cpu_exclusive", "mems", "mem_hardwall"]
    assert found["cpuset"]["cpus"] == [0, 1]
    assert found["cpuset"]["sched_relax_domain_level"] == -1
    assert found["memory"] == {
        "cache": 300,
        "usage": {"limit": 9223372036854771712, "usage": 1000, "max": 1500, "failcnt": 4},
        "kernel": {"limit": 0, "usage": 20, "failcnt": 0},
        "raw": {"cache": 300, "rss": 500},
    }
    assert found["pids"] == {"current": 3, "limit": 10}
    assert found["blkio"] == {
        "ioServicedRecursive": [{"major": 8, "op": "Read", "value": 5}, {"major": 8, "op": "Total", "value": 5}],
        "ioServiceBytesRecursive": [
            {"major": 8, "op": "Read", "value": 4096},
            {"major": 8, "minor": 16, "op": "Write", "value": 1},
        ],
    }
    assert found["hugetlb"] == {"2MB": {"usage": 2, "max": 3, "failcnt": 1}}


def test_hybrid_has_the_pressure_of_the_cgroup2_tree(tmp_path: Path) -> None:
    (tmp_path / "unified/box").mkdir(parents=True)
    (tmp_path / "unified/box/io.pressure").write_text(PRESSURE)
    paths = {"": f"{tmp_path}/unified/box"}
    found: Any = stats.collect(from_state({"mode": "hybrid", "root": str(tmp_path), "paths": paths, "made": []}))
    assert found["blkio"]["psi"]["some"]["total"] == 77715
    assert found["cpu"] == {}


@pytest.mark.parametrize("mode", ["v1", "v2", "disabled"])
def test_a_cgroup_that_is_gone_counts_nothing(tmp_path: Path, mode: str) -> None:
    paths = {"v1": {"pids": f"{tmp_path}/pids/box"}, "v2": {"": f"{tmp_path}/box"}, "disabled": {}}[mode]
    found: Any = stats.collect(from_state({"mode": mode, "root": str(tmp_path), "paths": paths, "made": []}))
    assert not any(found[name] for name in ("cpu", "memory", "pids", "blkio", "hugetlb"))


def test_v2_without_limits_or_controllers(tmp_path: Path) -> None:
    """Unlimited is 2^64-1, as Go has it; without the controller pids the processes are counted."""
    texts = {"memory.current": "5", "memory.max": "max", "memory.swap.current": "0", "cgroup.procs": "7\n9\n"}
    found: Any = stats.collect(cgroup(tmp_path, "v2", texts))
    assert found["memory"]["usage"]["limit"] == found["memory"]["swap"]["limit"] == 2**64 - 1
    assert found["pids"] == {"current": 2}


def test_the_first_scheduler_with_statistics_counts(tmp_path: Path) -> None:
    """CFQ has all eight; BFQ without debugging the last two."""
    (tmp_path / "blkio.throttle.io_serviced").write_text("8:0 Read 1\n")
    (tmp_path / "blkio.bfq.io_serviced_recursive").write_text("8:0 Read 2\n")
    (tmp_path / "blkio.bfq.io_service_bytes_recursive").write_text("8:0 Read 3\n")
    assert [row["value"] for row in blkio_v1(str(tmp_path))["ioServicedRecursive"]] == [2]  # type: ignore[attr-defined]
    (tmp_path / "blkio.bfq.sectors_recursive").write_text("8:0 4\n")
    assert blkio_v1(str(tmp_path))["sectorsRecursive"] == [{"major": 8, "value": 4}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5s", 5), ("100ms", 0.1), ("1m30s", 90), ("1.5h", 5400), ("2us", 2e-6), ("0s", 0), (".5s", 0.5)],
)
def test_duration(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1x", "1..5s", ".s", "5 s", "1e3s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(text)
