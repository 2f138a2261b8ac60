# SPDX-License-Identifier: Apache-2.0
"""SPEC-117 to SPEC-126, SPEC-288 to SPEC-290, SPEC-320: scheduler, I/O priority, affinity of exec, memory policy,
personality.
"""

import os
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch, merge

_ROW = {"containerID": 0, "hostID": 100000, "size": 65536}
MAPPED: Patch = {"linux": {"+namespaces": [{"type": "user"}], "uidMappings": [_ROW], "gidMappings": [_ROW]}}


def process(**fields: object) -> Patch:
    return {"process": fields}


@pytest.mark.parametrize("where", [{}, MAPPED], ids=["no user namespace", "user namespace"])
@pytest.mark.parametrize(
    ("scheduler", "seen"),
    [
        ({"policy": "SCHED_OTHER", "nice": 7}, "0 127 7 0"),
        ({"policy": "SCHED_OTHER", "nice": -5}, "0 115 -5 0"),
        ({"policy": "SCHED_BATCH", "nice": 19}, "3 139 19 3"),
        ({"policy": "SCHED_IDLE"}, "5 120 0 5"),
        ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"], "nice": 3}, "0 123 3 0"),
    ],
    ids=str,
)
def test_scheduler(box: Box, where: Patch, scheduler: Patch, seen: str) -> None:
    """Also a higher priority than the caller's, which a process in a user namespace could not take itself."""
    argv = ["busybox", "awk", "/^(policy|prio) /{print $3} FILENAME~/stat/{print $19; print $41}"]
    argv += ["/proc/self/sched", "/proc/self/stat"]
    assert box.run(merge(where, process(scheduler=scheduler)), *argv).out.split() == seen.split()


def test_scheduler_is_of_exec_too(box: Box) -> None:
    box.start(process(scheduler={"policy": "SCHED_BATCH"}), "sleep", "60")
    assert box.exec("cut", "-d ", "-f41", "/proc/self/stat").out == "3"
    box.delete("--force")


@pytest.mark.view("v1")
def test_real_time_needs_runtime_of_the_cgroup(box: Box) -> None:
    """Linux with RT_GROUP_SCHED; the cgroup is at the top, as every parent must have the runtime to give."""
    wanted = process(scheduler={"policy": "SCHED_FIFO", "priority": 10})
    assert "/process/scheduler: sched_setattr(" in box.refused(wanted)
    cpu = {"realtimePeriod": 1000000, "realtimeRuntime": 10000}
    wanted = merge(wanted, {"linux": {"cgroupsPath": f"/{box.id}", "resources": {"cpu": cpu}}})
    assert box.run(wanted, "cut", "-d ", "-f40,41", "/proc/self/stat").out == "10 1"


@pytest.mark.view("v1")
def test_a_deadline(box: Box) -> None:
    """sched(7): the process may not fork then, and its CPUs are all those of its root domain."""
    times = {"runtime": 1000000, "deadline": 20000000, "period": 40000000}
    wanted = process(scheduler={"policy": "SCHED_DEADLINE"} | times)
    out = box.run(wanted, "grep", "-E", "^(policy|dl)", "/proc/self/sched").lines
    assert out[0].split()[-1] == "6"


def deadline(**times: int) -> Patch:
    return {"policy": "SCHED_DEADLINE"} | times


