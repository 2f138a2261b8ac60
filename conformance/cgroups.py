# SPDX-License-Identifier: Apache-2.0
"""linux.resources as the files of the container's cgroup show them, on cgroup v1 and on cgroup2."""

import functools
import pathlib
from typing import Any

from conformance import host
from conformance.box import Box
from conformance.patch import resources
from conformance.requirements import Failed, Skipped, case

ALL = "max"
MIB = 1 << 20
NO_LIMIT = 1 << 60
"""cgroup v1 writes "unlimited" as a number near 2**63, rounded down to a page."""


def folder_of(pid: int, controller: str) -> pathlib.Path:
    """The directory of a process's cgroup; controller "" is cgroup2."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            target, root = host.hierarchies()[controller]
            return pathlib.Path(target + path.removeprefix(root.rstrip("/")))
    raise Failed(f"the process is in no cgroup of {controller or 'cgroup2'}")


def read(box: Box, controller: str, name: str) -> str:
    """A file of the container's cgroup."""
    folder = folder_of(box.pid(), "" if host.is_v2() else controller)
    try:
        return (folder / name).read_text().strip()
    except FileNotFoundError:
        raise Skipped(f"no {name} in a cgroup ({host.cgroup_mode()})") from None


def weight(shares: int) -> set[str]:
    """The weights that stand for shares: the straight conversion, and the one of newer runtimes."""
    straight = 1 + (shares - 2) * 9999 // 262142
    import math

    curve = (math.log2(shares) ** 2 + 125 * math.log2(shares)) / 612 - 7 / 34
    return {str(straight), str(math.ceil(10**curve))}


Rows = tuple[tuple[str, str, dict[str, Any], str, str, object, str, object], ...]
ROWS: Rows = (
    # id, what, resources, controller, file of v1, value (or a set of them), file of v2, value
    (
        "236",
        "limit",
        {"memory": {"limit": 64 * MIB}},
        "memory",
        "memory.limit_in_bytes",
        64 * MIB,
        "memory.max",
        64 * MIB,
    ),
    (
        *("236", "reservation", {"memory": {"reservation": 32 * MIB}}, "memory"),
        *("memory.soft_limit_in_bytes", 32 * MIB, "memory.low", 32 * MIB),
    ),
    ("236", "unlimited", {"memory": {"limit": -1}}, "memory", "memory.limit_in_bytes", ALL, "memory.max", ALL),
    (
        *("237", "swap", {"memory": {"limit": 64 * MIB, "swap": 96 * MIB}}, "memory"),
        *("memory.memsw.limit_in_bytes", 96 * MIB, "memory.swap.max", 32 * MIB),
    ),
    ("238", "swappiness", {"memory": {"swappiness": 37}}, "memory", "memory.swappiness", 37, "", None),
    (
        "239",
        "oom",
        {"memory": {"disableOOMKiller": True}},
        "memory",
        "memory.oom_control",
        "oom_kill_disable 1",
        "",
        None,
    ),
    ("239", "hierarchy", {"memory": {"useHierarchy": True}}, "memory", "memory.use_hierarchy", 1, "", None),
    ("242", "shares", {"cpu": {"shares": 512}}, "cpu", "cpu.shares", 512, "cpu.weight", weight(512)),
    (
        "243",
        "quota",
        {"cpu": {"quota": 30000, "period": 90000}},
        "cpu",
        "cpu.cfs_quota_us",
        30000,
        "cpu.max",
        "30000 90000",
    ),
    (
        "243",
        "period",
        {"cpu": {"quota": 30000, "period": 90000}},
        "cpu",
        "cpu.cfs_period_us",
        90000,
        "cpu.max",
        "30000 90000",
    ),
    ("243", "no_quota", {"cpu": {"quota": -1, "period": 90000}}, "cpu", "cpu.cfs_quota_us", -1, "cpu.max", "max 90000"),
    (
        *("245", "burst", {"cpu": {"quota": 30000, "period": 90000, "burst": 20000}}, "cpu"),
        *("cpu.cfs_burst_us", 20000, "cpu.max.burst", 20000),
    ),
    (
        *("244", "burst_as_quota", {"cpu": {"quota": 30000, "period": 90000, "burst": 30000}}, "cpu"),
        *("cpu.cfs_burst_us", 30000, "cpu.max.burst", 30000),
    ),
    ("246", "cpus", {"cpu": {"cpus": "0"}}, "cpuset", "cpuset.cpus", 0, "cpuset.cpus", 0),
    ("246", "mems", {"cpu": {"mems": "0"}}, "cpuset", "cpuset.mems", 0, "cpuset.mems", 0),
    (
        *("247", "real_time", {"cpu": {"realtimePeriod": 900000, "realtimeRuntime": 9000}}, "cpu"),
        *("cpu.rt_runtime_us", 9000, "", None),
    ),
    (
        *("247", "real_time_period", {"cpu": {"realtimePeriod": 900000, "realtimeRuntime": 9000}}, "cpu"),
        *("cpu.rt_period_us", 900000, "", None),
    ),
    ("248", "idle", {"cpu": {"idle": 1}}, "cpu", "cpu.idle", 1, "cpu.idle", 1),
    ("259", "pids", {"pids": {"limit": 123}}, "pids", "pids.max", 123, "pids.max", 123),
    ("259", "pids_unlimited", {"pids": {"limit": -1}}, "pids", "pids.max", ALL, "pids.max", ALL),
    ("260", "pids_zero", {"pids": {"limit": 0}}, "pids", "pids.max", {"0", "1"}, "pids.max", {"0", "1"}),
    ("257", "class", {"network": {"classID": 1048577}}, "net_cls", "net_cls.classid", 1048577, "", None),
    (
        *("258", "priority", {"network": {"priorities": [{"name": "lo", "priority": 7}]}}, "net_prio"),
        *("net_prio.ifpriomap", "lo 7", "", None),
    ),
)


