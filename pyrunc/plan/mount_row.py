# SPDX-License-Identifier: Apache-2.0
"""A row of `mounts`, read once, for the concerns that make it: config.md#mounts."""

from pyrunc.config.fields import Config, Section
from pyrunc.linux.mount_flags import ParsedOptions, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.program import Op

_BELOW_PROC = (
    *("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"),
    *("sys/kernel/ns_last_pid", "sys/crypto/fips_enabled", "sys/kernel/hostname", "sys/kernel/domainname"),
)
"""What may be mounted inside /proc: files that lxcfs and CRIU offer, as runc allows; the rest could fool later writes
to procfs (CVE-2019-19921, CVE-2025-52881)."""


_LABELLED = ("proc", "sysfs", "cgroup", "cgroup2")
"""Their files are labelled by the policy, one by one."""


class Mount:
    """One row of `mounts`, read once. destination: normalised, absolute in the container; tree: its mount, detached
    or held for `remounts` rows behind it; base: the row that a remount is of; late: it is still to become read-only;
    idmap: the user namespace that maps its ids; label: its SELinux context; private: a bind that says nothing of its
    propagation has none, else it is a slave.
    """

    __slots__ = (
        *("base", "destination", "idmap", "label", "late", "options", "origin", "private", "remounts", "section"),
        *("source", "tree", "type"),
    )

    def __init__(self, section: Section, bundle: str) -> None:
        self.section = section
        self.origin = section.pointer
        self.destination = _normal(section.text("destination"))
        self.options: ParsedOptions = parse(section.texts("options"))
        self.type = section.text("type", "")
        self.source = section.text("source", "")
        if self.options.bind and self.source[:1] != "/":
            self.source = f"{bundle}/{self.source}"
        self.tree: Op | None = None
        self.idmap: Op | None = None
        self.label = ""
        self.base: Mount | None = None
        self.remounts = 0
        self.late = False
        self.private = False


def read(config: Config, *, create: bool = False) -> list[Mount]:
    """All mounts, refused where a destination lies inside /proc, or is the root, but for a bind at `create`."""
    found = [Mount(section, config.bundle) for section in config.sections("mounts")]
    linux = config.section("linux")
    private = linux is not None and linux.text("rootfsPropagation", "") == "rprivate"
    for mount in found:
        mount.private = private
        if mount.destination == "/" and not mount.options.remount and not (create and mount.options.bind):
            raise mount.section.refuse(
                "destination", "is the root, for which create takes a bind, and nothing else does"
            )
        below = mount.destination[6:] if mount.destination.startswith("/proc/") else ""
        if below and below not in _BELOW_PROC:
            raise mount.section.refuse(
                "destination", f"{mount.destination} is inside /proc, where nothing may be mounted"
            )
        if mount.destination == "/proc" and mount.type != "proc" and not mount.options.bind:
            raise mount.section.refuse("type", f'"{mount.type}" cannot be mounted on /proc')
        if not mount.options.bind and not mount.options.remount and not mount.type:
            raise mount.section.refuse("type", "is required, as options have neither bind nor rbind")
    _find_bases(found)
    return found


def _find_bases(mounts: list[Mount]) -> None:
    """A remount is of the mount that a row before it made there: its path must not be walked a second time."""
    latest: dict[str, Mount] = {}
    for mount in mounts:
        if not mount.options.remount:
            latest[mount.destination] = mount
        elif mount.destination in latest:
            mount.base = latest[mount.destination]
            mount.base.remounts += 1


def label(mounts: list[Mount], text: str) -> None:
    """linux.mountLabel is for new filesystems that have no labels of the kernel's own, unless they bring theirs."""
    for mount in mounts:
        options = mount.options
        own = any(key in ("context", "fscontext", "defcontext", "rootcontext") for key, _ in options.data)
        if not (options.bind or options.remount or own or mount.type in _LABELLED):
            mount.label = text


def _normal(path: str) -> str:
    """`path` absolute, without empty, "." and ".." parts; a relative one begins at "/" (config.md#mounts)."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    return "/" + "/".join(parts)