@pytest.mark.parametrize(
    ("scheduler", "pointer"),
    [
        ({}, "policy: is required"),
        ({"policy": "SCHED_FAIR"}, 'policy: unknown scheduling policy "SCHED_FAIR"'),
        ({"policy": "SCHED_OTHER", "nice": 20}, "nice: 20 is out of range"),
        ({"policy": "SCHED_OTHER", "priority": 1}, "priority: is of SCHED_FIFO and SCHED_RR only"),
        ({"policy": "SCHED_FIFO", "priority": -1}, "priority: -1 is out of range"),
        ({"policy": "SCHED_RR", "priority": 1, "runtime": 1}, "runtime: is of SCHED_DEADLINE only"),
        ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_FAST"]}, 'flags/0: unknown flag "SCHED_FLAG_FAST"'),
        ({"policy": "SCHED_OTHER", "nice": "1"}, "nice: must be an integer"),
        (deadline(deadline=10**7), "runtime: sched_setattr: `SCHED_DEADLINE` requires `runtime`"),
        (deadline(runtime=10**7, period=10**8), "deadline: sched_setattr: `SCHED_DEADLINE` requires `deadline`"),
        (
            deadline(runtime=0, deadline=10**7),
            "runtime: sched_setattr: `SCHED_DEADLINE` runtime must be greater than 0",
        ),
        (
            deadline(runtime=30, deadline=20),
            "runtime: sched_setattr: `SCHED_DEADLINE` runtime (30) must be <= deadline (20)",
        ),
        (
            deadline(runtime=30, deadline=40, period=35),
            "deadline: sched_setattr: `SCHED_DEADLINE` deadline (40) must be <= period (35)",
        ),
        (
            deadline(runtime=1023, deadline=10**7),
            "runtime: sched_setattr: `SCHED_DEADLINE` runtime (1023) must be between 1024 and 9223372036854775807",
        ),
        (
            deadline(runtime=2000, deadline=2**63),
            "deadline: sched_setattr: `SCHED_DEADLINE` deadline (9223372036854775808) must be between 1024 and",
        ),
    ],
    ids=str,
)
def test_schedulers_that_are_refused(box: Box, scheduler: Patch, pointer: str) -> None:
    assert f"/process/scheduler/{pointer}" in box.refused(process(scheduler=scheduler))


@pytest.mark.parametrize("where", [{}, MAPPED], ids=["no user namespace", "user namespace"])
@pytest.mark.parametrize(
    ("name", "level", "seen"),
    [("RT", 2, "realtime: prio 2"), ("BE", 6, "best-effort: prio 6"), ("IDLE", 0, "idle")],
)
def test_io_priority(box: Box, where: Patch, name: str, level: int, seen: str) -> None:
    wanted = merge(where, process(ioPriority={"class": f"IOPRIO_CLASS_{name}", "priority": level}))
    assert box.run(wanted, "ionice", "-p", "1").out == seen


def test_the_idle_class_needs_no_level(box: Box) -> None:
    assert box.run(process(ioPriority={"class": "IOPRIO_CLASS_IDLE"}), "ionice", "-p", "1").out == "idle"


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"priority": 0}, "class: is required"),
        ({"class": "IOPRIO_CLASS_BE"}, "priority: is required"),
        ({"class": "IOPRIO_CLASS_NONE", "priority": 0}, "class: unknown"),
        ({"class": "IOPRIO_CLASS_BE", "priority": 8}, "priority: 8 is out of range: 0 to 7"),
        ({"class": "IOPRIO_CLASS_BE", "priority": -1}, "priority: -1 is out of range"),
    ],
    ids=str,
)
def test_io_priorities_that_are_refused(box: Box, value: Patch, pointer: str) -> None:
    assert f"/process/ioPriority/{pointer}" in box.refused(process(ioPriority=value))


def affinity(box: Box) -> str:
    return box.exec("sed -n 's/^Cpus_allowed_list:.//p' /proc/self/status").out


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
@pytest.mark.parametrize(
    ("value", "cpuset", "seen"),
    [
        ({"initial": "0"}, None, "0"),
        ({"initial": "0", "final": "1"}, None, "1"),
        ({"final": "0-1"}, None, "0-1"),
        ({"initial": "", "final": " 1, "}, None, "1"),
        pytest.param({"final": "0"}, "0-1", "0", marks=pytest.mark.controller("cpuset")),
        pytest.param({}, "1", "1", marks=pytest.mark.controller("cpuset")),
    ],
    ids=str,
)
def test_affinity_of_exec(box: Box, value: Patch, cpuset: str | None, seen: str) -> None:
    resources = {"cpu": {"cpus": cpuset, "mems": "0"}} if cpuset else {}
    box.start(merge(process(execCPUAffinity=value), {"linux": {"resources": resources}}), "sleep", "60")
    assert affinity(box) == seen
    first = Path(f"/proc/{box.pid}/status").read_text().split("Cpus_allowed_list:\t")[1].split("\n")[0]
    assert first == (cpuset or "0-1")
    box.delete("--force")


