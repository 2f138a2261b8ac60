# SPDX-License-Identifier: Apache-2.0
"""The v1 driver on this host's hierarchies, with throw-away cgroups and real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from pyrunc.cgroups import driver, path
from pyrunc.cgroups.v1 import Legacy
from pyrunc.config.fields import Config, Section
from pyrunc.errors import CgroupError, UsageError

pytestmark = [pytest.mark.root, pytest.mark.cgroup1]
NAME = f"pyrunc-test-{os.getpid()}"


def open_at(inner: str, resources: dict[str, object] | None = None, *, rootless: bool = False) -> Legacy:
    config = Config({"linux": {"cgroupsPath": inner, "resources": resources}}, "/b")
    return cast("Legacy", driver.open_cgroup(config, NAME, "cgroupfs", rootless=rootless))


def limits(resources: dict[str, object]) -> Section:
    return Section(resources, "/linux/resources")


def value(cgroup: driver.Cgroup, file: str) -> str:
    return Path(cgroup.paths[file.partition(".")[0]], file).read_text("ascii").strip()


def leftovers() -> list[Path]:
    return [found for mount in Path("/sys/fs/cgroup").iterdir() for found in mount.glob(f"{NAME}*")]


@pytest.fixture
def cgroup() -> Iterator[Legacy]:
    """A made cgroup two levels deep; afterwards nothing of it is left."""
    made = open_at(f"/{NAME}/box")
    made.create()
    yield made
    made.signal(9)
    made.remove(parents=True)
    assert leftovers() == []


@pytest.fixture
def sleeper(cgroup: Legacy) -> Iterator["subprocess.Popen[str]"]:
    """A process to put into the cgroup; it ends with the test even if a failure left it frozen."""
    with subprocess.Popen(["sleep", "100"], text=True) as process:
        yield process
        process.kill()
        cgroup.thaw()


def test_directories_are_named_before_they_are_made() -> None:
    """What directories() names is all: none exists before create, all exist after, all go with remove(parents=True)."""
    made = open_at(f"/{NAME}/a/b")
    named = made.directories()
    assert [Path(one) for one in named if Path(one).exists()] == []
    assert len(named) == 3 * len(set(made.paths.values()))
    made.create()
    assert all(Path(one).is_dir() for one in named)
    made.remove(parents=True)
    assert leftovers() == []


def test_remove_leaves_the_parents() -> None:
    """A delete takes the container's own directories; those above may have another container or settings by now."""
    made = open_at(f"/{NAME}/a")
    made.create()
    made.remove()
    assert not any(Path(one).exists() for one in made.paths.values())
    assert leftovers()
    made.remove(parents=True)
    assert leftovers() == []
    made.remove()


def test_a_cgroup_that_was_there_stays(tmp_path: Path) -> None:
    """A delete does not remove what the container did not create; a cgroup within it goes."""
    there = Path(open_at(f"/{NAME}").paths["memory"])
    there.mkdir()
    try:
        made = open_at(f"/{NAME}")
        made.create()
        (there / "nested").mkdir()
        made.remove(parents=True)
        assert leftovers() == [there]
        assert not (there / "nested").exists()
    finally:
        there.rmdir()


def test_limits_reach_the_kernel(cgroup: Legacy) -> None:
    """Values written are values read, in every hierarchy of this host."""
    resources: dict[str, object] = {
        "memory": {"limit": 67108864, "swap": 134217728, "reservation": 33554432, "swappiness": 10},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000, "burst": 1000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 50},
    }
    assert cgroup.apply(limits(resources)) == []
    assert value(cgroup, "memory.limit_in_bytes") == "67108864"
    assert value(cgroup, "memory.memsw.limit_in_bytes") == "134217728"
    assert value(cgroup, "memory.soft_limit_in_bytes") == "33554432"
    assert value(cgroup, "memory.swappiness") == "10"
    assert value(cgroup, "cpu.shares") == "512"
    assert value(cgroup, "cpu.cfs_quota_us") == "50000"
    assert value(cgroup, "cpu.cfs_burst_us") == "1000"
    assert value(cgroup, "cpuset.cpus") == "0"
    assert value(cgroup, "pids.max") == "50"


