# SPDX-License-Identifier: Apache-2.0
"""The cgroups of a container in the v1 hierarchies, and in the cgroup2 tree beside them on a hybrid host."""

import errno
import posix
import time

from pyrunc.cgroups import files, tree
from pyrunc.cgroups.driver import FREEZE_SECONDS, REMOVE_SECONDS, Cgroup
from pyrunc.cgroups.path import ROOT
from pyrunc.errors import CgroupError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.resources import Write
    from pyrunc.config.fields import Section
    from pyrunc.plan.device_filter import Rule

    Row = tuple[str, str, str, str]

_SIGKILL = 9
_BESIDE = {"hugetlb": "hugepageLimits", "rdma": "rdma"}
"""Controllers that a hybrid host may have in the cgroup2 tree, and their properties, which mean one thing to both."""


class Legacy(Cgroup):
    """See Cgroup. Several controllers may share a directory; paths[""] is there on a hybrid host."""

    __slots__ = ("_devices", "_dropped", "_lenient", "_rootless", "_rows")

    def __init__(
        self,
        paths: "dict[str, str]",
        made: "list[str]",
        root: str = ROOT,
        *,
        mode: str = "v1",
        lenient: bool = False,
        rootless: bool = False,
        rows: "tuple[Row, ...]" = (),
        devices: "tuple[bool, list[Rule]] | None" = None,
    ) -> None:
        super().__init__(paths, made, root, mode=mode)
        self._lenient = lenient
        self._rootless = rootless
        self._rows = rows
        self._devices = devices
        self._dropped: list[str] = []

    def _leaves(self) -> list[str]:
        return list(dict.fromkeys(self.paths.values()))

    def _main(self) -> str:
        """The hierarchy that tells which processes there are: devices, as with runc."""
        for name in ("devices", "freezer", "pids", *self.paths):
            if name in self.paths:
                return self.paths[name]
        return ""

    def _create(self, planned: "list[str]") -> None:
        for leaf in self._leaves():
            try:
                tree.make(leaf, planned, self.made)
            except OSError as error:
                if error.errno not in files.DENIED or not self._lenient:
                    raise tree.not_made(leaf, error) from error
                self._drop(leaf)
                continue
            if leaf not in self.made and (pids := files.processes(leaf)):
                raise CgroupError(f"{leaf}: not empty: {len(pids)} processes: {files.describe(pids)}")
        if "cpuset" in self.paths:
            self._inherit_cpuset()
        if "freezer" in self.paths:
            state = files.read(f"{self.paths['freezer']}/freezer.state").strip()
            if state != "THAWED":
                raise CgroupError(f"{self.paths['freezer']}: frozen, itself or by a cgroup above it")

    def _drop(self, leaf: str) -> None:
        """Go on without a hierarchy, in which the processes stay where they are."""
        names = [name for name, path in self.paths.items() if path == leaf]
        self._dropped += names
        for name in names:
            del self.paths[name]
        gone = [one for one in self.made if leaf == one or leaf.startswith(f"{one}/")]
        tree.unmake(gone)
        self.made = [one for one in self.made if one not in gone]

    def _inherit_cpuset(self) -> None:
        """A cpuset begins empty, and an empty one takes no process (cpuset(7)): copy from its parent, top down."""
        leaf = self.paths["cpuset"]
        mount = next((row[2] for row in self._rows if "cpuset" in row[0].split(",")), leaf.rpartition("/")[0])
        parent, names = mount, leaf[len(mount) + 1 :].split("/")
        for name in names:
            directory = f"{parent}/{name}"
            for file in ("cpuset.cpus", "cpuset.mems"):
                try:
                    if files.read(f"{directory}/{file}").strip():
                        continue
                    files.write(f"{directory}/{file}", files.read(f"{parent}/{file}").strip())
                except OSError as error:
                    # Beside an exclusive cpuset the parent's set is invalid, and linux.resources may have the right one
                    if directory == leaf and error.errno == errno.EINVAL:
                        continue
                    raise files.failure("write", f"{directory}/{file}", error) from error
            parent = directory

    def apply(self, resources: "Section | None") -> list[str]:
        from pyrunc.cgroups.resources import warnings, writes

        asked = writes(resources, False)
        beside = self._beside(resources) if any(write.controller in _BESIDE for write in asked) else None
        self._apply_devices(resources)
        if beside is not None:
            asked = [write for write in asked if _BESIDE.get(write.controller) not in beside.data]
            tree.write_all(writes(beside, True), {}, self.paths[""], _no_file)
        tree.write_all(asked, self.paths, "", self._missing)
        return warnings(resources)

    def _beside(self, resources: "Section | None") -> "Section | None":
        """The limits whose controllers are in the cgroup2 tree of a hybrid host, in place of a v1 hierarchy."""
        from pyrunc.config.fields import Section

        unified = self.paths.get("")
        lacking = {name: key for name, key in _BESIDE.items() if name not in self.paths}
        if resources is None or not unified or not lacking:
            return None
        mount = next((row[2] for row in self._rows if not row[0]), unified.rpartition("/")[0])
        names = unified[len(mount) + 1 :].split("/")[:-1]
        for depth in range(len(names) + 1):
            for name in lacking:
                # What a parent does not have, or may not pass on, the limit itself misses
                tree.try_write(f"{'/'.join((mount, *names[:depth]))}/cgroup.subtree_control", f"+{name}")
        there = files.read(f"{unified}/cgroup.controllers").split()
        found = {key: resources.data[key] for name, key in lacking.items() if name in there and resources.has(key)}
        return Section(found, resources.pointer) if found else None

    def _missing(self, write: "Write", file: str) -> CgroupError:
        name = write.controller
        if name in self.paths:
            return _no_file(write, file)
        why = f"not mounted below {self.root}"
        if name in self._dropped:
            why = "this rootless container has no cgroup in it: limits need root"
        return CgroupError(f"the requested cgroup controller `{name}` is not available: {why}", write.pointer)

    def _apply_devices(self, resources: "Section | None") -> None:
        from pyrunc.cgroups import devices_list
        from pyrunc.plan import device_filter

        devices = self._devices
        if devices is None and resources and resources.has("devices"):
            devices = device_filter.rules(resources)
        if devices is None:
            return
        if (directory := self.paths.get("devices")) is None:
            if resources and resources.has("devices") and "devices" not in self._dropped:
                why = f"the requested cgroup controller `devices` is not available: not mounted below {self.root}"
                raise CgroupError(why, resources.at("devices"))
            return
        try:
            devices_list.change(directory, *devices)
        except OSError as error:
            # A user namespace may not write it; such a container can make no device nodes either
            if error.errno not in files.DENIED or not self._rootless:
                raise files.failure(
                    "write", f"{directory}/devices.deny", error, pointer=device_filter.POINTER
                ) from error

    def join(self, pid: int, sub: "dict[str, str] | None" = None) -> None:
        for leaf, inner in self._chosen(sub).items():
            try:
                fd = files.open_beneath(leaf, inner)
                try:
                    files.add(fd, pid)
                finally:
                    posix.close(fd)
            except OSError as error:
                if error.errno in files.DENIED and self._lenient:
                    self._drop(leaf)
                    continue
                why = "its cpuset has no cpus or no memory nodes" if error.errno == errno.ENOSPC else ""
                raise files.failure("join", f"{leaf}/{inner}".rstrip("/"), error, why) from error

    def _chosen(self, sub: "dict[str, str] | None") -> dict[str, str]:
        """{directory of the container: path beneath it}, for each hierarchy."""
        below = sub or {}
        for name in below:
            if name and name not in self.paths:
                raise UsageError(f"--cgroup {name}:{below[name]}: the container has no cgroup of the controller {name}")
        chosen = {leaf: below.get("", "") for leaf in self._leaves()}
        chosen.update({self.paths[name]: inner for name, inner in below.items() if name})
        return chosen

    def entrances(
        self,
        sub: "dict[str, str] | None" = None,
        init: "int | None" = None,  # noqa: ARG002
    ) -> "tuple[int | None, list[int]]":
        clone: int | None = None
        tasks: list[int] = []
        leaf = inner = ""
        try:
            for leaf, inner in self._chosen(sub).items():
                fd = files.open_beneath(leaf, inner)
                if leaf == self.paths.get(""):
                    clone = fd
                elif (task := self._tasks(fd, leaf)) is not None:
                    tasks.append(task)
        except BaseException as error:
            for fd in (*tasks, *(() if clone is None else (clone,))):
                posix.close(fd)
            if isinstance(error, OSError):
                raise files.failure("open", f"{leaf}/{inner}".rstrip("/"), error) from error
            raise
        return clone, tasks

    def _tasks(self, directory: int, leaf: str) -> "int | None":
        """The file that a thread writes itself to; closes the directory."""
        try:
            return posix.open("tasks", posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=directory)
        except OSError as error:
            if error.errno not in files.DENIED or not self._lenient:
                raise
            self._drop(leaf)
            return None
        finally:
            posix.close(directory)

    def host_rows(self) -> "tuple[Row, ...]":
        return tuple(row for row in self._rows if row[0].split(",")[0] in self.paths)

    def pids(self, all: bool = True) -> list[int]:
        main = self._main()
        return files.processes(main, all) if main else []

    def signal(self, number: int) -> None:
        if number == _SIGKILL and "" in self.paths:
            try:
                files.write(f"{self.paths['']}/cgroup.kill", "1")
            except OSError:
                pass  # Linux 5.14 has it
            else:
                # What has left the cgroup2 tree, and what is frozen by v1, which keeps even SIGKILL waiting
                for pid in self.pids():
                    tree.send(pid, number)
                self.thaw()
                return
        tree.signal_frozen(self, number)

    def freeze(self, seconds: float = FREEZE_SECONDS) -> None:
        if "freezer" not in self.paths:
            raise CgroupError("a container without a cgroup of the controller freezer cannot be frozen")
        file = f"{self.paths['freezer']}/freezer.state"
        end = time.monotonic() + seconds
        tries = 0
        try:
            while True:
                # Again and again, as processes that come in between keep it FREEZING; thawed at times, as runc found
                files.write(file, "FROZEN")
                if files.read(file).strip() == "FROZEN":
                    return
                if time.monotonic() >= end:
                    break
                tries += 1
                if tries % 50 == 0:
                    files.write(file, "THAWED")
                time.sleep(0.01 if tries % 50 == 0 else 0.0005)
        except BaseException as error:
            tree.write_if_there(file, "THAWED")
            if isinstance(error, OSError):
                raise files.failure("write", file, error) from error
            raise
        tree.write_if_there(file, "THAWED")
        raise CgroupError(f"{file}: not frozen within {seconds:g} s: {files.describe(self.pids())}")

    def thaw(self) -> None:
        if "freezer" in self.paths:
            tree.write_if_there(f"{self.paths['freezer']}/freezer.state", "THAWED")

    def frozen(self) -> bool:
        directory = self.paths.get("freezer")
        try:
            return directory is not None and files.read(f"{directory}/freezer.self_freezing").strip() == "1"
        except OSError:
            return False

    def oom_kills(self) -> int:
        directory = self.paths.get("memory")
        return files.key(f"{directory}/memory.oom_control", "oom_kill") if directory else 0

    def remove(self, *, parents: bool = False, seconds: float = REMOVE_SECONDS) -> None:
        unified = self.paths.get("")
        if unified and (unified not in self.made or files.rmdir(unified)):
            # The cgroup2 tree tells when the last process is gone; v1 does not
            files.wait(f"{unified}/cgroup.events", "populated 0", seconds)
        tree.remove(self._leaves(), self.made, seconds)
        if parents:
            tree.unmake(self.made)


def _no_file(write: "Write", file: str) -> CgroupError:
    return CgroupError(f"this kernel has no {file} in a cgroup of {write.controller}", write.pointer)
