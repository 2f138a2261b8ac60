# SPDX-License-Identifier: Apache-2.0
"""Many containers, small limits, and what a container costs while it is there."""

import os
import select
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench import bundles
from tests.bench.runtimes import Runtime

_KIB = 1024


def loops(runtimes: list[Runtime], bundle: Path) -> dict[str, dict[str, float]]:
    """Seconds for 100 containers that run /bin/true, one after another and 16 at a time: the runtimes take turns."""
    result: dict[str, dict[str, float]] = {runtime.name: {} for runtime in runtimes}
    for at_once, title in ((1, "100 runs one after another, s"), (16, "100 runs, 16 at a time, s")):
        for _ in range(2):
            for runtime in runtimes:
                row = result[runtime.name]
                row[title] = row.get(title, 0.0) + many(runtime, bundle, 50, at_once)
    return result


def many(runtime: Runtime, bundle: Path, count: int, at_once: int) -> float:
    """Seconds for `count` containers that run /bin/true."""

    def one(number: int) -> None:
        runtime.must("run", "--bundle", bundle, f"bench-many-{runtime.name}-{number}")

    before = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(count)))
    return time.perf_counter() - before


def last_of(runtime: Runtime, bundle: Path, count: int) -> dict[str, float]:
    """Ms of the first create and of the last, with all others alive: the median of ten each."""
    names = [f"bench-crowd-{runtime.name}-{number}" for number in range(count)]
    times = [runtime.must("create", "--bundle", bundle, name).ms for name in names]
    for name in names:
        runtime.must("delete", "--force", name)
    return {"first": sorted(times[:10])[5], "last": sorted(times[-10:])[5]}


def init_memory(runtime: Runtime, bundle: Path) -> dict[str, int]:
    """KiB of a created container's process: proportional and private, smaps_rollup of proc(5)."""
    name = f"bench-memory-{runtime.name}"
    pid_file = bundle / "memory.pid"
    runtime.must("create", "--pid-file", pid_file, "--bundle", bundle, name)
    rows = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid_file.read_text('ascii')}/smaps_rollup").read_text("ascii").splitlines()[1:]
    )
    runtime.must("delete", "--force", name)
    pid_file.unlink()
    kib = {name: int(value.split()[0]) for name, value in rows.items()}
    return {"pss": kib["Pss"], "private": kib["Private_Clean"] + kib["Private_Dirty"]}


def peaks(runtime: Runtime, sleeper: Path, quick: Path) -> dict[str, int]:
    """KiB of resident memory of each verb at its highest: verb → KiB."""
    name = f"bench-peak-{runtime.name}"
    rows = {"run": runtime.peak("run", "--bundle", quick, name)}
    pid_file = sleeper / "peak.pid"
    rows["create"] = runtime.peak("create", "--pid-file", pid_file, "--bundle", sleeper, name)
    pidfd = os.pidfd_open(int(pid_file.read_text("ascii")))
    for verb, *words in (("state",), ("start",), ("exec", "/bin/true"), ("kill", "KILL")):
        rows[verb] = runtime.peak(verb, name, *words)
    select.select([pidfd], [], [])
    os.close(pidfd)
    pid_file.unlink()
    rows["delete"] = runtime.peak("delete", name)
    rows["list"] = runtime.peak("list")
    return rows


def least(runtime: Runtime, folder: Path) -> dict[str, float]:
    """The least limits with which a static /bin/true runs; nothing where cgroup2 has no such controller."""
    rows = {}
    if _controlled("memory"):
        memory = _least(runtime, folder, [4 * _KIB << step for step in range(16)], _memory)
        rows["least memory limit, KiB"] = memory / _KIB
    if _controlled("pids"):
        rows["least pids limit"] = _least(runtime, folder, list(range(1, 33)), _pids)
    return rows


def _controlled(name: str) -> bool:
    """A host that has the controller in cgroup v1 has it not in cgroup2."""
    path = Path("/sys/fs/cgroup/cgroup.controllers")
    return not path.exists() or name in path.read_text("ascii").split()


def _least(runtime: Runtime, folder: Path, values: list[int], limits: Any) -> int:
    """The first value with which three runs in a row succeed; 0: none does."""
    for value in values:
        bundle = bundles.make(folder, "small", ["/bin/true"], limits(value))
        name = f"bench-least-{runtime.name}-{value}"
        if all(runtime.call("run", "--bundle", bundle, name).status == 0 for _ in range(3)):
            return value
        runtime.call("delete", "--force", name)
    return 0


def _memory(value: int) -> dict[str, Any]:
    return {"memory": {"limit": value, "swap": value}}


def _pids(value: int) -> dict[str, Any]:
    return {"pids": {"limit": value}}
