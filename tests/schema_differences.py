# SPDX-License-Identifier: Apache-2.0
"""Where the judges of test_schema_agreement.py differ on purpose: one row for each reason.

A row: who accepts, the pointers (a regular expression; `-` is any entry, `*` any name), and of which values it speaks.
"""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

OFFICIAL, OURS, READER = "official schema", "our schema", "reader"


class Row:
    def __init__(
        self, accepted_by: set[str], pointers: str, reason: str, values: "Callable[[Any], bool]" = lambda _: True
    ) -> None:
        self.accepted_by = frozenset(accepted_by)
        self.pointers = re.compile(pointers)
        self.reason = reason
        self.values = values

    def fits(self, pointer: str, value: Any, accepted: frozenset[str]) -> bool:
        """Whether it explains that these judges accept this value there."""
        return accepted == self.accepted_by and bool(self.pointers.fullmatch(pointer)) and self.values(value)


HOOK = "/hooks/[a-zA-Z]+/-"
MAPPING = "(/mounts/-|/linux)/[ug]idMappings"
LIMITS = "/linux/resources"


def text(reason: str, pointers: str) -> Row:
    """The text of the specification says more than its schema: we both refuse."""
    return Row({OFFICIAL}, pointers, reason)


def fields(reason: str, pointers: str) -> Row:
    """What no schema can say, as another field, or the host, decides; that 2^32-1 is no id is no such thing."""
    return Row({OFFICIAL, OURS}, pointers, reason, lambda value: value != 2**32 - 1)


def is_whole_float(value: Any) -> bool:
    return isinstance(value, float) and value == int(value)


