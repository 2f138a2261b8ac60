# SPDX-License-Identifier: Apache-2.0
"""The cgroup hierarchies as criu takes them from us (its option cgroup_yard), in place of mounting them itself.

A new mount of cgroup2 in the first cgroup namespace sets the flags of the whole tree anew: criu's takes nsdelegate and
memory_recursiveprot from the host, and so the protection of every service (seen with criu 4.1 under systemd 257).
"""

import posix

from pyrunc.cgroups.path import hierarchies
from pyrunc.errors import CgroupError, HostError
from pyrunc.linux.errnos import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.state.store import Entry

FOLDER = "cgroups"
UNIFIED = "unified"


def unified() -> str:
    """Where cgroup2 is mounted; "" where it is not."""
    try:
        _, found = hierarchies()
    except CgroupError:
        return ""
    return next((row.mount for row in found if row.names == ("",) and row.top == "/"), "")


class Yard:
    """A folder of the state directory with a link for each hierarchy, named as criu looks for it. path: "" where one of
    them is not mounted, or not whole, so that criu has to mount them all.
    """

    __slots__ = ("_entry", "_links", "path")

    def __init__(self, entry: "Entry") -> None:
        self._entry = entry
        self._links = _links()
        self.path = f"{entry.path}/{FOLDER}" if self._links else ""
        if not self._links:
            return
        self.remove()
        try:
            posix.mkdir(FOLDER, 0o700, dir_fd=entry.fd)
            for name, mount in self._links.items():
                posix.symlink(mount, f"{FOLDER}/{name}", dir_fd=entry.fd)
        except OSError as error:
            raise HostError(f"{self.path}: {reason(error.errno)}") from error

    def remove(self) -> None:
        """Also one that an earlier call has left behind."""
        for name in self._links:
            try:
                posix.unlink(f"{FOLDER}/{name}", dir_fd=self._entry.fd)
            except FileNotFoundError:
                continue
        try:
            posix.rmdir(FOLDER, dir_fd=self._entry.fd)
        except FileNotFoundError:
            return


def _links() -> dict[str, str]:
    """{name: mount} of all hierarchies of /proc/self/cgroup (cgroups(7)), or {}."""
    try:
        mounted = {frozenset(row.names): row for row in hierarchies()[1]}
    except CgroupError:
        return {}
    found = {}
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            names = line.split(":", 2)[1]
            row = mounted.get(frozenset(names.split(",")))
            if row is None or row.top != "/":
                return {}
            found[names.removeprefix("name=") or UNIFIED] = row.mount
    return found
