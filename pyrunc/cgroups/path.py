# SPDX-License-Identifier: Apache-2.0
"""Where the cgroups of a container are: the hierarchies at /sys/fs/cgroup, and linux.cgroupsPath within them.

What is mounted at the root in this mount namespace decides the mode: a cgroup2 tree has a file cgroup.controllers in
its root; else the v1 hierarchies mounted below count, and a cgroup2 tree below ("hybrid") is one more to join.
"""

from pyrunc.cgroups import files
from pyrunc.errors import CgroupError, ConfigError

ROOT = "/sys/fs/cgroup"
POINTER = "/linux/cgroupsPath"

CONTROLLERS = frozenset(
    (
        *("blkio", "cpu", "cpuacct", "cpuset", "debug", "devices", "freezer", "hugetlb", "memory", "misc"),
        *("net_cls", "net_prio", "perf_event", "pids", "rdma"),
    )
)


class Hierarchy:
    """A mounted hierarchy. names: its controllers, or "name=…", or "" for cgroup2; options: those that mount it again;
    mount: where it is mounted; top: which of its directories is the root of that mount ("/" but in a container).
    """

    __slots__ = ("mount", "names", "options", "top")

    def __init__(self, names: tuple[str, ...], options: str, mount: str, top: str = "/") -> None:
        self.names = names
        self.options = options
        self.mount = mount
        self.top = top


def hierarchies(root: str = ROOT, mountinfo: str = "/proc/self/mountinfo") -> tuple[str, list[Hierarchy]]:
    """(mode, hierarchies): mode is "v2", "v1" or "hybrid". CgroupError where nothing is mounted."""
    if files.exists(f"{root}/cgroup.controllers"):
        return "v2", [Hierarchy(("",), "", root)]
    found: dict[tuple[str, ...], Hierarchy] = {}
    for line in files.read(mountinfo).splitlines():
        # proc_pid_mountinfo(5): id parent device top mount options… - type source superblock-options
        head, dash, tail = line.partition(" - cgroup")
        if not dash or f" {root}/" not in head:
            continue
        top, mount = (_unescape(word) for word in head.split(" ", 5)[3:5])
        kind, _, options = tail.split(" ", 2)
        names = ("",) if kind == "2" else _names(options)
        if names and mount.startswith(f"{root}/"):
            found.setdefault(names, Hierarchy(names, ",".join(names), mount, top))
    if not found:
        raise CgroupError(f"no cgroup file system is mounted at {root}; --cgroup-manager disabled does without")
    if not any("devices" in names for names in found) and ("",) in found:
        raise CgroupError(f"the cgroup v1 hierarchy of the controller devices is not mounted below {root}")
    return "hybrid" if ("",) in found else "v1", list(found.values())


def _names(options: str) -> tuple[str, ...]:
    words = options.split(",")
    return tuple(word for word in words if word in CONTROLLERS or word.startswith("name="))


def _unescape(text: str) -> str:
    """proc_pid_mountinfo(5) writes blank, tab, newline and backslash as three octal digits."""
    head, *parts = text.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts)


def own(names: tuple[str, ...], top: str, cgroups: str) -> str:
    """The cgroup that this process is in, as a path below the mount whose root is `top`; "" for that root.

    `cgroups` is the text of /proc/self/cgroup (cgroups(7)): "4:memory:/user/1000", "0::/user.slice".
    """
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers.split(",")[0] in names:
            # Outside the root of our cgroup namespace it begins with /.. : nothing below the mount is it
            if path.startswith("/.."):
                return ""
            inner = path[len(top.rstrip("/")) :] if f"{path}/".startswith(top.rstrip("/") + "/") else path
            return inner.rstrip("/")
    return ""


def inner(text: str, container_id: str) -> tuple[bool, str]:
    """(absolute, path): linux.cgroupsPath without empty components; the id, relative, where there is none, as runc.

    ConfigError for "..", control characters and the root itself. The systemd form "slice:prefix:name" is a name as any
    other, as for runc: dockerd gives it to the steps of BuildKit, and no --systemd-cgroup with it.
    """
    if not text:
        return False, container_id
    if not text.isprintable():
        raise ConfigError("must not have control characters", POINTER)
    names = [name for name in text.split("/") if name not in {"", "."}]
    if ".." in names:
        raise ConfigError(f'"{text}" must not have ".."', POINTER)
    if not names:
        raise ConfigError(f'"{text}" is the root, which a container cannot have for its own', POINTER)
    return text.startswith("/"), "/".join(names)


def below(hierarchy: Hierarchy, absolute: bool, path: str, cgroups: str) -> str:
    """The container's cgroup as a path below the hierarchy's mount point, beginning with a slash.

    As runc: a relative path is within our own cgroup on v1, and beside it on v2, where a cgroup with processes cannot
    pass its controllers on. `cgroups` is the text of /proc/self/cgroup; a relative path asks for it.
    """
    if absolute:
        return f"/{path}"
    mine = own(hierarchy.names, hierarchy.top, cgroups)
    return f"{mine if hierarchy.names != ('',) else mine.rpartition('/')[0]}/{path}"
