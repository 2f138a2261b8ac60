# SPDX-License-Identifier: Apache-2.0
"""How an update is merged, checked against the usage and undone; containers/test_update.py has real ones."""

from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups import files, memory_room, rollback
from pyrunc.cgroups.driver import Cgroup, from_state
from pyrunc.cgroups.resources import Write, writes
from pyrunc.cgroups.v2 import Unified
from pyrunc.config.fields import Section
from pyrunc.config.size import number, size
from pyrunc.container.update import bound, merge, wanted
from pyrunc.errors import CgroupError, ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("0", 0), ("-1", -1), ("512", 512), ("512b", 512), ("1k", 1024), ("64M", 64 << 20), ("64mb", 64 << 20)),
        *(("64MiB", 64 << 20), ("2 GiB", 2 << 30), ("1.5g", 3 << 29), ("1T", 1 << 40), ("9007199254740993", 2**53 + 1)),
    ],
)
def test_size(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "x", "-2", "1x", "1.m", ".5m", "1_0", "+1", "1e3", "i", "mb", "1 0", "٣", "0x10"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        size(text)


def test_number() -> None:
    assert [number(text) for text in ("0", "-1", "100")] == [0, -1, 100]
    for text in ("", "-", "1.0", "1_0", " 1", "+1", "x"):
        with pytest.raises(ValueError, match="is not a number"):
            number(text)


def merged(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what is saved, what is written)."""
    asked = wanted(Section(new), Section(old))
    result = merge(old, asked)
    return result, bound(asked, result)


@pytest.mark.parametrize(
    ("old", "new", "saved", "written"),
    [
        ({}, {"cpu": {"shares": 5}}, {"cpu": {"shares": 5}}, {"cpu": {"shares": 5}}),
        ({"cpu": {"shares": 5}}, {"cpu": {"shares": 0}, "memory": None}, {"cpu": {"shares": 5}}, {}),
        ({"pids": {"limit": 5}}, {"pids": {"limit": 0}}, {"pids": {"limit": 0}}, {"pids": {"limit": 0}}),
        (
            {"cpu": {"quota": 1, "period": 2, "shares": 3}},
            {"cpu": {"quota": 7}},
            {"cpu": {"quota": 7, "period": 2, "shares": 3}},
            {"cpu": {"quota": 7, "period": 2}},
        ),
        (
            {"memory": {"limit": 1, "swap": 2, "reservation": 1}},
            {"memory": {"swap": 5}},
            {"memory": {"limit": 1, "swap": 5, "reservation": 1}},
            {"memory": {"limit": 1, "swap": 5}},
        ),
        (
            {"memory": {"limit": 1, "swap": 2}},
            {"memory": {"limit": -1}},
            {"memory": {"limit": -1}},
            {"memory": {"limit": -1}},
        ),
        ({"unified": {"a.b": "1"}}, {"unified": {"c.d": "2"}}, {"unified": {"a.b": "1", "c.d": "2"}}, None),
        (
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 1}, {"pageSize": "1GB", "limit": 2}]},
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 3}]},
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 3}, {"pageSize": "1GB", "limit": 2}]},
            None,
        ),
        (
            {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 10, "leafWeight": 20}]}},
            {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 30}, {"major": 8, "minor": 1}]}},
            {
                "blockIO": {
                    "weightDevice": [
                        {"major": 8, "minor": 0, "weight": 30, "leafWeight": 20},
                        {"major": 8, "minor": 1},
                    ]
                }
            },
            None,
        ),
        ({"devices": [{"allow": False}]}, {"devices": [{"allow": False}]}, {"devices": [{"allow": False}]}, {}),
    ],
    ids=str,
)
def test_merge(old: dict[str, Any], new: dict[str, Any], saved: object, written: object) -> None:
    """What is not named stays; what depends on another field is written with it."""
    result = merged(old, new)
    assert result[0] == saved
    assert result[1] == (new if written is None else written)


def test_an_object_must_be_one() -> None:
    with pytest.raises(ConfigError, match="/memory: must be an object"):
        merged({}, {"memory": 5})


@pytest.fixture
def cgroup(tmp_path: Path) -> Unified:
    for name, text in {
        "memory.current": "1000",
        "memory.high": "max",
        "memory.max": "max",
        "memory.swap.max": "max",
        "memory.low": "0",
        "cgroup.type": "domain",
        "pids.max": "max",
        "cpuset.cpus": "",
    }.items():
        (tmp_path / name).write_text(f"{text}\n")
    return Unified({"": str(tmp_path)}, [], str(tmp_path.parent))


def checked(**memory: int) -> Section:
    return Section({"memory": {"checkBeforeUpdate": True, **memory}}, "/linux/resources")


def text(cgroup: Cgroup, name: str) -> str:
    return Path(cgroup.paths[""], name).read_text().strip()


@pytest.fixture
def reclaims(cgroup: Unified, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """A kernel that frees all but 600 bytes when memory.high asks for it; the list is what was written."""
    written: list[tuple[str, str]] = []
    write = files.write

    def kernel(path: str, value: str) -> None:
        write(path, value)
        written.append((path.rpartition("/")[2], value))
        if path.endswith("memory.high") and value != "max":
            Path(path).with_name("memory.current").write_text(f"{max(600, int(value) - 1)}\n")

    monkeypatch.setattr(files, "write", kernel)
    monkeypatch.setattr(memory_room, "SECONDS", 0.05)
    return written


def test_reclaim_then_limit(cgroup: Unified, reclaims: list[tuple[str, str]]) -> None:
    """memory.high goes down before memory.max, and up again after it."""
    cgroup.apply(checked(limit=800))
    assert reclaims == [("memory.high", "800"), ("memory.max", "800"), ("memory.high", "max")]


def test_a_usage_that_stays_is_a_refusal(cgroup: Unified, reclaims: list[tuple[str, str]]) -> None:
    with pytest.raises(CgroupError, match="memory/limit: rejecting memory limit 500: 600 bytes are in use"):
        cgroup.apply(checked(limit=500))
    assert text(cgroup, "memory.max") == "max"
    assert text(cgroup, "memory.high") == "max"
    with pytest.raises(CgroupError, match=r"rejecting memory limit 500"):
        cgroup.apply(checked(limit=500, swap=550))
    with pytest.raises(CgroupError, match=r"swap: rejecting memory\+swap limit 550"):
        memory_room.make(cgroup.path, Section({"checkBeforeUpdate": True, "swap": 550}, "/linux/resources/memory"))


def test_a_lower_high_is_left_alone(cgroup: Unified, reclaims: list[tuple[str, str]]) -> None:
    Path(cgroup.path, "memory.high").write_text("700\n")
    Path(cgroup.path, "memory.current").write_text("650\n")
    cgroup.apply(checked(limit=800))
    assert reclaims == [("memory.max", "800")]


def test_a_high_that_the_update_itself_sets_stays(cgroup: Unified, reclaims: list[tuple[str, str]]) -> None:
    limits = checked(limit=800)
    limits.data["unified"] = {"memory.high": "750"}
    cgroup.apply(limits)
    assert text(cgroup, "memory.high") == "750"


def test_unlimited_needs_no_check(cgroup: Unified, reclaims: list[tuple[str, str]]) -> None:
    cgroup.apply(checked(limit=-1))
    assert ("memory.high", "max") not in reclaims


@pytest.mark.parametrize(
    ("name", "old", "written", "restored"),
    [
        ("pids.max", "max", "5", "max"),
        ("cpu.max", "max 100000", "5000 10000", "max 100000"),
        ("cpuset.cpus", "", "0", "\n"),
        ("io.weight", "default 100\n8:0 50", "200", "default 100"),
        ("io.weight", "default 100\n8:0 50", "8:0 70", "8:0 50"),
        ("io.weight", "default 100", "8:0 70", "8:0 default"),
        (
            "io.max",
            "8:16 rbps=1 wbps=max riops=max wiops=max",
            "8:16 rbps=2",
            "8:16 rbps=1 wbps=max riops=max wiops=max",
        ),
        ("io.max", "", "8:16 rbps=2", "8:16 rbps=max wbps=max riops=max wiops=max"),
        ("blkio.throttle.read_bps_device", "8:0 5", "8:1 9", "8:1 0"),
        ("net_prio.ifpriomap", "lo 0\neth0 5", "eth0 7", "eth0 5"),
        ("rdma.max", "mlx4_0 hca_handle=2 hca_object=max", "mlx4_0 hca_handle=3", "mlx4_0 hca_handle=2 hca_object=max"),
    ],
)
def test_remember_and_restore(tmp_path: Path, name: str, old: str, written: str, restored: str) -> None:
    """The text that undoes a write is one that the file takes."""
    (tmp_path / name).write_text(f"{old}\n" if old else "")
    cgroup = Unified({"": str(tmp_path)}, [], str(tmp_path.parent))
    rows = rollback.remember([Write("/x", ("not.there", "1"), (name, written))], cgroup)
    assert rows == [(str(tmp_path / name), restored)]
    rollback.restore(rows)
    assert (tmp_path / name).read_text() == restored


def test_v1_files_are_where_their_controller_is(tmp_path: Path) -> None:
    for controller, name in (("pids", "pids.max"), ("memory", "memory.limit_in_bytes")):
        (tmp_path / controller / "box").mkdir(parents=True)
        (tmp_path / controller / "box" / name).write_text("7\n")
    paths = {name: f"{tmp_path}/{name}/box" for name in ("pids", "memory")}
    cgroup = from_state({"mode": "v1", "root": str(tmp_path), "paths": paths, "made": []})
    asked = writes(Section({"pids": {"limit": 1}, "memory": {"limit": 1}, "cpu": {"shares": 5}}), v2=False)
    assert [text for _, text in rollback.remember(asked, cgroup)] == ["7", "7"]