@pytest.mark.parametrize("key", ["initial", "final"])
@pytest.mark.parametrize("text", ["a", "3-1", "-1", "1-", "0-9000", "0 1", "\u0661"])
def test_affinities_that_are_refused(box: Box, key: str, text: str) -> None:
    """By create already: what exec could not do is no container."""
    assert f"/process/execCPUAffinity/{key}: " in box.refused(process(execCPUAffinity={key: text}), "true")


def test_a_cpu_that_is_not_there(box: Box) -> None:
    box.start(process(execCPUAffinity={"initial": "8000"}), "sleep", "60")
    assert "/process/execCPUAffinity/initial: sched_setaffinity(" in box.exec("true", status=255).err
    box.delete("--force")


@pytest.mark.parametrize("where", [{}, MAPPED], ids=["no user namespace", "user namespace"])
@pytest.mark.parametrize(
    ("policy", "seen"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "bind=static:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}, "interleave=relative:0"),
        ({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}, "weighted"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
        ({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}, "prefer"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"]}, "bind"),
    ],
    ids=str,
)
def test_memory_policy(box: Box, where: Patch, policy: Patch, seen: str) -> None:
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("needs a kernel with NUMA")
    wanted = merge(where, {"linux": {"memoryPolicy": policy}})
    assert box.run(wanted, "sed", "-n", "1s/^[^ ]* //;1s/ .*//p", "/proc/self/numa_maps").out.startswith(seen)


def test_memory_policy_is_of_exec_too(box: Box) -> None:
    box.start({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"}}}, "sleep", "60")
    assert " bind:0 " in box.exec("cat", "/proc/self/numa_maps").lines[0]
    box.delete("--force")


@pytest.mark.parametrize(
    ("policy", "pointer"),
    [
        ({"nodes": "0"}, "/mode: is required"),
        ({"mode": "MPOL_NEAR"}, '/mode: unknown mode "MPOL_NEAR"'),
        ({"mode": "MPOL_BIND", "nodes": "0-x"}, "/nodes: "),
        ({"mode": "MPOL_BIND", "nodes": "2000"}, "/nodes: "),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NODE"]}, '/flags/0: unknown flag "MPOL_F_NODE"'),
        ({"mode": "MPOL_BIND"}, ": set_mempolicy(MPOL_BIND, NULL, 0): "),
        ({"mode": "MPOL_BIND", "nodes": "1000"}, ": set_mempolicy(MPOL_BIND, "),
        ({"mode": "MPOL_LOCAL", "nodes": "0"}, ": set_mempolicy("),
    ],
    ids=str,
)
def test_memory_policies_that_are_refused(box: Box, policy: Patch, pointer: str) -> None:
    assert f"/linux/memoryPolicy{pointer}" in box.refused({"linux": {"memoryPolicy": policy}})


@pytest.mark.parametrize(("domain", "seen"), [("LINUX", os.uname().machine), ("LINUX32", "i686")])
def test_personality(box: Box, domain: str, seen: str) -> None:
    seen = "armv8l" if os.uname().machine == "aarch64" and domain == "LINUX32" else seen
    wanted = {"linux": {"personality": {"domain": domain, "flags": []}}}
    assert box.run(wanted, "uname", "-m").out == seen
    box.start(wanted, "sleep", "60")
    assert box.exec("uname", "-m").out == seen
    box.delete("--force")


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({}, "domain: is required"),
        ({"domain": "BSD"}, 'domain: unknown domain "BSD"'),
        ({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}, 'flags/0: "ADDR_NO_RANDOMIZE" is not supported'),
    ],
    ids=str,
)
def test_personalities_that_are_refused(box: Box, value: Patch, pointer: str) -> None:
    assert f"/linux/personality/{pointer}" in box.refused({"linux": {"personality": value}})
