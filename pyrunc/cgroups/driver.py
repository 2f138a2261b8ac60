# SPDX-License-Identifier: Apache-2.0
"""The cgroup of a container, whatever its version: what the container operations call.

    cgroup = open_cgroup(config, container_id, manager)     create: nothing is made yet
    journal each of cgroup.directories(), then cgroup.create(), cgroup.apply(resources)
    v2: cgroup.open_directory() for CLONE_INTO_CGROUP; v1 and hybrid: cgroup.join(pid); or for both cgroup.entrances()
    state: cgroup.record()      later: from_state(record)

Class Cgroup is the interface and, by itself, the one of `--cgroup-manager disabled`; cgroups/v1.py (v1 and hybrid) and
cgroups/v2.py fill it, and cgroups/scope.py is what both are with systemd.
"""

import posix

from pyrunc.cgroups import files, path
from pyrunc.errors import StateError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Config, Section

MANAGERS = ("cgroupfs", "systemd", "disabled")
"""Those of --cgroup-manager."""

FREEZE_SECONDS = 10.0
REMOVE_SECONDS = 5.0


class Cgroup:
    """A container's cgroup in each hierarchy. Every method raises CgroupError; a missing cgroup is no error where
    nothing is left to do (signal, thaw, remove, pids). mode: "disabled", "v1", "v2" or "hybrid".

    paths: the absolute directory in each hierarchy, by controller, "name=…", or "" for cgroup2.
    made: directories that did not exist when this object was made, parents first: those that it may remove.
    """

    __slots__ = ("made", "mode", "paths", "root")

    def __init__(
        self, paths: "dict[str, str]", made: "list[str]", root: str = path.ROOT, *, mode: str = "disabled"
    ) -> None:
        self.mode = mode
        self.paths = paths
        self.made = made
        self.root = root

    def directories(self) -> list[str]:
        """The directories that create() will make, parents first; each is to be in the journal before."""
        return list(self.made)

    def record(self) -> dict[str, object]:
        """What from_state takes, for the container's state."""
        return {"mode": self.mode, "root": self.root, "paths": dict(self.paths), "made": list(self.made)}

    @property
    def scope(self) -> str:
        """The unit of systemd that the cgroup is, "system NAME" or "user NAME"; "" where it is no unit."""
        return ""

    def create(self, holder: int = 0) -> None:  # noqa: ARG002
        """Make the directories, with controllers passed down (v2) and cpus and memory nodes inherited (v1 cpuset).

        `holder`: for a unit of systemd the pid of a process that waits in it until settle() may be called.
        Refuses a cgroup that has processes or is frozen, itself or by an ancestor. After an error, `made` and `paths`
        have only what was made here: signal and remove, as an undo calls them, cannot touch what is another's.
        """
        planned, self.made = self.made, []
        try:
            self._create(planned)
        except BaseException:
            self.paths = {name: directory for name, directory in self.paths.items() if directory in self.made}
            raise

    def _create(self, planned: "list[str]") -> None:
        """Make the planned directories, adding each to `made`."""

    def check(self, resources: "Section | None") -> None:
        """Refuse limits that no kernel would take, before anything is made."""
        if resources is not None and self.mode != "disabled":
            from pyrunc.cgroups.resources import writes

            writes(resources, self.mode == "v2")

    def apply(self, resources: "Section | None") -> list[str]:
        """Write the limits of linux.resources; returns warnings. Call it with None too, before join.

        On create the device list is written on v1, and on v2 left to plan.device_filter, which pyrunc-init runs; an
        object made by from_state (update) changes devices only where `resources` has a device list. For an update the
        sections are to be merged with what the container has: an absent field means its default.
        """
        asked = [key for key in resources.data if resources.has(key)] if resources is not None else []
        return [f"{resources.pointer}: ignored, as --cgroup-manager is disabled"] if resources and asked else []

    def join(self, pid: int, sub: "dict[str, str] | None" = None) -> None:
        """Move a process into the cgroup, or into the existing cgroups beneath it that `sub` names (sub_cgroups)."""

    def open_directory(self, sub: "dict[str, str] | None" = None, init: "int | None" = None) -> "int | None":  # noqa: ARG002
        """A descriptor for CLONE_INTO_CGROUP (clone(2)); None where only join does it: v1, hybrid, disabled.

        `init`: the container's first process. Where the cgroup passes controllers on, and so can have no processes
        itself (cgroups(7)), the cgroup that `init` has moved to takes its place.
        """
        return None

    def entrances(
        self,
        sub: "dict[str, str] | None" = None,  # noqa: ARG002
        init: "int | None" = None,  # noqa: ARG002
    ) -> "tuple[int | None, list[int]]":
        """How a process gets in without join: a descriptor for CLONE_INTO_CGROUP or None, and descriptors to each of
        which the new process, while it has one thread, itself writes "0".

        The second are `tasks` files of v1: that way in takes no lock of all threads of the machine, which costs join
        5 to 15 ms (an RCU grace period; cgroup_procs_write_start in kernel/cgroup/cgroup.c). A new cgroup namespace is
        to be unshared after it, as its root is the cgroup of that moment (cgroup_namespaces(7)).
        """
        return None, []

    def attach(self, pid: int, sub: "dict[str, str] | None" = None) -> None:
        """Where entrances() had no way in for this user, have systemd move the process; else nothing."""

    def settle(self) -> None:
        """The first process is in the cgroup, and the holder has left it."""

    def renew(self, changed: "Section", whole: "Section") -> None:
        """After apply(changed) of an update: write again what systemd wrote along with it; `whole`: all limits."""

    def host_rows(self) -> tuple[tuple[str, str, str, str], ...]:
        """(name, mount options, mount point, path below it) of each hierarchy, for Host.cgroups."""
        return ()

    def pids(self, all: bool = True) -> list[int]:  # noqa: ARG002
        """The processes, with `all` those in cgroups beneath too."""
        return []

    def signal(self, number: int) -> None:
        """Send a signal to all processes, beneath too; SIGKILL also ends a pause. None can escape by forking."""

    def freeze(self, seconds: float = FREEZE_SECONDS) -> None:
        """Stop all processes, or after `seconds` thaw them again and fail."""

    def thaw(self) -> None:
        """Let them go on."""

    def frozen(self) -> bool:
        """Whether freeze() holds them; not whether an ancestor is frozen."""
        return False

    def oom_kills(self) -> int:
        """How many processes the kernel killed for want of memory."""
        return 0

    def remove(self, *, parents: bool = False, seconds: float = REMOVE_SECONDS) -> None:
        """Remove the cgroups that create() made and all beneath them, once their processes are gone.

        One that existed before stays, emptied of cgroups beneath it. With `parents` (a failed create) also the parents
        that were made, as far as they are empty.
        """


