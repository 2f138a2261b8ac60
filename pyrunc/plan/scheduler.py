# SPDX-License-Identifier: Apache-2.0
"""process.scheduler and process.ioPriority: config.md#linux-process, sched_setattr(2), ioprio_set(2).

A higher priority is a right of the initial user namespace, which a process in another one has left: there the runtime
makes the calls from outside (`outside`), when the program has reached the point READY.
"""

from _struct import pack

from pyrunc.config.fields import Config, Section
from pyrunc.config.namespaces import paths
from pyrunc.errors import ConfigError
from pyrunc.linux.host import Host
from pyrunc.linux.scheduling import IO_CLASSES, IOPRIO_CLASS_SHIFT, IOPRIO_WHO_PROCESS, POLICIES, SCHED_FLAGS
from pyrunc.plan.program import Program, Struct

_ATTR = "2IQiI3Q2I"
"""struct sched_attr: size policy flags nice priority runtime deadline period util_min util_max."""
_ATTR_SIZE = 56
_INT32 = 2**31
_UINT64_MAX = 2**64 - 1
_DEADLINE = ("runtime", "deadline", "period")
_DEADLINE_MIN, _DEADLINE_END = 1 << 10, 1 << 63
"""Nanoseconds (sched(7))."""
_DEADLINE_CALL = "sched_setattr: `SCHED_DEADLINE`"


def compile(config: Config, host: Host, program: Program) -> None:
    """Set both on the process itself, while it has its rights."""
    if outside_needed(config, host):
        outside(config, host)  # a value that cannot be is refused now
        return
    process = config.require("process")
    scheduler, priority = process.section("scheduler"), process.section("ioPriority")
    if scheduler is not None:
        values = _attributes(scheduler)
        struct = Struct(_ATTR, *values, text=_text(scheduler))
        program.call("sched_setattr", 0, struct, 0, origin=scheduler.pointer)
    if priority is not None:
        value = _io_priority(priority)
        program.call("ioprio_set", IOPRIO_WHO_PROCESS, 0, value, origin=priority.pointer)


def outside_needed(config: Config, host: Host) -> bool:
    """Whether the process leaves the user namespace whose rights count."""
    return not host.rootless and "user" in paths(config)


def outside(config: Config, host: Host) -> list[tuple[str, bytes, int, str]]:
    """What the program leaves to the runtime: the call, its struct (b"" without) or number, and the pointer."""
    process = config.section("process")
    found: list[tuple[str, bytes, int, str]] = []
    if process is None or not outside_needed(config, host):
        return found
    scheduler, priority = process.section("scheduler"), process.section("ioPriority")
    if scheduler is not None:
        found.append(("sched_setattr", pack("=" + _ATTR, *_attributes(scheduler)), 0, scheduler.pointer))
    if priority is not None:
        found.append(("ioprio_set", b"", _io_priority(priority), priority.pointer))
    return found


def _attributes(scheduler: Section) -> tuple[int, ...]:
    """The values of struct sched_attr; what the policy has no use for is refused, as runc does."""
    name = scheduler.text("policy")
    policy = POLICIES.get(name)
    if policy is None:
        raise scheduler.refuse("policy", f'unknown scheduling policy "{name}"')
    nice = scheduler.integer("nice", -20, 19, 0)
    priority = scheduler.integer("priority", -_INT32, _INT32 - 1, 0)
    if priority and name not in ("SCHED_FIFO", "SCHED_RR"):
        raise scheduler.refuse("priority", "is of SCHED_FIFO and SCHED_RR only")
    if priority < 0:
        raise scheduler.refuse("priority", f"{priority} is out of range: 1 to 99")
    times = [scheduler.integer(key, 0, _UINT64_MAX, 0) for key in _DEADLINE]
    for key, value in zip(_DEADLINE, times, strict=True):
        if value and name != "SCHED_DEADLINE":
            raise scheduler.refuse(key, "is of SCHED_DEADLINE only")
    if name == "SCHED_DEADLINE":
        _check_deadline(scheduler)
    bits = 0
    for index, flag in enumerate(scheduler.texts("flags")):
        if flag not in SCHED_FLAGS:
            raise ConfigError(f'unknown flag "{flag}"', f"{scheduler.at('flags')}/{index}")
        bits |= SCHED_FLAGS[flag]
    return (_ATTR_SIZE, policy, bits, nice, priority, *times, 0, 0)


def _check_deadline(scheduler: Section) -> None:
    """What the kernel refuses without a word (__checkparam_dl in kernel/sched/deadline.c); the texts are crun's."""
    for key in ("runtime", "deadline"):
        if not scheduler.has(key):
            raise scheduler.refuse(key, f"{_DEADLINE_CALL} requires `{key}`")
        if not scheduler.integer(key, 0, _UINT64_MAX):
            raise scheduler.refuse(key, f"{_DEADLINE_CALL} {key} must be greater than 0")
    times = [(key, value) for key in _DEADLINE if (value := scheduler.integer(key, 0, _UINT64_MAX, 0))]
    for place, (longer, most) in enumerate(times[1:]):
        key, value = times[place]
        if value > most:
            raise scheduler.refuse(key, f"{_DEADLINE_CALL} {key} ({value}) must be <= {longer} ({most})")
    for key, value in times:
        if not _DEADLINE_MIN <= value < _DEADLINE_END:
            bounds = f"between {_DEADLINE_MIN} and {_DEADLINE_END - 1}"
            raise scheduler.refuse(key, f"{_DEADLINE_CALL} {key} ({value}) must be {bounds}")


def _text(scheduler: Section) -> str:
    """The policy and what differs from 0, for a listing."""
    keys = ("nice", "priority", *_DEADLINE)
    numbers = [f"{key}={scheduler.data[key]}" for key in keys if scheduler.data.get(key)]
    return ", ".join([scheduler.text("policy"), *numbers, *scheduler.texts("flags")])


def _io_priority(priority: Section) -> int:
    name = priority.text("class")
    if name not in IO_CLASSES:
        raise priority.refuse("class", f'unknown I/O scheduling class "{name}"')
    # The idle class has no levels (ioprio_set(2)), so who writes it leaves the level out; runc and crun take that as 0.
    idle = name == "IOPRIO_CLASS_IDLE" and not priority.has("priority")
    return IO_CLASSES[name] << IOPRIO_CLASS_SHIFT | (0 if idle else priority.integer("priority", 0, 7))
