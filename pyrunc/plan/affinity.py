# SPDX-License-Identifier: Apache-2.0
"""process.execCPUAffinity: config.md#linux-process, sched_setaffinity(2). Of `exec`, never of the first process."""

from pyrunc.config.fields import Section
from pyrunc.config.number_list import bits, mask
from pyrunc.linux.scheduling import CPU_MAX
from pyrunc.plan.program import Program


def initial(process: Section, program: Program) -> None:
    """The CPUs before the process is in the container's cgroup, whose cpuset may then narrow them."""
    _set(process, "initial", program)


def final(process: Section, program: Program) -> None:
    """The CPUs from the move into the cgroup on; without it they are what the kernel makes of the move."""
    _set(process, "final", program)


def _set(process: Section, key: str, program: Program) -> None:
    affinity = process.require("execCPUAffinity")
    cpus = bits(affinity, key, CPU_MAX)
    if cpus:
        raw = mask(cpus)
        program.call("sched_setaffinity", 0, len(raw), raw, origin=affinity.at(key))
