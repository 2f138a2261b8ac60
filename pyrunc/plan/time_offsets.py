# SPDX-License-Identifier: Apache-2.0
"""linux.timeOffsets: config-linux.md#offset-for-time-namespace, time_namespaces(7)."""

from posix import O_WRONLY

from pyrunc.config.fields import Config
from pyrunc.linux.uapi import CLONE_NEWTIME, O_CLOEXEC, PR_SET_DUMPABLE
from pyrunc.plan.program import Op, Program

CLOCKS = ("monotonic", "boottime")
_SECONDS = 2**63
_NANOSECONDS_MAX = 10**9 - 1


def compile(config: Config, program: Program, proc: Op, *, foreign: bool) -> None:
    """Make the time namespace, give it its offsets, and enter it.

    Offsets can be given until the first process is in it, which clone3(2) with CLONE_NEWTIME would be at once; setns(2)
    takes the caller itself there. `foreign`: in a user namespace that is not the host's the file is the host root's,
    unless the process is dumpable (proc_pid(5)).
    """
    offsets = config.require("linux").require("timeOffsets")
    text = "".join(_line(config, clock) for clock in offsets.data)
    origin = offsets.pointer
    program.call("unshare", CLONE_NEWTIME, origin=origin)
    if foreign:
        program.call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0, origin=origin)
    fd = program.call("openat", proc, "self/timens_offsets", O_WRONLY | O_CLOEXEC, 0, origin=origin, to="offsets")
    if foreign:
        program.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0, origin=origin)
    raw = text.encode()
    program.call("write", fd, raw, len(raw), origin=origin)
    program.call("close", fd)
    made = program.call("openat", proc, "self/ns/time_for_children", O_CLOEXEC, 0, origin=origin, to="time_ns")
    program.call("setns", made, CLONE_NEWTIME, origin=origin)
    program.call("close", made)


def _line(config: Config, clock: str) -> str:
    offsets = config.require("linux").require("timeOffsets")
    if clock not in CLOCKS:
        raise offsets.refuse(clock, "there is no offset for such a clock: monotonic or boottime")
    offset = offsets.section(clock)
    if offset is None:
        return ""
    seconds = offset.integer("secs", -_SECONDS, _SECONDS - 1, 0)
    return f"{clock} {seconds} {offset.integer('nanosecs', 0, _NANOSECONDS_MAX, 0)}\n"
