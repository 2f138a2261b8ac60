# SPDX-License-Identifier: Apache-2.0
"""The cgroup of a container in a cgroup2 tree (cgroups(7), Documentation/admin-guide/cgroup-v2.rst)."""

import errno
import posix

from pyrunc.cgroups import files, tree
from pyrunc.cgroups.driver import FREEZE_SECONDS, REMOVE_SECONDS, Cgroup
from pyrunc.cgroups.path import ROOT
from pyrunc.errors import CgroupError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.resources import Write
    from pyrunc.config.fields import Section

_SIGKILL = 9
# Controllers that a threaded cgroup cannot have
_DOMAIN = frozenset(("memory", "io", "hugetlb", "rdma", "misc"))


class Unified(Cgroup):
    """See Cgroup; paths has the one key ""."""

    __slots__ = ("_fresh", "_lenient", "_owner")

    def __init__(
        self,
        paths: "dict[str, str]",
        made: "list[str]",
        root: str = ROOT,
        *,
        lenient: bool = False,
        owner: "int | None" = None,
    ) -> None:
        super().__init__(paths, made, root, mode="v2")
        self._lenient = lenient
        self._owner = owner
        self._fresh = False

    @property
    def path(self) -> str:
        """The directory; "" for a rootless container that goes without."""
        return self.paths.get("", "")

    def _create(self, planned: "list[str]") -> None:
        try:
            tree.make(self.path, planned, self.made)
            self._pass_controllers()
        except PermissionError as error:
            self._without(error)
            return
        except OSError as error:
            if error.errno == errno.EROFS:
                self._without(error)
                return
            raise tree.not_made(self.path, error) from error
        self._fresh = True
        self._check()
        self._give()

    def _give(self) -> None:
        """Make it the container's, where its user sees it as a root of its own."""
        if self._owner is not None:
            from pyrunc.cgroups import delegate

            try:
                delegate.give(self.path, self._owner)
            except OSError as error:
                raise files.failure("chown", self.path, error) from error

    def _without(self, error: OSError) -> None:
        if not self._lenient:
            raise tree.not_made(self.path, error) from error
        tree.unmake(self.made)
        self.paths, self.made = {}, []

    def _pass_controllers(self) -> None:
        """Enable what each parent has for its children: all of it, as engines read memory.current and pids.current of
        containers without limits. What cannot be enabled is missed by the limit that needs it.
        """
        names = self.path[len(self.root) + 1 :].split("/")[:-1]
        directory = self.root
        for name in ("", *names):
            directory = f"{directory}/{name}" if name else directory
            have = set(files.read(f"{directory}/cgroup.subtree_control").split())
            wanted = [word for word in files.read(f"{directory}/cgroup.controllers").split() if word not in have]
            if not wanted:
                continue
            file = f"{directory}/cgroup.subtree_control"
            if not tree.try_write(file, " ".join(f"+{word}" for word in wanted)) and len(wanted) > 1:
                for word in wanted:
                    tree.try_write(file, f"+{word}")

    def _check(self) -> None:
        """Refuse a cgroup that has processes (it is someone else's) or is frozen (the container would hang)."""
        try:
            events = files.read(f"{self.path}/cgroup.events").splitlines()
            kind = files.read(f"{self.path}/cgroup.type").strip()
        except OSError as error:
            raise files.failure("read", self.path, error) from error
        if "populated 1" in events:
            pids = self.pids()
            raise CgroupError(f"{self.path}: not empty: {len(pids)} processes: {files.describe(pids)}")
        self._check_running()
        if kind == "domain invalid":
            # Beneath a threaded cgroup only a threaded one can have processes (cgroups(7), "Thread mode")
            for directory in [one for one in self.made if one != self.path] + [self.path]:
                tree.try_write(f"{directory}/cgroup.type", "threaded")

    def _check_running(self) -> None:
        events = files.read(f"{self.path}/cgroup.events").splitlines()
        if "frozen 1" in events or files.read(f"{self.path}/cgroup.freeze").strip() == "1":
            raise CgroupError(f"{self.path}: frozen, itself or by a cgroup above it")

    def apply(self, resources: "Section | None") -> list[str]:
        from pyrunc.cgroups.resources import warnings, writes

        asked = writes(resources, True)
        limits = [write for write in asked if not write.optional]
        if limits and not self.path:
            raise CgroupError(
                "this rootless container has no cgroup: limits need root or a delegated cgroup",
                limits[0].pointer,
            )
        if self.path:
            self._check_domain(asked)
            self._write(asked, resources)
            if not self._fresh and resources and resources.has("devices"):
                self._replace_devices(resources)
        return warnings(resources)

    def _write(self, asked: "list[Write]", resources: "Section | None") -> None:
        memory = resources.section("memory") if resources else None
        if memory is None or not memory.flag("checkBeforeUpdate"):
            tree.write_all(asked, {}, self.path, self._missing)
            return
        from pyrunc.cgroups import memory_room

        high = memory_room.make(self.path, memory)
        try:
            tree.write_all(asked, {}, self.path, self._missing)
        except BaseException:
            memory_room.restore(self.path, high)
            raise
        if all(file != "memory.high" for write in asked for file, _ in write.choices):
            memory_room.restore(self.path, high)

    def _check_domain(self, asked: "list[Write]") -> None:
        domain = next((write for write in asked if write.controller in _DOMAIN), None)
        if domain is None:
            return
        try:
            kind = files.read(f"{self.path}/cgroup.type").strip()
        except OSError:
            return
        if kind not in {"domain", "domain threaded"}:
            why = f"{self.path} is {kind}, where the controller {domain.controller} does not work"
            raise CgroupError(f"{why}: a cgroup above it is threaded, or has processes of its own", domain.pointer)

    def _missing(self, write: "Write", file: str) -> CgroupError:
        controller = write.controller
        try:
            have = files.read(f"{self.path}/cgroup.controllers").split()
        except OSError as error:
            return files.failure("read", self.path, error, pointer=write.pointer)
        if controller in have or controller == "cgroup":
            return CgroupError(f"this kernel has no {file} in a cgroup", write.pointer)
        above = files.read(f"{self.root}/cgroup.controllers").split()
        why = "it is not enabled down to this cgroup" if controller in above else f"{self.root} has: {' '.join(above)}"
        return CgroupError(f"the requested cgroup controller `{controller}` is not available: {why}", write.pointer)

    def _replace_devices(self, limits: "Section") -> None:
        from pyrunc.cgroups import devices_bpf
        from pyrunc.plan import device_filter

        fd = files.open_directory(self.path)
        try:
            devices_bpf.replace(fd, device_filter.assemble(*device_filter.rules(limits)))
        except OSError as error:
            raise files.failure("bpf", self.path, error, pointer=limits.at("devices")) from error
        finally:
            posix.close(fd)

    def join(self, pid: int, sub: "dict[str, str] | None" = None) -> None:
        fd = self.open_directory(sub)
        if fd is None:
            return
        try:
            files.add(fd, pid)
        except OSError as error:
            why = ""
            if error.errno == errno.EBUSY:
                why = "it passes controllers on to cgroups beneath it, so it can have no processes (cgroups(7))"
            elif error.errno == errno.EOPNOTSUPP:
                why = "a cgroup above it is threaded, or has processes of its own"
            raise files.failure("write", f"{self.path}/cgroup.procs", error, why) from error
        finally:
            posix.close(fd)

    def open_directory(self, sub: "dict[str, str] | None" = None, init: "int | None" = None) -> "int | None":
        if not self.path:
            return None
        if sub:
            if set(sub) != {""}:
                raise UsageError("on cgroup v2 --cgroup takes a path without controllers")
            try:
                return files.open_beneath(self.path, sub[""])
            except OSError as error:
                raise files.failure("open", f"{self.path}/{sub['']}", error) from error
        directory = self.path
        if init is not None and self._passes_on():
            directory = self._cgroup_of(init) or directory
        try:
            return files.open_directory(directory)
        except OSError as error:
            raise files.failure("open", directory, error) from error

    def entrances(
        self, sub: "dict[str, str] | None" = None, init: "int | None" = None
    ) -> "tuple[int | None, list[int]]":
        return self.open_directory(sub, init), []

    def _passes_on(self) -> bool:
        try:
            return bool(files.read(f"{self.path}/cgroup.subtree_control").strip())
        except OSError:
            return True

    def _cgroup_of(self, pid: int) -> "str | None":
        try:
            lines = files.read(f"/proc/{pid}/cgroup").splitlines()
        except OSError:
            return None
        inner = next((line[3:] for line in lines if line.startswith("0::/") and "/.." not in line), None)
        return self.root + inner if inner else None

    def host_rows(self) -> tuple[tuple[str, str, str, str], ...]:
        return (("", "", self.root, self.path[len(self.root) :] or "/"),)

    def pids(self, all: bool = True) -> list[int]:
        return files.processes(self.path, all) if self.path else []

    def signal(self, number: int) -> None:
        if not self.path:
            return
        # cgroup.kill (Linux 5.14) reaches forks in progress too, and frozen processes
        if number == _SIGKILL and tree.try_write(f"{self.path}/cgroup.kill", "1"):
            return
        tree.signal_frozen(self, number)

    def freeze(self, seconds: float = FREEZE_SECONDS) -> None:
        if not self.path:
            raise CgroupError("a container without a cgroup cannot be frozen")
        try:
            files.write(f"{self.path}/cgroup.freeze", "1")
            done = files.wait(f"{self.path}/cgroup.events", "frozen 1", seconds)
        except BaseException as error:
            tree.try_write(f"{self.path}/cgroup.freeze", "0")
            if isinstance(error, OSError):
                raise files.failure("write", f"{self.path}/cgroup.freeze", error) from error
            raise
        if not done:
            tree.try_write(f"{self.path}/cgroup.freeze", "0")
            raise CgroupError(f"{self.path}: not frozen within {seconds:g} s: {files.describe(self.pids())}")

    def thaw(self) -> None:
        if self.path:
            tree.write_if_there(f"{self.path}/cgroup.freeze", "0")

    def frozen(self) -> bool:
        try:
            return bool(self.path) and files.read(f"{self.path}/cgroup.freeze").strip() == "1"
        except OSError:
            return False

    def oom_kills(self) -> int:
        return files.key(f"{self.path}/memory.events", "oom_kill") if self.path else 0

    def remove(self, *, parents: bool = False, seconds: float = REMOVE_SECONDS) -> None:
        if not self.path:
            return
        if files.rmdir(self.path) if self.path in self.made else True:
            files.wait(f"{self.path}/cgroup.events", "populated 0", seconds)
            tree.remove([self.path], self.made, 1.0)
        if parents:
            tree.unmake(self.made)
