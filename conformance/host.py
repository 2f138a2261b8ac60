# SPDX-License-Identifier: Apache-2.0
"""What this machine has: each word that a case may need, and what is missing when it has it not."""

import ctypes
import functools
import os
import pathlib
import platform
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE, MS_SHARED = 0x4000, 0x40000, 0x100000
MNT_DETACH = 2
PR_CAPBSET_READ = 23
patience = 1.0
"""How many times longer than elsewhere everything may take on this machine."""
CAPABILITIES = {"CAP_SYS_RESOURCE": 24, "CAP_SYS_NICE": 23, "CAP_MKNOD": 27, "CAP_NET_ADMIN": 12}


def deadline(seconds: float) -> float:
    """The moment of time.monotonic() at which patience ends."""
    return time.monotonic() + seconds * patience


def is_root() -> bool:
    return os.geteuid() == 0


def has_capability(name: str) -> bool:
    """Whether it is in the bounding set, which no container can leave."""
    return bool(LIBC.prctl(PR_CAPBSET_READ, CAPABILITIES[name], 0, 0, 0) == 1)


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    if LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)


def unmount(target: str) -> None:
    LIBC.umount2(target.encode(), MNT_DETACH)


def unshare_mounts() -> None:
    """A mount namespace of our own: what is mounted from now on ends with this process."""
    if LIBC.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", "/", "", MS_REC | MS_PRIVATE)


@functools.cache
def hierarchies() -> dict[str, tuple[str, str]]:
    """Where each cgroup v1 controller, and "" for cgroup2, is mounted: (mount point, root of that mount)."""
    found: dict[str, tuple[str, str]] = {}
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        root, target = fields.split()[3:5]
        kind, _, options = rest.split(" ")[:3]
        names = options.split(",") if kind == "cgroup" else [""] if kind == "cgroup2" else []
        for name in names:
            found.setdefault(name, (target, root))
    return found


def is_v2() -> bool:
    """Whether cgroup2 alone is at /sys/fs/cgroup."""
    return pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()


def cgroup_mode() -> str:
    if is_v2():
        return "cgroup2"
    return "hybrid" if "" in hierarchies() else "cgroup v1" if "memory" in hierarchies() else "no cgroups"


@functools.cache
def controllers() -> list[str]:
    """The controllers that a container's resources can be about here."""
    if is_v2():
        return pathlib.Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    known = "cpu cpuacct cpuset memory devices freezer blkio pids hugetlb net_cls net_prio rdma misc"
    return [name for name in known.split() if name in hierarchies()]


def _has_cgroup_file(name: str) -> bool:
    """Whether some cgroup of this machine has a file of this name."""
    return any(name in files for target, _ in hierarchies().values() for _, _, files in os.walk(target))


def resctrl() -> bool:
    return pathlib.Path("/sys/fs/resctrl/schemata").exists()


def missing(word: str) -> str:
    """What is not here, in words; "" when it is."""
    kind, _, value = word.partition(":")
    path = pathlib.Path
    if kind == "cgroup":
        return "" if value in controllers() else f"no cgroup controller {value} ({cgroup_mode()})"
    if kind == "file":
        return "" if path(value).exists() else f"no {value}"
    if kind == "cgroup-file":
        return "" if _has_cgroup_file(value) else f"no {value} in any cgroup"
    if kind == "cap":
        return "" if has_capability(value) else f"{value} is not in the bounding set"
    if kind == "no":
        return f"this host has {value}" if not missing(value) else ""
    answers = {
        "root": (is_root(), "needs root"),
        "rootless": (not is_root(), "needs an ordinary user"),
        "v1": (not is_v2() and "memory" in hierarchies(), "no cgroup v1"),
        "v2": (is_v2(), "no pure cgroup2"),
        "cgroups": (bool(hierarchies()), "no cgroup file system is mounted"),
        "cgroup2": ("" in hierarchies(), "no cgroup2 is mounted"),
        "swap": (len(path("/proc/swaps").read_text().splitlines()) > 1, "no swap"),
        "apparmor": (path("/sys/kernel/security/apparmor/profiles").exists(), "no AppArmor"),
        "selinux": (path("/sys/fs/selinux/enforce").exists(), "no SELinux policy is loaded"),
        "resctrl": (resctrl(), "no resctrl file system is mounted"),
        "seccomp": (path("/proc/sys/kernel/seccomp").exists(), "no seccomp"),
        "x86_64": (platform.machine() == "x86_64", "the guest's calls are those of x86_64"),
        "userns": (path("/proc/self/ns/user").exists(), "no user namespaces"),
        "cpus": ((os.cpu_count() or 1) > 1, "one processor only"),
    }
    here, reason = answers[kind]
    return "" if here else reason
