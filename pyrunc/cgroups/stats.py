# SPDX-License-Identifier: Apache-2.0
"""What a cgroup has used, in the shape of runc's types/events.go, which clients of `events` decode.

    cpu {usage {total percpu percpu_kernel percpu_user kernel user} throttling psi}, times in nanoseconds
    cpuset, memory {cache usage swap kernel kernelTCP raw psi} and hugetlb, in bytes
    pids {current limit}, blkio {ioServiceBytesRecursive … psi}, intel_rdt, network_interfaces

As in Go's omitempty, most members that are 0 or empty are left out. A file that is not there counts as 0: controllers
differ between hosts, and a cgroup may go while it is read.
"""

from pyrunc.cgroups import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.driver import Cgroup

UNLIMITED = 2**64 - 1

_CPUSET = (
    *("cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab"),
    *("memory_pressure", "sched_load_balance", "sched_relax_domain_level"),
)


def collect(cgroup: "Cgroup") -> dict[str, object]:
    """The statistics of a container's cgroup; all 0 without one."""
    if cgroup.mode in {"v1", "hybrid"}:
        from pyrunc.cgroups import stats_v1

        return stats_v1.collect(cgroup.paths)
    from pyrunc.cgroups import stats_v2

    return stats_v2.collect(cgroup.paths.get("", ""))


def text(directory: "str | None", name: str) -> str:
    """The file, stripped; "" where it cannot be read: missing, switched off (EOPNOTSUPP), or gone."""
    if not directory:
        return ""
    try:
        return files.read(f"{directory}/{name}").strip()
    except OSError:
        return ""


def number(directory: "str | None", name: str) -> int:
    """A file of one number; "max" is UNLIMITED, and what is no number 0."""
    word = text(directory, name)
    return UNLIMITED if word == "max" else _integer(word)


def table(directory: "str | None", name: str) -> dict[str, int]:
    """A file of lines "key number"."""
    lines = (line.partition(" ") for line in text(directory, name).splitlines())
    return {key: _integer(value) for key, _, value in lines}


def _integer(word: str) -> int:
    return int(word) if word.removeprefix("-").isdigit() else 0


def some(members: dict[str, object]) -> dict[str, object]:
    """Without those that are 0 or empty."""
    return {key: value for key, value in members.items() if value}


def memory_entry(*, limit: int, usage: int, most: int = 0, failcnt: int = 0) -> dict[str, object]:
    """A MemoryEntry; {} when all of it is 0."""
    if not (limit or usage or most or failcnt):
        return {}
    return {"limit": limit, **some({"usage": usage, "max": most}), "failcnt": failcnt}


def cpuset(directory: "str | None", cpus: str, mems: str) -> dict[str, object]:
    """A CPUSet; `cpus` and `mems` name the files of the lists. The flags are of v1."""
    exclusive, *others = ((name, number(directory, f"cpuset.{name}")) for name in _CPUSET)
    return {
        **some({"cpus": number_list(text(directory, cpus))}),
        **dict((exclusive,)),
        **some({"mems": number_list(text(directory, mems))}),
        **dict(others),
    }


def number_list(word: str) -> list[int]:
    """The numbers of a list such as "0-2,7" (cpuset(7))."""
    found: list[int] = []
    for part in word.split(",") if word else ():
        first, dash, last = part.partition("-")
        found += range(int(first), int(last if dash else first) + 1)
    return found


def pids(directory: "str | None") -> dict[str, object]:
    """Pids; without a limit 0."""
    limit = number(directory, "pids.max")
    return some({"current": number(directory, "pids.current"), "limit": 0 if limit == UNLIMITED else limit})


def pressure(directory: "str | None", name: str) -> dict[str, object]:
    """{"psi": PSIStats} of a file of Documentation/accounting/psi.rst; {} where the kernel has none."""
    content = text(directory, name)
    if not content:
        return {}
    found: dict[str, object] = {}
    for line in content.splitlines():
        kind, *fields = line.split()
        if kind in {"some", "full"}:
            values = dict(field.split("=", 1) for field in fields if "=" in field)
            averages = {key: float(values.get(key, "0")) for key in ("avg10", "avg60", "avg300")}
            total = int(values.get("total", "0"))
            if total or any(averages.values()):
                found[kind] = {**averages, "total": total}
    return {"psi": found}


def huge_pages(directory: "str | None", suffix: str) -> list[str]:
    """The sizes, such as "2MB", that the cgroup counts; `suffix` is that of a file which each of them has."""
    if not directory:
        return []
    import posix

    try:
        names = posix.listdir(directory)
    except OSError:
        return []
    sizes = {name[8:].partition(".")[0] for name in names if name.startswith("hugetlb.") and name.endswith(suffix)}
    return sorted(sizes)
