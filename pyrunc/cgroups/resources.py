# SPDX-License-Identifier: Apache-2.0
"""linux.resources, but its device list: one row for each property, read by the drivers, by `features` and by refusals.

A row is (section, key, file of v1, file of v2, conversion). An empty file is a property that this version of cgroups
does not have: a value that asks for something is refused with its pointer (config-linux.md#unified). A conversion
yields the writes; the order of the rows is the order of writing.
"""

from pyrunc.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyrunc.config.fields import Section

    Conversion = Callable[[Section, str, str, bool], Iterable["Write"]]
    Row = tuple[str, str, str, str, Conversion]

_MAX64 = 2**64 - 1
_MAX63 = 2**63 - 1


class Write:
    """Values to be written to a cgroup. choices: (file, text) in order, the first file that is there takes its text.
    pointer: the field that asks. optional: no error where none of the files is there, as nothing limits then.
    """

    __slots__ = ("choices", "optional", "pointer")

    def __init__(self, pointer: str, *choices: tuple[str, str], optional: bool = False) -> None:
        self.pointer = pointer
        self.choices = choices
        self.optional = optional

    @property
    def controller(self) -> str:
        """The name before the dot of the first file."""
        return self.choices[0][0].partition(".")[0]


def number(low: int, high: int) -> "Conversion":
    """A plain number; 0 is written too."""

    def convert(section: "Section", key: str, file: str, _v2: bool) -> "Iterable[Write]":
        if section.has(key):
            yield Write(section.at(key), (file, str(section.integer(key, low, high))))

    return convert


def number_not_0(low: int, high: int) -> "Conversion":
    """A plain number; 0 is "not set", as engines write it that leave no field out."""

    def convert(section: "Section", key: str, file: str, _v2: bool) -> "Iterable[Write]":
        if value := section.integer(key, min(low, 0), high, 0):
            if value < low:
                raise section.refuse(key, f"{value} is out of range: {low} to {high}")
            yield Write(section.at(key), (file, str(value)))

    return convert


def limit(section: "Section", key: str, file: str, v2: bool) -> "Iterable[Write]":
    """Bytes; -1 is unlimited, 0 not set. Unlimited memory without a word on swap is unlimited swap, as runc has it."""
    if not (value := section.integer(key, -1, _MAX63, 0)):
        return
    free = key == "limit" and value == -1
    yield Write(section.at(key), (file, "max" if v2 and value == -1 else str(value)), optional=free)
    if free and not section.integer("swap", -1, _MAX63, 0):
        file, text = ("memory.swap.max", "max") if v2 else ("memory.memsw.limit_in_bytes", "-1")
        yield Write(section.at(key), (file, text), optional=True)


def swap(section: "Section", key: str, file: str, v2: bool) -> "Iterable[Write]":
    """Bytes of memory plus swap; v2 limits the swap alone. Without swap there is nothing to free or to forbid."""
    if not (value := section.integer(key, -1, _MAX63, 0)):
        return
    memory = section.integer("limit", -1, _MAX63, 0)
    text = str(value)
    if value == -1:
        text = "max" if v2 else "-1"
    elif memory > value:
        raise section.refuse(key, f"{value}, which is memory plus swap, is less than the memory limit {memory}")
    elif v2:
        if not memory:
            raise section.refuse(key, "needs a memory limit, from which the limit of swap alone follows")
        text = str(value if memory == -1 else value - memory)
    yield Write(section.at(key), (file, text), optional=text in ({"max", "0"} if v2 else {"-1"}))


def flag(section: "Section", key: str, file: str, _v2: bool) -> "Iterable[Write]":
    """1 for true; false is what the kernel does anyway."""
    if section.flag(key):
        yield Write(section.at(key), (file, "1"))


def read_by_update(section: "Section", key: str, _file: str, _v2: bool) -> "Iterable[Write]":
    """A switch for `update` on v2 (memory_room.py); v1 itself refuses a limit below the memory in use."""
    section.flag(key)
    return ()