def open_cgroup(
    config: "Config", container_id: str, manager: str, *, rootless: bool = False, root: str = path.ROOT
) -> Cgroup:
    """The cgroup that linux.cgroupsPath names; `manager` is one of MANAGERS.

    `rootless`: where cgroups may not be made, go on without, if neither a path nor a limit was asked for.
    """
    if manager == "disabled":
        return Cgroup({}, [], root)
    if manager == "systemd":
        from pyrunc.cgroups.scope import open_scope

        return open_scope(config, container_id, rootless=rootless, root=root, owner=_owner(config))
    linux = config.section("linux")
    asked = linux.text("cgroupsPath", "") if linux else ""
    absolute, inner = path.inner(asked, container_id)
    mode, hierarchies = path.hierarchies(root)
    cgroups = "" if absolute else files.read("/proc/self/cgroup")
    places = [(hierarchy, path.below(hierarchy, absolute, inner, cgroups)) for hierarchy in hierarchies]
    paths = {name: hierarchy.mount + below for hierarchy, below in places for name in hierarchy.names}
    made = [directory for hierarchy, below in places for directory in _missing(hierarchy.mount, below)]
    lenient = rootless and not asked
    if mode == "v2":
        from pyrunc.cgroups.v2 import Unified

        return Unified(paths, made, root, lenient=lenient, owner=_owner(config))
    from pyrunc.cgroups.v1 import Legacy
    from pyrunc.plan import device_filter

    rows = tuple((",".join(h.names), h.options, h.mount, below) for h, below in places)
    devices = device_filter.of_config(config)
    return Legacy(paths, made, root, mode=mode, lenient=lenient, rootless=rootless, rows=rows, devices=devices)