DIFFERENCES = {
    # How values are written
    "null": Row({READER}, ".*", "Go writes what is not set as null", lambda value: value is None),
    "whole floats": Row({OURS}, ".*", "1.0 is an integer to JSON Schema 2020-12; Go refuses it", is_whole_float),
    # The text says more than the official schema
    "version": text("SPEC-005: SemVer 2.0.0", "/ociVersion"),
    "major version": fields("SPEC-006: another major version is another specification", "/ociVersion"),
    "root": text("SPEC-007, SPEC-008: required on Linux, and not empty", "/root(/path)?"),
    "absolute paths": text(
        "SPEC-097, SPEC-134, SPEC-182, SPEC-194, SPEC-316, SPEC-318: an absolute path",
        f"/process/cwd|{HOOK}/path|/linux/(namespaces|devices)/-/path|/linux/(masked|readonly)Paths/-",
    ),
    "command": text("SPEC-099: at least one entry", "/process/args|/process"),
    "environment": text("SPEC-098: as environ(7) has it, NAME=VALUE", f"(/process|{HOOK})/env(/-)?"),
    "user": text("SPEC-127, SPEC-128: uid and gid are required", "/process/user(/[ug]id)?"),
    "no id": text(
        "2^32-1 is -1, no id, to chown(2) and setresuid(2)", ".*/([ug]id|additionalGids(/-)?|(container|host)ID)"
    ),
    "umask": text("SPEC-129: umask(2) takes 9 bits", "/process/user/umask"),
    "terminal": text("SPEC-095: TIOCGWINSZ has 16 bits", "/process/consoleSize/(height|width)"),
    "rlimits": text("SPEC-101: the names of getrlimit(2)", "/process/rlimits/-/type"),
    "score": text("SPEC-115: -1000 to 1000", "/process/oomScoreAdj"),
    "scheduler": text("SPEC-118: the ranges of sched_setattr(2)", "/process/scheduler/(nice|priority)"),
    "I/O priority": text("SPEC-122: required, 0 to 7", "/process/ioPriority(/priority)?"),
    "lists": text(
        "SPEC-124, SPEC-289: a list as of cpuset(7)",
        "/process/execCPUAffinity/(initial|final)|/linux/memoryPolicy/nodes",
    ),
    "destination": text("SPEC-013: required, and not empty", "/mounts/-/destination"),
    "hook's timeout": text("SPEC-137: seconds of 32 bits, more than 60 years", f"{HOOK}/timeout"),
    "size of a map": text("SPEC-188: user_namespaces(7) refuses an empty range", f"{MAPPING}(/-(/size)?)?"),
    "clocks": text(
        "SPEC-190, SPEC-191: two clocks, less than 10^9 nanoseconds",
        "/linux/timeOffsets(/(monotonic|boottime)/nanosecs)?",
    ),
    "numbers of devices": text("SPEC-196: required, 12 and 20 bits", "/linux/devices/-(/(major|minor|type))?"),
    "mode of a device": text("SPEC-197: a mode has 16 bits", "/linux/devices/-/fileMode"),
    "mode with its type": Row(
        {OURS, READER},
        "/linux/devices/-/fileMode",
        "Docker and podman write st_mode, with the bits of the type",
        lambda value: type(value) is int and 0o777 < value <= 0o177777,
    ),
    "device rules": text(
        "SPEC-233 to SPEC-235: a, b, c; letters of rwm; 32 bits", f"{LIMITS}/devices/-/(type|access|major|minor)"
    ),
    "no limit": text("SPEC-236: -1 is the only negative", f"{LIMITS}/memory/(limit|reservation|swap|kernel|kernelTCP)"),
    "swappiness": text("SPEC-238: 0 to 100", f"{LIMITS}/memory/swappiness"),
    "idle": text("SPEC-248: 0 or 1", f"{LIMITS}/cpu/idle"),
    "cpusets": text("SPEC-246: a list as of cpuset(7)", f"{LIMITS}/cpu/(cpus|mems)"),
    "weights": text("SPEC-249: at most 1000", f"{LIMITS}/blockIO/(leafW|w)eight(Device/-/(leafW|w)eight)?"),
    "a weight or a leaf's": text("SPEC-250, SPEC-251: one of them", f"{LIMITS}/blockIO/weightDevice/-"),
    "devices of limits": text(
        "SPEC-250 to SPEC-253: required, not negative", f"{LIMITS}/blockIO/[a-zA-Z]+Device/-(/(major|minor|rate))?"
    ),
    "priorities of interfaces": text("SPEC-258: a name", f"{LIMITS}/network/priorities/-/name"),
    "rdma": text("SPEC-261: at least one of two", f"{LIMITS}/rdma/[^/]+(/hca[a-zA-Z]+)?"),
    "names in maps": text(
        "SPEC-158, SPEC-264: a name is not empty, that of a file has a dot",
        f"/annotations|/linux/sysctl|{LIMITS}/unified",
    ),
    "errnos": text(
        "SPEC-294, SPEC-308: 12 bits, for a tracer 16", "/linux/seccomp/(defaultErrnoRet|syscalls/-/errnoRet)"
    ),
    "arguments of calls": text("SPEC-309: system calls have six", "/linux/seccomp/syscalls/-/args/-/index"),
    "names of calls": text("SPEC-306: a call has a name", "/linux/seccomp/syscalls/-/names/-"),
    "personality": text(
        "SPEC-320, SPEC-321: the domain is required, and there are no flags", "/linux/personality(/(domain|flags))?"
    ),
    "memory policy": text("SPEC-288: the mode is required", "/linux/memoryPolicy(/mode)?"),
    "lines of resctrl": text(
        "SPEC-271, SPEC-274: one line each; a name without /", "/linux/intelRdt/(closID|schemata/-|memBwSchema)"
    ),
    "maps of names": text("SPEC-157: each value is a string", "/annotations|/linux/sysctl"),
    # Looser than the official schema
    "propagation of runc": Row({OURS, READER}, "/linux/rootfsPropagation", "runc's rslave … are what Docker writes"),
    "no MB": Row(
        {OURS, READER},
        "/linux/intelRdt/memBwSchema",
        "Go writes what is not set as an empty string",
        lambda value: value == "",
    ),
    "no pids": Row(
        {READER},
        f"{LIMITS}/pids(/limit)?",
        "Go writes what is not set as an empty object",
        lambda value: value == "absent" or isinstance(value, dict),
    ),
    "Windows": Row(
        {READER}, "/process/(commandLine|user/username)", "of Windows: an implementation for Linux does not read it"
    ),
    # Between fields
    "sizes": Row(
        {OFFICIAL, OURS},
        f"{MAPPING}/-/size|{LIMITS}/.*|/process/rlimits/-/(soft|hard)|/process/scheduler/.*",
        "a range beyond the last id, a limit beyond another",
    ),
    "namespaces": fields(
        "which are there, twice, by which path, and what needs them", "/linux|/linux/namespaces(/-(/(type|path))?)?"
    ),
    "host and domain names": fields("at most 64 bytes, in a UTS namespace", "/hostname|/domainname"),
    "both maps": fields(
        "SPEC-087, SPEC-088, SPEC-188: both maps, and their ranges", f"{MAPPING}(/-(/(containerID|hostID|size))?)?"
    ),
    "ids that are mapped": fields("of a container that has a map", "/process/user(/.*)?|/linux/devices/-/[ug]id"),
    "limits in order": fields("SPEC-103: soft is at most hard", "/process/rlimits/-/(soft|hard)"),
    "policy": fields("SPEC-118: what the policy has use for", "/process/scheduler(/.*)?"),
    "labels": fields("one line, as /proc/self/attr takes it", "/process/(apparmorProfile|selinuxLabel)"),
    "mount options": fields(
        "what kind of mount it is, and what it can have",
        "/mounts/-/(options(/-)?|type|source|destination)|/mounts(/-)?",
    ),
    "memory and swap": fields("SPEC-237: swap is memory plus swap", f"{LIMITS}/memory(/(limit|swap))?"),
    "weights from 10 on": fields("SPEC-249: 1 to 9 is no weight to the kernel", f"{LIMITS}/blockIO/.*eight"),
    "shares": fields("SPEC-242: from 2 on", f"{LIMITS}/cpu/shares"),
    "versions of cgroups": fields("what one version has nothing like", f"{LIMITS}(/.*)?"),
    "a notified default": fields("a container needs calls before there is an agent", "/linux/seccomp/defaultAction"),
    "errno of an action": fields(
        "SPEC-295, SPEC-308: only for SCMP_ACT_ERRNO and SCMP_ACT_TRACE", "/linux/seccomp/(.*[aA]ction|.*rrnoRet)"
    ),
    "an agent": fields(
        "SPEC-298, SPEC-305: its socket, and what it cannot be asked", "/linux/seccomp/(listener.*|syscalls(/.*)?)"
    ),
    "sysctls": fields("SPEC-292: of a namespace of the container's own", "/linux/sysctl(/.*)?"),
    "network devices": fields("SPEC-208 to SPEC-212: names that an interface can have", "/linux/netDevices(/.*)?"),
    "resctrl": fields("names that are taken there", "/linux/intelRdt/closID"),
    "order in lists": fields(
        "the second of a range is not below the first",
        "/process/execCPUAffinity/(initial|final)|/linux/memoryPolicy/nodes",
    ),
    "root paths": fields("SPEC-315: what covers / covers nothing", "/linux/(masked|readonly)Paths/-"),
    "cgroup's path": fields('a path without ".." and control characters', "/linux/cgroupsPath"),
}
