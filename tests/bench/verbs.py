# SPDX-License-Identifier: Apache-2.0
"""Rounds in which each runtime takes its turn, so that what else the machine does meets all of them alike."""

import os
import select
import time
from pathlib import Path

from tests.bench.runtimes import Runtime, Sample

VERBS = ("run", "create", "state", "start", "exec", "kill", "delete", "list")
Table = dict[str, dict[str, list[Sample]]]
"""runtime → verb → samples."""


def rounds(runtimes: list[Runtime], sleeper: Path, quick: Path, count: int) -> Table:
    """`count` lives of a container of each runtime, and as many `run`s of /bin/true; the first round warms up."""
    table: Table = {runtime.name: {} for runtime in runtimes}
    for number in range(count + 1):
        # The one that comes first finds other caches than the last
        turn = number % len(runtimes)
        for runtime in runtimes[turn:] + runtimes[:turn]:
            samples = life(runtime, sleeper, f"bench-{runtime.name}-{number}")
            samples["run"] = runtime.must("run", "--bundle", quick, f"bench-run-{runtime.name}-{number}")
            if number:
                for verb, sample in samples.items():
                    table[runtime.name].setdefault(verb, []).append(sample)
    return table


def life(runtime: Runtime, bundle: Path, name: str) -> dict[str, Sample]:
    """Every verb once; "life" is from create to the end of delete, but for state and exec."""
    pid_file = bundle / f"{name}.pid"
    samples = {"create": runtime.must("create", "--pid-file", pid_file, "--bundle", bundle, name)}
    pidfd = os.pidfd_open(int(pid_file.read_text("ascii")))
    samples["state"] = runtime.must("state", name)
    samples["start"] = runtime.must("start", name)
    samples["exec"] = runtime.must("exec", name, "/bin/true")
    samples["kill"] = runtime.must("kill", name, "KILL")
    before = time.perf_counter()
    select.select([pidfd], [], [])
    waited = (time.perf_counter() - before) * 1000
    os.close(pidfd)
    pid_file.unlink()
    samples["delete"] = runtime.must("delete", name)
    parts = [samples[verb] for verb in ("create", "start", "kill", "delete")]
    whole = Sample(sum(part.ms for part in parts) + waited, sum(part.cpu for part in parts), 0)
    return samples | {"life": whole}


def lists(runtimes: list[Runtime], bundle: Path, alive: int, count: int) -> Table:
    """`list` with so many containers alive."""
    names = [f"bench-list-{number}" for number in range(alive)]
    table: Table = {}
    for runtime in runtimes:
        for name in names:
            runtime.must("create", "--bundle", bundle, f"{name}-{runtime.name}")
    for _ in range(count):
        for runtime in runtimes:
            table.setdefault(runtime.name, {}).setdefault("list", []).append(runtime.must("list"))
    for runtime in runtimes:
        for name in names:
            runtime.must("delete", "--force", f"{name}-{runtime.name}")
    return table
