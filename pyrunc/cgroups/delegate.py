# SPDX-License-Identifier: Apache-2.0
"""A cgroup that the container may manage itself: config-linux.md#cgroup-ownership, cgroup v2 only."""

import posix

from pyrunc.cgroups import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Config, Section

_LISTED = "/sys/kernel/cgroup/delegate"
_DEFAULT = "cgroup.procs cgroup.subtree_control cgroup.threads"


def owner(config: "Config") -> "int | None":
    """The host's uid of the container's user, where it sees its cgroup as the root of a writable /sys/fs/cgroup."""
    linux, process = config.section("linux"), config.section("process")
    if linux is None or process is None:
        return None
    spaces = {space.text("type", ""): space.has("path") for space in linux.sections("namespaces")}
    if spaces.get("cgroup", True):
        return None
    if not any(_writable(mount) for mount in config.sections("mounts")):
        return None
    user = process.section("user")
    uid = user.integer("uid", 0, 2**32 - 2, 0) if user else 0
    if "user" not in spaces:
        return uid
    for mapping in linux.sections("uidMappings"):
        first, host, size = (mapping.integer(key, 0, 2**32 - 1) for key in ("containerID", "hostID", "size"))
        if first <= uid < first + size:
            return host + uid - first
    return None


def _writable(mount: "Section") -> bool:
    if mount.text("destination", "").rstrip("/") != "/sys/fs/cgroup" or "ro" in mount.texts("options"):
        return False
    return "cgroup" in {mount.text("source", ""), mount.text("type", "")}


def give(directory: str, uid: int, listed: str = _LISTED) -> None:
    """chown(2) the directory and the files that the kernel says may be delegated, as far as they are there."""
    try:
        names = files.read(listed).split()
    except FileNotFoundError:
        names = _DEFAULT.split()
    posix.chown(directory, uid, -1)
    for name in names:
        try:
            posix.chown(f"{directory}/{name}", uid, -1)
        except FileNotFoundError:
            continue
