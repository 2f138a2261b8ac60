# SPDX-License-Identifier: Apache-2.0
"""Statistics of cgroup v1 (Documentation/admin-guide/cgroup-v1); pressure is of a hybrid host's cgroup2 tree."""

from pyrunc.cgroups import stats

_TICK = 10**9 // 100  # nanoseconds: USER_HZ is 100 on every Linux

# (member, name of the file): the eight of CFQ and of BFQ with debugging, of which the last two are always there
_BLKIO = (
    ("sectorsRecursive", "sectors_recursive"),
    ("ioServiceTimeRecursive", "io_service_time_recursive"),
    ("ioWaitTimeRecursive", "io_wait_time_recursive"),
    ("ioMergedRecursive", "io_merged_recursive"),
    ("ioQueueRecursive", "io_queued_recursive"),
    ("ioTimeRecursive", "time_recursive"),
    ("ioServicedRecursive", "io_serviced_recursive"),
    ("ioServiceBytesRecursive", "io_service_bytes_recursive"),
)
_THROTTLE = (("ioServicedRecursive", "io_serviced"), ("ioServiceBytesRecursive", "io_service_bytes"))
# In the order of runc: the first group whose first file says something counts
_GROUPS = (
    ("blkio.bfq.", _BLKIO),
    ("blkio.bfq.", _BLKIO[-2:]),
    ("blkio.", _BLKIO),
    ("blkio.throttle.", _BLKIO[-2:]),
    ("blkio.throttle.", _THROTTLE),
)


def collect(paths: dict[str, str]) -> dict[str, object]:
    """See stats.collect; `paths` are those of Cgroup."""
    tree = paths.get("")
    return {
        "cpu": _cpu(paths) | stats.pressure(tree, "cpu.pressure"),
        "cpuset": stats.cpuset(paths.get("cpuset"), "cpuset.cpus", "cpuset.mems"),
        "memory": _memory(paths.get("memory")) | stats.pressure(tree, "memory.pressure"),
        "pids": stats.pids(paths.get("pids")),
        "blkio": blkio(paths.get("blkio")) | stats.pressure(tree, "io.pressure"),
        "hugetlb": _hugetlb(paths.get("hugetlb")),
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _cpu(paths: dict[str, str]) -> dict[str, object]:
    directory = paths.get("cpuacct")
    ticks = stats.table(directory, "cpuacct.stat")
    # cpu user system, a line for each
    rows = [line.split() for line in stats.text(directory, "cpuacct.usage_all").splitlines()[1:]]
    usage = stats.some(
        {
            "total": stats.number(directory, "cpuacct.usage"),
            "percpu": [int(word) for word in stats.text(directory, "cpuacct.usage_percpu").split()],
            "percpu_kernel": [int(row[2]) for row in rows if len(row) > 2],
            "percpu_user": [int(row[1]) for row in rows if len(row) > 2],
        }
    )
    usage |= {"kernel": ticks.get("system", 0) * _TICK, "user": ticks.get("user", 0) * _TICK}
    throttled = stats.table(paths.get("cpu"), "cpu.stat")
    names = (("periods", "nr_periods"), ("throttledPeriods", "nr_throttled"), ("throttledTime", "throttled_time"))
    throttling = stats.some({name: throttled.get(key, 0) for name, key in names})
    found: dict[str, object] = {}
    if any(usage.values()):
        found["usage"] = usage
    return found | stats.some({"throttling": throttling})


def _memory(directory: "str | None") -> dict[str, object]:
    raw = stats.table(directory, "memory.stat")
    entries = (("usage", ""), ("swap", "memsw."), ("kernel", "kmem."), ("kernelTCP", "kmem.tcp."))
    found: dict[str, object] = {"cache": raw.get("cache", 0)}
    for member, part in entries:
        found[member] = stats.memory_entry(
            limit=stats.number(directory, f"memory.{part}limit_in_bytes"),
            usage=stats.number(directory, f"memory.{part}usage_in_bytes"),
            most=stats.number(directory, f"memory.{part}max_usage_in_bytes"),
            failcnt=stats.number(directory, f"memory.{part}failcnt"),
        )
    return stats.some(found | {"raw": raw})


def blkio(directory: "str | None") -> dict[str, object]:
    """The members of Blkio that the first scheduler with statistics has."""
    for prefix, rows in _GROUPS:
        found: dict[str, object] = {}
        for member, name in rows:
            entries = blkio_entries(stats.text(directory, prefix + name))
            if not entries and member == rows[0][0]:
                break
            found[member] = entries
        else:
            return stats.some(found)
    return {}


def blkio_entries(content: str) -> list[dict[str, object]]:
    """Lines "8:0 Read 4096", or without the operation; those with totals are left out."""
    found = []
    for line in content.splitlines():
        fields = line.split()
        major, colon, minor = fields[0].partition(":") if fields else ("", "", "")
        if colon and len(fields) in {2, 3}:
            operation = fields[1] if len(fields) == 3 else ""
            members = {"major": int(major), "minor": int(minor), "op": operation, "value": int(fields[-1])}
            found.append(stats.some(members))
    return found


def _hugetlb(directory: "str | None") -> dict[str, object]:
    found: dict[str, object] = {}
    for size in stats.huge_pages(directory, ".usage_in_bytes"):
        # Reservations are what faults cannot exceed; counted since Linux 5.7
        prefix = f"hugetlb.{size}.rsvd" if stats.text(directory, f"hugetlb.{size}.rsvd.failcnt") else f"hugetlb.{size}"
        numbers = {
            "usage": stats.number(directory, f"{prefix}.usage_in_bytes"),
            "max": stats.number(directory, f"{prefix}.max_usage_in_bytes"),
        }
        found[size] = {**stats.some(dict(numbers)), "failcnt": stats.number(directory, f"{prefix}.failcnt")}
    return found