def same(text: str, expected: object) -> bool:
    """Whether a file says it: a number, a word, a line, or one of several."""
    if isinstance(expected, set):
        return text in expected
    if expected == ALL:
        return text == ALL or (text.isdecimal() and int(text) > NO_LIMIT)
    return text == str(expected) or str(expected) in text.splitlines()


def _show(box: Box, row: tuple[str, str, dict[str, Any], str, str, object, str, object]) -> None:
    number, _, patch, controller, v1, first, v2, second = row
    name, expected = (v2, second) if host.is_v2() else (v1, first)
    if not name:
        raise Skipped("this setting is of cgroup v1")
    word = host.missing(f"cgroup-file:{name}")
    if word:
        raise Skipped(word)
    box.create(resources(**patch), "true")
    found = read(box, controller, name)
    box.holds(f"SPEC-{number}", same(found, expected), f"{name} is {found!r}, expected {expected!r}")


for one in ROWS:
    case(f"SPEC-{one[0]}", needs=f"root cgroup:{one[3]}", name=one[1])(functools.partial(_show, row=one))


def block_devices() -> list[tuple[int, int]]:
    """Whole disks of this host."""
    found = []
    for path in sorted(pathlib.Path("/sys/block").glob("*/dev")):
        major, _, minor = path.read_text().strip().partition(":")
        if major not in {"1", "7"}:  # neither RAM disks nor loop devices
            found.append((int(major), int(minor)))
    return found


THROTTLE = (
    ("252", "throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"),
    ("252", "throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"),
    ("253", "throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"),
    ("253", "throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"),
)


def block_controller() -> str:
    word = "io" if host.is_v2() else "blkio"
    if reason := host.missing(f"cgroup:{word}"):
        raise Skipped(reason)
    return word


@case("SPEC-252", "SPEC-253", needs="root")
def throttle(box: Box) -> None:
    controller = block_controller()
    if not (disks := block_devices()):
        raise Skipped("no block device")
    major, minor = disks[0]
    rates = {key: 1_000_000 + 1000 * number for number, (_, key, _, _) in enumerate(THROTTLE)}
    patch = {key: [{"major": major, "minor": minor, "rate": rate}] for key, rate in rates.items()}
    box.create(resources(blockIO=patch), "true")
    for number, key, v1, v2 in THROTTLE:
        if host.is_v2():
            found = read(box, controller, "io.max")
            box.holds(f"SPEC-{number}", f"{v2}={rates[key]}" in found.split(), f"io.max is {found!r}")
        else:
            found = read(box, controller, v1)
            box.same(f"SPEC-{number}", found, f"{major}:{minor} {rates[key]}", v1)