def _owner(config: "Config") -> "int | None":
    """The uid that the cgroup is given to, where it is not ours already."""
    linux = config.section("linux")
    if linux is None or all(space.text("type", "") != "cgroup" for space in linux.sections("namespaces")):
        return None
    from pyrunc.cgroups import delegate

    uid = delegate.owner(config)
    return None if uid == posix.geteuid() else uid


def _missing(mount: str, below: str) -> list[str]:
    """The directories from the mount down to `below` that do not exist, parents first."""
    found: list[str] = []
    directory = mount + below
    while len(directory) > len(mount) and not files.exists(directory):
        found.append(directory)
        directory = directory.rpartition("/")[0]
    return found[::-1]


def from_state(record: object) -> Cgroup:
    """The cgroup of a record() that was saved; StateError when it cannot be one."""
    if type(record) is not dict:
        raise StateError("the record of the cgroup is not an object")
    mode, root, paths, made = (record.get(key) for key in ("mode", "root", "paths", "made"))
    if type(root) is not str or type(paths) is not dict or type(made) is not list:
        raise StateError("the record of the cgroup lacks its paths")
    for directory in (root, *paths.values(), *made):
        if type(directory) is not str or not directory.startswith(root) or "\0" in directory:
            raise StateError(f"the record of the cgroup has a path that is not below {root}")
        if not directory.startswith("/") or ".." in directory.split("/"):
            raise StateError("the record of the cgroup has a path that is not absolute and plain")
    if any(directory.rstrip("/") == root.rstrip("/") for directory in (*paths.values(), *made)):
        raise StateError("the record of the cgroup has the root for a container's cgroup")
    if "unit" in record:
        from pyrunc.cgroups.scope import from_record

        return from_record(record["unit"], mode, paths, made, root)
    return _make(mode, paths, made, root)


def _make(mode: object, paths: "dict[str, str]", made: "list[str]", root: str) -> Cgroup:
    if mode == "disabled":
        return Cgroup({}, [], root)
    if mode == "v2" and set(paths) <= {""}:
        from pyrunc.cgroups.v2 import Unified

        return Unified(paths, made, root)
    if mode in {"v1", "hybrid"}:
        from pyrunc.cgroups.v1 import Legacy

        return Legacy(paths, made, root, mode=str(mode))
    raise StateError(f"the record of the cgroup has the mode {mode!r}, which is none")


def from_directories(directories: "list[str]", root: str = path.ROOT) -> Cgroup:
    """The cgroup of the directories that a journal names, where no state was saved: to be emptied and removed.

    The container's own are those that hold no other of the list.
    """
    if not any(files.exists(directory) for directory in directories):
        return Cgroup({}, [], root)
    mode, hierarchies = path.hierarchies(root)
    own = [one for one in directories if not any(other.startswith(f"{one}/") for other in directories)]
    paths = {
        name: directory
        for hierarchy in hierarchies
        for directory in own
        if directory.startswith(f"{hierarchy.mount}/")
        for name in hierarchy.names
    }
    return from_state({"mode": mode, "root": root, "paths": paths, "made": list(directories)})


def sub_cgroups(texts: "list[str]") -> dict[str, str]:
    """{controller: path beneath the container's cgroup} of `exec --cgroup [controller[,…]:]path`; "" is every one.

    UsageError as runc has it: a controller twice, an empty one, several paths without a controller, "..".
    """
    found: dict[str, str] = {}
    for text in texts:
        controllers, colon, below = text.rpartition(":") if ":" not in text else text.partition(":")
        if ".." in below.split("/") or "\0" in below:
            raise UsageError(f"--cgroup {text}: `..` components are not allowed")
        if not colon and len(texts) > 1:
            raise UsageError(f"--cgroup {text}: needs a controller before the path, as there are several")
        for controller in controllers.split(","):
            if colon and not controller:
                raise UsageError(f"--cgroup {text}: has an empty controller before the path")
            if controller in found:
                raise UsageError(f"--cgroup {text}: names the controller {controller} a second time")
            found[controller] = below
    return found
