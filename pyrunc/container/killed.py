# SPDX-License-Identifier: Apache-2.0
"""What killed a process of pyrunc-init: mostly a memory limit; loaded when one is gone without a report."""

from pyrunc.cgroups import files
from pyrunc.errors import CgroupError, HostError, PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.driver import Cgroup

NEEDED = 512 << 10
"""Bytes of memory within which a small container is set up: a promise that tests/containers hold."""
_FILES = (("memory", "memory.limit_in_bytes"), ("", "memory.max"))
_LIMIT = "/linux/resources/memory/limit"


def killed(cgroup: "Cgroup", when: str, *, filtered: bool = False) -> PyruncError:
    """The error of a process that the kernel, or somebody, killed; `filtered`: a seccomp filter was there by then."""
    cause = f"the container's process was killed {when}"
    try:
        starved = cgroup.oom_kills() > 0
    except CgroupError:
        starved = False
    if not starved and filtered:
        return HostError(f"{cause}: the filter may kill what calls execve", "/linux/seccomp")
    if not starved:
        return HostError(cause)
    limit = _limit(cgroup)
    if not limit:
        return HostError(f"{cause}: no memory was left to it, by a limit above its own or of the host")
    return HostError(
        f"{cause}: out of memory: the limit is {limit} bytes, {NEEDED} are enough to set up a small one", _LIMIT
    )


def _limit(cgroup: "Cgroup") -> int:
    """The memory limit in bytes; 0 for none."""
    for name, file in _FILES:
        if name in cgroup.paths:
            try:
                value = files.read(f"{cgroup.paths[name]}/{file}").strip()
            except OSError:
                continue
            if value.isdigit() and int(value) < 1 << 60:
                return int(value)
    return 0