@case("SPEC-249", "SPEC-250", "SPEC-251", needs="root")
def block_weight(box: Box) -> None:
    controller = block_controller()
    names = ("io.bfq.weight", "io.weight") if host.is_v2() else ("blkio.bfq.weight", "blkio.weight")
    here = [name for name in names if not host.missing(f"cgroup-file:{name}")]
    if not here:
        raise Skipped(f"no {' and no '.join(names)}: no scheduler of block devices has weights")
    box.create(resources(blockIO={"weight": 300}), "true")
    found = {name: read(box, controller, name).split("\n")[0].split()[-1] for name in here}
    # io.weight is 1 to 10000 where weight is 10 to 1000
    right = {"300", str(1 + (300 - 10) * 9999 // 990)}
    box.holds("SPEC-249", set(found.values()) & right, f"{found}")
    box.clean()
    weighed = [path for path in pathlib.Path("/sys/block").glob("*/queue/scheduler") if "[bfq]" in path.read_text()]
    if not weighed:
        raise Skipped("no block device has the scheduler bfq")
    major, minor = map(int, (weighed[0].parents[1] / "dev").read_text().split(":"))
    box.create(resources(blockIO={"weightDevice": [{"major": major, "minor": minor, "weight": 200}]}), "true")
    for id in ("SPEC-250", "SPEC-251"):
        texts = [read(box, controller, f"{name}{'' if host.is_v2() else '_device'}") for name in here]
        box.holds(id, any(f"{major}:{minor} 200" in text for text in texts), f"{texts}")


def page_sizes() -> list[str]:
    """The huge pages of this kernel, as hugepageLimits and the cgroup's files call them: 2MB."""
    sizes = []
    for path in pathlib.Path("/sys/kernel/mm/hugepages").glob("hugepages-*kB"):
        kib = int(path.name.removeprefix("hugepages-").removesuffix("kB"))
        sizes.append(f"{kib}KB" if kib < 1024 else f"{kib >> 10}MB" if kib < 1 << 20 else f"{kib >> 20}GB")
    return sorted(sizes)


@case("SPEC-254", "SPEC-255", "SPEC-256", needs="root cgroup:hugetlb")
def huge_pages(box: Box) -> None:
    if not (sizes := page_sizes()):
        raise Skipped("this kernel has no huge pages")
    size, limit = sizes[0], 1 << 30
    box.create(resources(hugepageLimits=[{"pageSize": size, "limit": limit}]), "true")
    ending = "max" if host.is_v2() else "limit_in_bytes"
    reserved = f"hugetlb.{size}.rsvd.{ending}"
    name = f"hugetlb.{size}.{ending}" if host.missing(f"cgroup-file:{reserved}") else reserved
    for id in ("SPEC-254", "SPEC-255"):
        values = [read(box, "hugetlb", one) for one in {name, f"hugetlb.{size}.{ending}"}]
        box.holds(id, str(limit) in values, f"limits of {size} are {values}")
    box.same("SPEC-256", read(box, "hugetlb", name), str(limit), name)


@case("SPEC-240", "SPEC-241", needs="root cgroup:memory")
def check_before_update(box: Box) -> None:
    """A limit that is less than what is used already, by `update`, which is no operation of the specification."""
    box.start(
        resources(memory={"limit": 128 * MIB}),
        "dd if=/dev/zero of=/dev/shm-fill bs=1M count=24 2>/dev/null; echo ok; sleep 600",
    )
    from conformance.lifecycle import await_output

    await_output(box, "ok")
    update = box.folder / "update.json"
    update.write_text('{"memory": {"limit": 4194304, "checkBeforeUpdate": true}}')
    result = box.call("update", "--resources", update, box.id)
    alive = box.state().get("status") == "running"
    now = read(box, "memory", "memory.max" if host.is_v2() else "memory.limit_in_bytes") if alive else "?"
    box.holds("SPEC-240", result.status != 0 and alive, f"{result.why}; running: {alive}; the limit is {now}")
    box.holds("SPEC-241", result.status != 0 and alive, f"{result.why}; running: {alive}; the limit is {now}")