def use_hierarchy(section: "Section", key: str, file: str, v2: bool) -> "Iterable[Write]":
    """v2, and v1 since Linux 5.11, always do."""
    if section.has(key) and not (section.flag(key) and v2):
        yield Write(section.at(key), (file, "1" if section.flag(key) else "0"))


def shares(section: "Section", key: str, file: str, v2: bool) -> "Iterable[Write]":
    """cpu.shares 2 to 262144, which the kernel clamps silently; a weight 1 to 10000 on v2."""
    if not (value := section.integer(key, 0, _MAX64, 0)):
        return
    if v2:
        yield Write(section.at(key), (file, str(weight_of_shares(value))))
    elif not 2 <= value <= 262144:
        raise section.refuse(key, f"{value} is out of range: 2 to 262144")
    else:
        yield Write(section.at(key), (file, str(value)))


def weight_of_shares(value: int) -> int:
    """10 ** ((l² + 125 l) / 612 - 7/34), l the binary logarithm, rounded up: it maps the least, the default and the
    greatest of shares (2, 1024, 262144) to those of weight (1, 100, 10000), as runc 1.3.2 and crun 1.23 do.
    """
    if value <= 2:
        return 1
    if value >= 262144:
        return 10000
    log = value.bit_length() - 1
    part, rest, bit = value / (1 << log), 0.0, 0.5
    while bit > 1e-16 and part != 1.0:
        part *= part
        if part >= 2.0:
            part /= 2.0
            rest += bit
        bit /= 2.0
    exponent = ((log + rest) ** 2 + 125 * (log + rest)) / 612.0 - 7.0 / 34.0
    return -int(-(10.0**exponent) // 1)


def quota(section: "Section", key: str, file: str, v2: bool) -> "Iterable[Write]":
    """Microseconds; below 0 unlimited, 0 not set. On v2 the period stands in the same file: this row writes both."""
    value = section.integer(key, -(2**63), _MAX63, 0)
    length = section.integer("period", 0, _MAX64, 0) if v2 else 0
    if not value and not length:
        return
    text = "max" if v2 and value <= 0 else str(max(value, -1))
    pointer = section.at(key if value else "period")
    yield Write(pointer, (file, f"{text} {length}" if length else text), optional=value < 0 and not length)


def period(section: "Section", key: str, file: str, v2: bool) -> "Iterable[Write]":
    """Microseconds; see quota for v2."""
    if not v2:
        yield from number_not_0(0, _MAX64)(section, key, file, v2)


def cpu_list(section: "Section", key: str, file: str, _v2: bool) -> "Iterable[Write]":
    """A list such as "0-3,7" (cpuset(7)); the empty one is not set."""
    if text := section.text(key, ""):
        if text.strip("0123456789,-:/"):
            raise section.refuse(key, f'"{text}" is not a list such as "0-3,7"')
        yield Write(section.at(key), (file, text))


def pids(section: "Section", key: str, file: str, _v2: bool) -> "Iterable[Write]":
    """Below 0 is unlimited. 0 is written as 1, as runc does: either way the first process cannot fork, but with 0 it
    could not be cloned into the cgroup (CLONE_INTO_CGROUP counts it).
    """
    if section.has(key):
        value = section.integer(key, -(2**63), _MAX63)
        yield Write(section.at(key), (file, "max" if value < 0 else str(value or 1)), optional=value < 0)


def weight(section: "Section", key: str, file: str, v2: bool) -> "Iterable[Write]":
    """10 to 1000, 0 not set. On v2 a number of BFQ as it is, else a weight 1 to 10000."""
    if value := section.integer(key, 0, 1000, 0):
        yield Write(section.at(key), *_weights(section, key, value, file, v2, ""))


def _weights(
    section: "Section", key: str, value: int, file: str, v2: bool, device: str
) -> "tuple[tuple[str, str], ...]":
    if value < 10:
        raise section.refuse(key, f"{value} is out of range: 10 to 1000")
    if not v2:
        return (file, f"{device}{value}"), (file.replace("blkio.weight", "blkio.bfq.weight"), f"{device}{value}")
    return (file.replace("io.", "io.bfq."), f"{device}{value}"), (file, f"{device}{1 + (value - 10) * 9999 // 990}")


def weight_device(section: "Section", key: str, file: str, v2: bool) -> "Iterable[Write]":
    """Weights of single devices; each entry has a weight or a leafWeight."""
    for entry in section.sections(key):
        device = _device(entry)
        value, leaf = entry.integer("weight", 0, 1000, 0), entry.integer("leafWeight", 0, 1000, 0)
        if not entry.has("weight") and not entry.has("leafWeight"):
            raise ConfigError("needs a weight or a leafWeight", entry.pointer)
        if value:
            yield Write(entry.at("weight"), *_weights(entry, "weight", value, file, v2, device))
        if leaf and v2:
            raise entry.refuse("leafWeight", "is of cgroup v1; cgroup v2 has nothing like it")
        if leaf:
            yield Write(entry.at("leafWeight"), ("blkio.leaf_weight_device", f"{device}{leaf}"))


def _device(entry: "Section") -> str:
    return f"{entry.integer('major', 0, _MAX63)}:{entry.integer('minor', 0, _MAX63)} "


def throttle(name: str) -> "Conversion":
    """Bytes or operations per second of single devices; on v2 under `name` in one file, where 0 is no value."""

    def convert(section: "Section", key: str, file: str, v2: bool) -> "Iterable[Write]":
        for entry in section.sections(key):
            rate = entry.integer("rate", 0, _MAX64)
            text = f"{name}={rate or 'max'}" if v2 else str(rate)
            yield Write(entry.pointer, (file, _device(entry) + text))

    return convert


def hugepages(section: "Section", key: str, file: str, _v2: bool) -> "Iterable[Write]":
    """Limits by page size: of pages in use, and of reserved ones where the kernel counts them (Linux 5.7)."""
    for entry in section.sections(key):
        size, value = entry.text("pageSize"), str(entry.integer("limit", 0, _MAX64))
        if size[-2:] not in {"KB", "MB", "GB"} or not (size[:-2].isascii() and size[:-2].isdigit()) or size[0] == "0":
            raise entry.refuse("pageSize", f'"{size}" is not a size such as "2MB" or "1GB"')
        yield Write(entry.at("pageSize"), (file.format(size), value))
        yield Write(entry.at("limit"), (file.format(f"{size}.rsvd"), value), optional=True)


def priorities(section: "Section", key: str, file: str, _v2: bool) -> "Iterable[Write]":
    """Priority of the packets to an interface."""
    for entry in section.sections(key):
        name, value = entry.text("name"), entry.integer("priority", 0, 2**32 - 1)
        if not name or not name.isprintable() or " " in name:
            raise entry.refuse("name", f'"{name}" is not the name of an interface')
        yield Write(entry.pointer, (file, f"{name} {value}"))


def rdma(section: "Section", key: str, file: str, _v2: bool) -> "Iterable[Write]":
    """Limits by device: handles, objects, or both."""
    devices = section.section(key)
    for name in devices.data if devices else ():
        entry = devices.require(name)  # type: ignore[union-attr]
        if not name or not name.isprintable() or " " in name:
            raise ConfigError(f'"{name}" is not the name of a device', entry.pointer)
        texts = [
            f"{word}={entry.integer(field, 0, 2**32 - 1)}"
            for field, word in (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object"))
            if entry.has(field)
        ]
        if not texts:
            raise ConfigError("needs hcaHandles or hcaObjects", entry.pointer)
        yield Write(entry.pointer, (file, " ".join((name, *texts))))


def unified(section: "Section", key: str, _file: str, _v2: bool) -> "Iterable[Write]":
    """Files of cgroup v2 and their values; each line of a value is a write of its own, as io.max needs it."""
    values = section.strings(key)
    for name, value in values.items():
        controller, dot, rest = name.partition(".")
        pointer = f"{section.at(key)}/{name.replace('~', '~0').replace('/', '~1')}"
        if not (controller and dot and rest) or "/" in name or not name.isprintable():
            raise ConfigError(f"the specified key has not the form CONTROLLER.VALUE `{name}`", pointer)
        for line in value.split("\n"):
            if line or "\n" not in value:
                yield Write(pointer, (name, line))


ROWS: "tuple[Row, ...]" = (
    ("pids", "limit", "pids.max", "pids.max", pids),
    ("memory", "limit", "memory.limit_in_bytes", "memory.max", limit),
    ("memory", "swap", "memory.memsw.limit_in_bytes", "memory.swap.max", swap),
    ("memory", "reservation", "memory.soft_limit_in_bytes", "memory.low", limit),
    ("memory", "kernelTCP", "memory.kmem.tcp.limit_in_bytes", "", limit),
    ("memory", "swappiness", "memory.swappiness", "", number(0, 100)),
    ("memory", "disableOOMKiller", "memory.oom_control", "", flag),
    ("memory", "useHierarchy", "memory.use_hierarchy", "", use_hierarchy),
    ("memory", "checkBeforeUpdate", "", "", read_by_update),
    ("blockIO", "weight", "blkio.weight", "io.weight", weight),
    ("blockIO", "leafWeight", "blkio.leaf_weight", "", number_not_0(10, 1000)),
    ("blockIO", "weightDevice", "blkio.weight_device", "io.weight", weight_device),
    ("blockIO", "throttleReadBpsDevice", "blkio.throttle.read_bps_device", "io.max", throttle("rbps")),
    ("blockIO", "throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "io.max", throttle("wbps")),
    ("blockIO", "throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "io.max", throttle("riops")),
    ("blockIO", "throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "io.max", throttle("wiops")),
    # An idle group takes no shares, so they come first; the real-time period comes before the runtime within it
    ("cpu", "shares", "cpu.shares", "cpu.weight", shares),
    ("cpu", "idle", "cpu.idle", "cpu.idle", number(0, 1)),
    ("cpu", "period", "cpu.cfs_period_us", "cpu.max", period),
    ("cpu", "quota", "cpu.cfs_quota_us", "cpu.max", quota),
    ("cpu", "burst", "cpu.cfs_burst_us", "cpu.max.burst", number(0, _MAX64)),
    ("cpu", "realtimePeriod", "cpu.rt_period_us", "", number_not_0(0, _MAX64)),
    ("cpu", "realtimeRuntime", "cpu.rt_runtime_us", "", number_not_0(-(2**63), _MAX63)),
    ("cpu", "cpus", "cpuset.cpus", "cpuset.cpus", cpu_list),
    ("cpu", "mems", "cpuset.mems", "cpuset.mems", cpu_list),
    ("", "hugepageLimits", "hugetlb.{}.limit_in_bytes", "hugetlb.{}.max", hugepages),
    ("network", "classID", "net_cls.classid", "", number_not_0(0, 2**32 - 1)),
    ("network", "priorities", "net_prio.ifpriomap", "", priorities),
    ("", "rdma", "rdma.max", "rdma.max", rdma),
    # Last, as what it says of a file counts more than what a property above says
    ("", "unified", "", "{}", unified),
)


def writes(resources: "Section | None", v2: bool) -> "list[Write]":
    """What linux.resources asks to be written, in order; ConfigError for a value or a property that cannot be."""
    found: list[Write] = []
    if resources is None:
        return found
    sections: dict[str, Section | None] = {"": resources}
    for name, key, file1, file2, convert in ROWS:
        if name in sections:
            section = sections[name]
        else:
            section = sections[name] = resources.section(name)
        if section is None or (section.data.get(key) is None and key != "quota"):
            continue
        file = file2 if v2 else file1
        asked = list(convert(section, key, file, v2))
        if asked and not file:
            versions = ("v1", "v2") if v2 else ("v2", "v1")
            raise section.refuse(key, f"is of cgroup {versions[0]}; cgroup {versions[1]} has nothing like it")
        found += asked
    return found


def warnings(resources: "Section | None") -> list[str]:
    """What is taken and not done: Linux 5.16 dropped the limit of kernel memory, and runc ignores it too."""
    memory = resources.section("memory") if resources else None
    if memory and memory.integer("kernel", -1, _MAX63, 0):
        return [f"{memory.at('kernel')}: ignored, as Linux limits kernel memory together with all memory"]
    return []
