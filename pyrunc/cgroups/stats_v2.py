# SPDX-License-Identifier: Apache-2.0
"""Statistics of cgroup2 (Documentation/admin-guide/cgroup-v2.rst)."""

from pyrunc.cgroups import stats

# Key of io.stat: (member, operation)
_IO = {
    "rbytes": ("ioServiceBytesRecursive", "Read"),
    "wbytes": ("ioServiceBytesRecursive", "Write"),
    "rios": ("ioServicedRecursive", "Read"),
    "wios": ("ioServicedRecursive", "Write"),
}


def collect(path: str) -> dict[str, object]:
    """See stats.collect."""
    return {
        "cpu": _cpu(path) | stats.pressure(path, "cpu.pressure"),
        "cpuset": stats.cpuset(path, "cpuset.cpus.effective", "cpuset.mems.effective"),
        "memory": _memory(path) | stats.pressure(path, "memory.pressure"),
        "pids": _pids(path),
        "blkio": blkio(stats.text(path, "io.stat")) | stats.pressure(path, "io.pressure"),
        "hugetlb": _hugetlb(path),
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _cpu(path: str) -> dict[str, object]:
    """cpu.stat counts in microseconds."""
    raw = stats.table(path, "cpu.stat")
    found: dict[str, object] = {}
    total, kernel, user = (raw.get(f"{name}_usec", 0) * 1000 for name in ("usage", "system", "user"))
    if total or kernel or user:
        found["usage"] = {**stats.some({"total": total}), "kernel": kernel, "user": user}
    throttling = stats.some(
        {
            "periods": raw.get("nr_periods", 0),
            "throttledPeriods": raw.get("nr_throttled", 0),
            "throttledTime": raw.get("throttled_usec", 0) * 1000,
        }
    )
    return found | stats.some({"throttling": throttling})


def _memory(path: str) -> dict[str, object]:
    """As with v1, "swap" is memory and swap together."""
    raw = stats.table(path, "memory.stat")
    usage, limit = stats.number(path, "memory.current"), stats.number(path, "memory.max")
    found: dict[str, object] = {
        "cache": raw.get("file", 0),
        "usage": stats.memory_entry(limit=limit, usage=usage, most=stats.number(path, "memory.peak")),
    }
    if stats.text(path, "memory.swap.current"):
        swap = stats.number(path, "memory.swap.max")
        both = stats.UNLIMITED if stats.UNLIMITED in (swap, limit) else swap + limit
        found["swap"] = stats.memory_entry(limit=both, usage=usage + stats.number(path, "memory.swap.current"))
    return stats.some(found | {"raw": raw})


def _pids(path: str) -> dict[str, object]:
    """Without the controller pids the processes are counted."""
    if not path or stats.text(path, "pids.current"):
        return stats.pids(path)
    return stats.some({"current": len(stats.text(path, "cgroup.procs").split())})


def blkio(content: str) -> dict[str, object]:
    """io.stat: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0"."""
    found: dict[str, list[dict[str, object]]] = {"ioServiceBytesRecursive": [], "ioServicedRecursive": []}
    for line in content.splitlines():
        device, *fields = line.split()
        major, colon, minor = device.partition(":")
        for field in fields if colon else ():
            key, _, value = field.partition("=")
            if key in _IO:
                member, operation = _IO[key]
                entry = {"major": int(major), "minor": int(minor), "op": operation, "value": int(value)}
                found[member].append(stats.some(dict(entry)))
    return stats.some(dict(found))


def _hugetlb(path: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for size in stats.huge_pages(path, ".current"):
        reserved = stats.text(path, f"hugetlb.{size}.rsvd.current")
        usage = int(reserved) if reserved else stats.number(path, f"hugetlb.{size}.current")
        found[size] = {
            **stats.some({"usage": usage}),
            "failcnt": stats.table(path, f"hugetlb.{size}.events").get("max", 0),
        }
    return found