@pytest.mark.parametrize(("memory", "swap"), [(1 << 24, 1 << 25), (1 << 28, 1 << 29), (-1, -1)])
def test_memory_and_swap_change_together(cgroup: Legacy, memory: int, swap: int) -> None:
    """Smaller, larger, unlimited: the order of the two writes never makes the first one invalid."""
    cgroup.apply(limits({"memory": {"limit": 1 << 26, "swap": 1 << 27}}))
    cgroup.apply(limits({"memory": {"limit": memory, "swap": swap}}))
    unlimited = 9223372036854771712
    assert int(value(cgroup, "memory.limit_in_bytes")) == (memory if memory > 0 else unlimited)
    assert int(value(cgroup, "memory.memsw.limit_in_bytes")) == (swap if swap > 0 else unlimited)


def test_period_and_quota_change_together(cgroup: Legacy) -> None:
    """A shorter period is invalid beside the old quota of a limited parent; it is written again after the new quota."""
    parent = Path(cgroup.paths["cpu"]).parent
    (parent / "cpu.cfs_quota_us").write_text("50000")
    cgroup.apply(limits({"cpu": {"quota": 50000, "period": 100000}}))
    cgroup.apply(limits({"cpu": {"quota": 5000, "period": 10000}}))
    assert (value(cgroup, "cpu.cfs_quota_us"), value(cgroup, "cpu.cfs_period_us")) == ("5000", "10000")


@pytest.mark.parametrize(
    ("resources", "pointer", "words"),
    [
        (
            {"network": {"classID": 5}},
            "network/classID",
            "`net_cls` is not available",
        ),
        ({"cpu": {"cpus": "900"}}, "cpu/cpus", "cpuset.cpus"),
        ({"cpu": {"quota": 1, "period": 100000}}, "cpu/quota", 'cpu.cfs_quota_us", "1"): invalid argument'),
    ],
)
def test_refusals_of_the_kernel(cgroup: Legacy, resources: dict[str, object], pointer: str, words: str) -> None:
    """The field, the call as written, the cause; and no words that engines take for a missing command."""
    if "network" in resources and "net_cls" in cgroup.paths:
        pytest.skip("needs a host without the hierarchy of net_cls")
    with pytest.raises(CgroupError, match=words.replace("(", "\\(").replace(")", "\\)")) as caught:
        cgroup.apply(limits(resources))
    assert caught.value.pointer == f"/linux/resources/{pointer}"
    assert not any(word in str(caught.value).lower() for word in ("no such file", "permission denied"))


def test_devices_are_a_whitelist_by_default(cgroup: Legacy) -> None:
    """Without a device list there are the defaults; an update with one changes only what differs."""
    cgroup.apply(None)
    before = value(cgroup, "devices.list").splitlines()
    assert "c 1:3 rwm" in before
    assert "a *:* rwm" not in before
    again = driver.from_state(cgroup.record())
    again.apply(limits({}))
    assert value(cgroup, "devices.list").splitlines() == before
    again.apply(limits({"devices": [{"allow": True, "type": "c", "major": 9, "minor": 1, "access": "r"}]}))
    assert sorted(value(cgroup, "devices.list").splitlines()) == sorted([*before, "c 9:1 r"])


def test_join_reaches_every_hierarchy(cgroup: Legacy, sleeper: "subprocess.Popen[str]") -> None:
    """All lines of /proc/PID/cgroup name the container's cgroup."""
    cgroup.apply(None)
    cgroup.join(sleeper.pid)
    lines = Path(f"/proc/{sleeper.pid}/cgroup").read_text("ascii").splitlines()
    assert {line.split(":", 2)[2] for line in lines} == {f"/{NAME}/box"}
    assert driver.from_state(cgroup.record()).pids() == [sleeper.pid]


