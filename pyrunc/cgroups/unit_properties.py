# SPDX-License-Identifier: Apache-2.0
"""Limits and annotations as properties of a unit of systemd (systemd.resource-control(5)): (name, (signature, value)).

The kernel's files are written too, and have the last word; the properties are what systemd writes when it goes over the
unit again (daemon-reload, a change by others), so they follow from the very writes that the files get.
"""

from pyrunc.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.resources import Write
    from pyrunc.config.fields import Config
    from pyrunc.plan.device_filter import Rule

    Property = tuple[str, tuple[str, object]]

PREFIX = "org.systemd.property."
INFINITY = 2**64 - 1
_PERIOD = 100000  # microseconds: the kernel's default
_CPUS = 8192  # the most that Linux can be built for (NR_CPUS)
_UNITS = {"K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}

_V2 = {
    "memory.max": "MemoryMax",
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "memory.zswap.max": "MemoryZSwapMax",
    "pids.max": "TasksMax",
    "cpu.weight": "CPUWeight",
    "io.weight": "IOWeight",
}
_V1 = {
    "memory.limit_in_bytes": "MemoryLimit",
    "pids.max": "TasksMax",
    "cpu.shares": "CPUShares",
    "blkio.weight": "BlockIOWeight",
}
_SETS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}


def of_limits(asked: "list[Write]", v2: bool, *, start: bool) -> "list[Property]":
    """The properties of what the files get; a later write counts more. What systemd has no property for is left out.

    `start`: also those that systemd takes only while it makes the unit.
    """
    values: dict[str, str] = {}
    for write in asked:
        for file, text in write.choices:
            if " " not in text.strip() or file == "cpu.max":
                values[file] = text.strip()
    found: list[Property] = []
    for file, name in (_V2 if v2 else _V1).items():
        number = _number(values.get(file, ""))
        if number is not None:
            found.append((name, ("t", max(number, 1) if name == "TasksMax" else number)))
    for file, name in _SETS.items() if v2 else ():
        mask = _mask(values.get(file, ""))
        if mask:
            found.append((name, ("ay", mask)))
    found += _quota(values, v2)
    if v2 and values.get("cpu.idle") == "1":
        # A weight of 0 is the idle policy (systemd 252), under which the weight itself counts for nothing
        found = [row for row in found if row[0] != "CPUWeight"] + [("CPUWeight", ("t", 0))]
    if start and values.get("memory.oom.group") in {"0", "1"}:
        found.append(("OOMPolicy", ("s", "kill" if values["memory.oom.group"] == "1" else "continue")))
    return found


def _number(text: str) -> "int | None":
    if text in {"max", "-1"}:
        return INFINITY
    shift = _UNITS.get(text[-1:].upper(), 0)
    digits = text[:-1] if shift else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    return min(int(digits) << shift, INFINITY)


def _mask(text: str) -> bytes:
    """The bits of a list such as "0-2,7", lowest first; b"" for one that the kernel is left to judge."""
    bits = 0
    for part in text.split(",") if text else ():
        first, dash, last = part.strip().partition("-")
        if not (first.isdigit() and (last.isdigit() if dash else True)):
            return b""
        low, high = int(first), int(last or first)
        if high >= _CPUS or low > high:
            return b""
        bits |= (1 << (high + 1)) - (1 << low)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def _quota(values: dict[str, str], v2: bool) -> "list[Property]":
    """CPUQuotaPerSecUSec in whole percents, rounded up as runc does it: systemd keeps no fraction over a reload, and a
    limit that it rounded down would starve the container. The file has the exact quota.
    """
    if v2:
        quota, _, period = values.get("cpu.max", "").partition(" ")
    else:
        quota, period = values.get("cpu.cfs_quota_us", ""), values.get("cpu.cfs_period_us", "")
    if not quota and not period:
        return []
    length = int(period) if period.strip().isdigit() else 0
    found: list[Property] = [("CPUQuotaPeriodUSec", ("t", length))] if length else []
    per_second = INFINITY
    if quota.isdigit():
        per_second = -(-int(quota) * 1000000 // (length or _PERIOD) // 10000) * 10000
    return [*found, ("CPUQuotaPerSecUSec", ("t", min(max(per_second, 10000), INFINITY)))]


def of_devices(default: bool, rules: "list[Rule]", v2: bool) -> "list[Property]":
    """DevicePolicy and DeviceAllow of the rules that follow a default.

    On v2 the container's own filter stands beside systemd's, and both must allow: what systemd cannot say, it is to
    leave to that filter. On v1 there is one list, which systemd writes anew at times: there a rule that it cannot say
    is left out, and a list of denials becomes "nothing", as with runc; in either case the right list is written after.
    """
    open_all: list[Property] = [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    if default and not rules:
        return open_all
    entries = None if default else _entries(rules, v2)
    if entries is None:
        if v2:
            return open_all
        entries = []
    clear: Property = ("DeviceAllow", ("a(ss)", []))  # one that has entries adds to those that are there
    found: list[Property] = [("DevicePolicy", ("s", "strict")), clear]
    return [*found, ("DeviceAllow", ("a(ss)", entries))] if entries else found


def _entries(rules: "list[Rule]", v2: bool) -> "list[tuple[str, str]] | None":
    from pyrunc.plan import device_filter

    try:
        allowed = device_filter.final(False, rules)[1]
    except ConfigError:
        return None
    entries = []
    for rule in allowed:
        _, numbers, access = device_filter.text(rule).split()
        kind = "block" if rule.type == "b" else "char"
        if rule.major == device_filter.ALL and rule.minor != device_filter.ALL:
            if v2:
                return None
            continue
        if rule.minor == device_filter.ALL:
            path = f"{kind}-{'*' if rule.major == device_filter.ALL else rule.major}"
        else:
            path = f"/dev/{kind}/{numbers}"
        entries.append((path, access))
    return entries


def of_annotations(config: "Config") -> "list[Property]":
    """The annotations org.systemd.property.NAME, read as runc reads them: NAME is letters only, at least three, and one
    in seconds ("TimeoutStopSec") becomes the one in microseconds that D-Bus has. ConfigError names the annotation.
    """
    found: list[Property] = []
    annotations = config.strings("annotations")
    for key, text in annotations.items():
        name = key.removeprefix(PREFIX)
        if name == key:
            continue
        from pyrunc.cgroups import gvariant

        pointer = f"/annotations/{key.replace('~', '~0').replace('/', '~1')}"
        if len(name) < 3 or not (name.isascii() and name.isalpha()):
            raise ConfigError(f'"{name}" is not the name of a property: letters only, and three at least', pointer)
        try:
            kind, value = gvariant.parse(text)
            if name.endswith("Sec") and name[-4:-3].islower():
                name, kind, value = f"{name[:-3]}USec", "t", _microseconds(value)
        except ValueError as error:
            raise ConfigError(f"value parse error: {error}", pointer) from error
        found.append((name, (kind, value)))
    return found


def _microseconds(value: object) -> int:
    if type(value) not in {int, float}:
        raise ValueError("not a number")
    number = int(value * 1000000)  # type: ignore[operator]
    if not 0 <= number <= INFINITY:
        raise ValueError(f"{value} is out of range for seconds")
    return number
