# SPDX-License-Identifier: Apache-2.0
"""process.scheduler, process.ioPriority and process.execCPUAffinity."""

import contextlib
import json
import os
import subprocess
from typing import Any

from conformance import host
from conformance.box import Box
from conformance.cgroups import folder_of
from conformance.patch import combine, process, resources
from conformance.requirements import Failed, case, refusal

POLICIES = {"SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_IDLE": 5, "SCHED_DEADLINE": 6}
CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}


def guest(box: Box, patch: dict[str, Any], *words: str) -> Any:
    """What the guest program answers."""
    text = "\n".join(box.lines(patch, "/bin/guest", *words))
    try:
        return json.loads(text)
    except ValueError:
        raise Failed(f"the guest program did not come to its end: {text[-60:]!r}") from None


def scheduler(policy: str, **fields: object) -> dict[str, Any]:
    return process(scheduler={"policy": policy, **fields})


@case("SPEC-117", "SPEC-118", needs="guest")
def ordinary_policies(box: Box) -> None:
    """These need no privilege; what is not set is 0. The kernel gives SCHED_IDLE no nice: it has that of the caller."""
    for policy, nice in (("SCHED_OTHER", 5), ("SCHED_BATCH", 7), ("SCHED_BATCH", None), ("SCHED_IDLE", None)):
        if policy == "SCHED_IDLE" and os.getpriority(os.PRIO_PROCESS, 0) != 0:
            continue
        fields = {} if nice is None else {"nice": nice}
        found = guest(box, scheduler(policy, **fields), "sched")["sched"]
        box.same("SPEC-117", found[0], POLICIES[policy], policy)
        box.same("SPEC-118", found[2:4], [nice or 0, 0], f"nice and priority of {policy}")


@case("SPEC-117", "SPEC-118", needs="guest root cap:CAP_SYS_NICE")
def realtime_policies(box: Box) -> None:
    # Where real time is rationed by cgroup v1, a container has none but what it is given
    rationed = os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")
    budget = {"cpu": {"realtimePeriod": 1_000_000, "realtimeRuntime": 10_000}} if rationed else {}
    for policy in ("SCHED_FIFO", "SCHED_RR"):
        patch = combine(scheduler(policy, priority=12), resources(**budget))
        found = guest(box, patch, "sched")["sched"]
        box.same("SPEC-117", found[0], POLICIES[policy], policy)
        box.same("SPEC-118", found[3], 12, f"priority of {policy}")
    times = {"runtime": 10_000_000, "deadline": 20_000_000, "period": 50_000_000}
    found = guest(box, scheduler("SCHED_DEADLINE", **times), "sched")["sched"]
    box.same("SPEC-117", found[0], 6, "SCHED_DEADLINE")
    box.same("SPEC-118", found[4:7], list(times.values()), "runtime, deadline, period")


@case("SPEC-119", needs="guest")
def flags(box: Box) -> None:
    found = guest(box, scheduler("SCHED_BATCH", flags=["SCHED_FLAG_RESET_ON_FORK"]), "sched")["sched"]
    box.same("SPEC-119", found[:2], [3, 1], "policy and flags")


FINE = scheduler("SCHED_OTHER")
refusal("SPEC-117", process(scheduler={"nice": 5}), FINE)
refusal("SPEC-117", scheduler("SCHED_CONFORMANCE"), FINE)
refusal("SPEC-117", scheduler("SCHED_FIFO", priority=100), FINE)
refusal("SPEC-119", scheduler("SCHED_OTHER", flags=["SCHED_FLAG_CONFORMANCE"]), FINE)


@case("SPEC-121", "SPEC-122", needs="guest")
def io_priority(box: Box) -> None:
    for name, priority in (("IOPRIO_CLASS_BE", 0), ("IOPRIO_CLASS_BE", 7), ("IOPRIO_CLASS_IDLE", 0)):
        patch = process(ioPriority={"class": name, "priority": priority})
        found = guest(box, patch, "ioprio")["ioprio"]
        box.same("SPEC-121", found >> 13, CLASSES[name], name)
        box.same("SPEC-122", found & 7, priority, f"priority of {name}")


@case("SPEC-121", needs="guest root cap:CAP_SYS_NICE")
def realtime_io_priority(box: Box) -> None:
    found = guest(box, process(ioPriority={"class": "IOPRIO_CLASS_RT", "priority": 3}), "ioprio")["ioprio"]
    box.same("SPEC-121", found, 1 << 13 | 3, "IOPRIO_CLASS_RT")


IO = process(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 4})
refusal("SPEC-121", process(ioPriority={"class": "IOPRIO_CLASS_CONFORMANCE", "priority": 4}), IO)
refusal("SPEC-121", process(ioPriority={"priority": 4}), IO)
refusal("SPEC-122", process(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 8}), IO)
refusal("SPEC-122", process(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": -1}), IO)


@case("SPEC-123", "SPEC-124", "SPEC-125", "SPEC-126", needs="cpus")
def exec_affinity(box: Box) -> None:
    """The last processor for exec, all of them for init; `exec` is no operation of the spec, but its setting is."""
    cpus = sorted(os.sched_getaffinity(0))
    last, every = str(cpus[-1]), ",".join(map(str, cpus))
    rows = (
        ("SPEC-124", {"initial": last}, None),
        ("SPEC-125", {"initial": every, "final": last}, [cpus[-1]]),
        ("SPEC-125", {"final": last}, [cpus[-1]]),
        ("SPEC-126", {"initial": last, "final": ""}, None),
    )
    for id, value, expected in rows:
        box.start(process(execCPUAffinity=value), "grep Cpus_allowed_list /proc/$$/status; sleep 600")
        own = _allowed(box.output()) if _await(box) else []
        left = _moved(box, {cpus[-1]})
        words = ("grep", "Cpus_allowed_list", "/proc/self/status")
        found = _allowed(box.succeed("exec", box.id, *words).out)
        box.same("SPEC-123", own, cpus, f"of init with {value}")
        if expected is None:
            box.same(id, found, left, f"with {value}")
        else:
            box.same(id, found, expected, f"with {value}")
        box.kill()
        box.delete()


def _moved(box: Box, affinity: set[int]) -> list[int]:
    """What the kernel leaves of an affinity when a process with it moves to the container's cgroups."""
    pid = box.pid()
    child = subprocess.Popen([str(box.kit.busybox), "sleep", "600"])
    box.companions.append(child.pid)
    try:
        os.sched_setaffinity(child.pid, affinity)
        for controller in host.hierarchies():
            with contextlib.suppress(OSError, Failed):
                (folder_of(pid, controller) / "cgroup.procs").write_text(str(child.pid))
        return sorted(os.sched_getaffinity(child.pid))
    finally:
        child.kill()
        child.wait()
        box.companions.remove(child.pid)


def _await(box: Box) -> bool:
    from conformance.lifecycle import await_output

    await_output(box, "\n")
    return True


def _allowed(text: str) -> list[int]:
    """The processors of a list such as "0-1,3"."""
    numbers: list[int] = []
    for part in text.rsplit(maxsplit=1)[-1].split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


refusal("SPEC-124", process(execCPUAffinity={"initial": "many"}), process(execCPUAffinity={"initial": "0"}))
refusal("SPEC-125", process(execCPUAffinity={"final": "0-"}), process(execCPUAffinity={"final": "0"}))