def test_a_process_lets_itself_in(cgroup: Legacy) -> None:
    """entrances(): writing 0 to each `tasks` file moves a single-threaded process, as join does."""
    clone, tasks = cgroup.entrances()
    try:
        script = "for fd in " + " ".join(map(str, tasks)) + "; do echo 0 >&$fd; done; cat /proc/self/cgroup"
        out = subprocess.check_output(["bash", "-c", script], pass_fds=tasks, text=True)
    finally:
        for fd in (*tasks, *([clone] if clone is not None else [])):
            os.close(fd)
    inside = [line for line in out.splitlines() if not line.startswith("0::")]
    assert {line.split(":", 2)[2] for line in inside} == {f"/{NAME}/box"}
    assert (clone is not None) == ("" in cgroup.paths)


def test_join_beneath(cgroup: Legacy, sleeper: "subprocess.Popen[str]") -> None:
    """For `exec --cgroup`: only the named controller goes to the sub-cgroup; nothing leads out of the container's."""
    Path(cgroup.paths["pids"], "sub").mkdir()
    cgroup.join(sleeper.pid, {"pids": "sub"})
    lines = Path(f"/proc/{sleeper.pid}/cgroup").read_text("ascii").splitlines()
    assert {line.split(":")[1] for line in lines if line.endswith("/box/sub")} == {"pids"}
    with pytest.raises(CgroupError, match="leaves"):
        cgroup.join(sleeper.pid, {"pids": "../.."})
    with pytest.raises(CgroupError, match="not there"):
        cgroup.join(sleeper.pid, {"pids": "missing"})
    with pytest.raises(UsageError, match="nosuch"):
        cgroup.join(sleeper.pid, {"nosuch": "sub"})


def test_freeze_and_thaw(cgroup: Legacy, sleeper: "subprocess.Popen[str]") -> None:
    """Frozen means that no process runs; a frozen cgroup is refused for a new container."""
    cgroup.join(sleeper.pid)
    cgroup.freeze()
    assert cgroup.frozen()
    with pytest.raises(CgroupError, match="frozen"):
        open_at(f"/{NAME}/box/below").create()
    open_at(f"/{NAME}/box/below").remove()
    cgroup.thaw()
    assert not cgroup.frozen()


def test_a_failed_freeze_thaws(cgroup: Legacy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the deadline the cgroup goes on, and the error says so."""
    from pyrunc.cgroups import files

    real = files.read
    monkeypatch.setattr(files, "read", lambda p: "FREEZING\n" if p.endswith("freezer.state") else real(p))
    with pytest.raises(CgroupError, match="not frozen within"):
        cgroup.freeze(0.05)
    monkeypatch.undo()
    assert value(cgroup, "freezer.state") == "THAWED"


@pytest.mark.parametrize("hybrid", [True, False])
def test_kill_reaches_all(cgroup: Legacy, sleeper: "subprocess.Popen[str]", hybrid: bool) -> None:
    """SIGKILL ends processes in cgroups beneath, forking ones and frozen ones; with cgroup.kill and without."""
    if not hybrid:
        cgroup.paths.pop("", None)
    below = open_at(f"/{NAME}/box/below")
    below.create()
    loop = ["bash", "-c", "read x; while :; do /bin/true & done"]
    with subprocess.Popen(loop, stdin=subprocess.PIPE, text=True) as forks:
        try:
            cgroup.join(forks.pid)
            below.join(sleeper.pid)
            assert forks.stdin
            forks.stdin.write("\n")
            forks.stdin.flush()
            cgroup.freeze()
            cgroup.signal(9)
            assert (forks.wait(5), sleeper.wait(5)) == (-9, -9)
        finally:
            forks.kill()
            cgroup.thaw()
    cgroup.remove()
    assert not any(Path(one).exists() for one in cgroup.paths.values())
    below.remove()


def test_other_signals_leave_a_pause(cgroup: Legacy, sleeper: "subprocess.Popen[str]") -> None:
    """SIGTERM of a paused container waits for the resume."""
    cgroup.join(sleeper.pid)
    cgroup.freeze()
    cgroup.signal(15)
    assert cgroup.frozen()
    time.sleep(0.05)
    assert sleeper.poll() is None
    cgroup.thaw()
    assert sleeper.wait(5) == -15


def test_remove_waits_and_names_what_is_left(cgroup: Legacy, sleeper: "subprocess.Popen[str]") -> None:
    """A process that stays is an error with its pid, name and state; one that ends in time is not."""
    cgroup.join(sleeper.pid)
    with pytest.raises(CgroupError, match=rf"has processes: {sleeper.pid} \(sleep, [SR]\)"):
        cgroup.remove(seconds=0.1)
    ender = subprocess.Popen(["sh", "-c", f"sleep 0.2; kill -9 {sleeper.pid}"])
    cgroup.remove()
    ender.wait()
    assert not any(Path(one).exists() for one in cgroup.paths.values())


def test_a_cgroup_with_processes_is_refused(cgroup: Legacy, sleeper: "subprocess.Popen[str]") -> None:
    """Two containers never share a cgroup; the refusal changes nothing."""
    cgroup.join(sleeper.pid)
    second = open_at(f"/{NAME}/box")
    with pytest.raises(CgroupError, match="not empty: 1 processes"):
        second.create()
    assert second.directories() == []
    second.signal(9)
    second.remove(parents=True)
    assert sleeper.poll() is None


def test_a_leaf_of_another_is_not_shared() -> None:
    """Two creates of one path at once: one gets it, the undo of the other leaves it alone."""
    one, two = open_at(f"/{NAME}/a"), open_at(f"/{NAME}/a")
    one.create()
    with pytest.raises(CgroupError, match="made by another"):
        two.create()
    two.remove(parents=True)
    assert all(Path(leaf).is_dir() for leaf in one.paths.values())
    one.remove(parents=True)
    assert leftovers() == []


def test_parents_of_another_stay() -> None:
    """A parent that came to be between open and create is not ours to remove."""
    one, two = open_at(f"/{NAME}/a"), open_at(f"/{NAME}/b")
    one.create()
    two.create()
    one.remove()
    two.remove(parents=True)
    assert leftovers()
    one.remove(parents=True)
    assert leftovers() == []


def test_from_directories(cgroup: Legacy, sleeper: "subprocess.Popen[str]") -> None:
    """A `delete --force` with nothing but a journal finds processes and directories."""
    cgroup.join(sleeper.pid)
    found = driver.from_directories(cgroup.directories())
    assert found.paths == cgroup.paths
    found.signal(9)
    sleeper.wait(5)
    found.remove(parents=True)
    assert leftovers() == []


def test_oom_kills(cgroup: Legacy) -> None:
    """The counter of memory.oom_control."""
    cgroup.apply(limits({"memory": {"limit": 16 << 20, "swap": 16 << 20}}))
    with subprocess.Popen([sys.executable, "-ISc", "input(); bytearray(64 << 20)"], stdin=subprocess.PIPE) as eater:
        cgroup.join(eater.pid)
        assert cgroup.oom_kills() == 0
        assert eater.stdin
        eater.stdin.write(b"\n")
        eater.stdin.close()
        assert eater.wait(20) == -9
    assert cgroup.oom_kills() == 1


def test_host_rows(cgroup: Legacy) -> None:
    """A row for each hierarchy: what a container needs to mount and to see of it."""
    rows = cgroup.host_rows()
    assert ("memory", "memory", "/sys/fs/cgroup/memory", f"/{NAME}/box") in rows
    assert len(rows) == len(set(cgroup.paths.values()))


def test_rootless_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing may be made: fine when neither path nor limit was asked for, else an error, as runc."""
    import posix

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(posix, "mkdir", refuse)
    made = open_at("", rootless=True)
    made.create()
    assert made.apply(limits({"pids": {}})) == []
    assert (made.paths, made.pids(), made.entrances()) == ({}, [], (None, []))
    with pytest.raises(CgroupError, match="rootless") as caught:
        made.apply(limits({"pids": {"limit": 5}}))
    assert caught.value.pointer == "/linux/resources/pids/limit"
    with pytest.raises(CgroupError, match="not allowed"):
        open_at(f"/{NAME}", rootless=True).create()


def test_hierarchies_of_this_host() -> None:
    """This host is v1 or hybrid, and the device list has its hierarchy."""
    mode, found = path.hierarchies()
    assert mode in {"v1", "hybrid"}
    assert any("devices" in hierarchy.names for hierarchy in found)
