# SPDX-License-Identifier: Apache-2.0
"""The cgroup of a container that systemd makes: a transient scope, with its limits as properties and in the files.

A scope begins with a process and ends with its last one. Another process, the holder, waits in it until the container's
first process is born in it, or has entered it: nothing of the container runs in any other cgroup before.
"""

import time

from pyrunc.cgroups import files, tree, unit_name
from pyrunc.cgroups.driver import REMOVE_SECONDS, Cgroup
from pyrunc.cgroups.path import Hierarchy, hierarchies
from pyrunc.cgroups.unit import Unit
from pyrunc.errors import CgroupError, ConfigError, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.unit_properties import Property
    from pyrunc.config.fields import Config, Section

SUBGROUP = "run.oci.systemd.subgroup"
"""An annotation of crun: the cgroup below the scope that the container gets; without it it has the scope itself."""
RUNNING = "/run/systemd/system"
"""It is there when the host was booted with systemd: sd_booted(3)."""
_RENEWED = frozenset(("cpu", "memory", "io", "blkio", "pids"))
_ONE = ("TasksMax", ("t", 1))


class Scope(Cgroup):
    """What both versions of cgroups do; scope_v1.py and scope_v2.py fill it. Without slots, as it is a second base.

    unit: the scope. _asks: whether the manager is to move processes in, as we may not. _single: whether the limit is
    one process, which leaves no room for another beside the holder.
    """

    def bind(self, unit: Unit, properties: "list[Property]", limits: "list[Property]") -> None:
        """The unit, and what it begins with; without properties it is one that is there."""
        self.unit = unit
        self._asks = False
        self._holder = 0
        self._properties = properties
        self._single = self.mode == "v2" and _ONE in limits
        self._limits = [("TasksMax", ("t", 2)) if self._single and row == _ONE else row for row in limits]
        self._warnings: list[str] = []

    @property
    def scope(self) -> str:
        return f"{'user' if self.unit.user else 'system'} {self.unit.name}"

    def record(self) -> dict[str, object]:
        return {**super().record(), "unit": self.scope}

    def create(self, holder: int = 0) -> None:
        if holder <= 1:
            raise ValueError("a unit of systemd begins with a process")  # 0 would be the runtime itself
        self._holder = holder
        super().create()

    def _scope_of(self, leaf: str) -> str:
        """The directory of the scope itself: the container's, or above it when there is a subgroup."""
        name = unit_name.directory(self.unit.name)
        head, slash, _ = f"{leaf}/".partition(f"/{name}/")
        return f"{head}/{name}" if slash else leaf

    def _scopes(self) -> list[str]:
        return [self._scope_of(leaf) for leaf in dict.fromkeys(self.paths.values())]

    def _start(self) -> None:
        """Make the unit with the holder in it, and look whether it is where we have taken it to be."""
        for scope in self._scopes():
            if files.exists(scope) and (pids := files.processes(scope)):
                raise CgroupError(f"{scope}: not empty: {len(pids)} processes: {files.describe(pids)}")
        self._warnings = self.unit.start(self._properties, self._limits, self._holder)
        tracked = "name=systemd" if "name=systemd" in self.paths else ""
        where = self._scope_of(self.paths[tracked])
        for line in files.read(f"/proc/{self._holder}/cgroup").splitlines():
            _, names, found = line.split(":", 2)
            if names == tracked and not where.endswith(found):
                raise CgroupError(f"systemd has made the unit {self.unit.name} in the cgroup {found}, not in {where}")

    def apply(self, resources: "Section | None") -> list[str]:
        warnings = super().apply(resources)
        if not self._properties:
            return warnings + (self._update(resources) if resources is not None else [])
        if self._single:
            files.write(f"{self.paths['']}/pids.max", "2")
        return warnings + self._warnings

    def _update(self, resources: "Section") -> list[str]:
        from pyrunc.cgroups import unit_properties
        from pyrunc.cgroups.resources import writes
        from pyrunc.plan import device_filter

        v2 = self.mode == "v2"
        limits = unit_properties.of_limits(writes(resources, v2), v2, start=False)
        devices = resources.has("devices") and not self.unit.user
        if devices:
            limits += unit_properties.of_devices(*device_filter.rules(resources), v2)
        # On v1 systemd forbids every device before it allows those of its list (as runc has found)
        hold = devices and not v2 and not self.frozen()
        if hold:
            self.freeze()
        try:
            warnings = self.unit.set(limits)
            if devices and not v2:
                super().apply(resources)
        finally:
            if hold:
                self.thaw()
        return warnings

    def renew(self, changed: "Section", whole: "Section") -> None:
        from pyrunc.cgroups.resources import writes

        v2 = self.mode == "v2"
        controllers = {write.controller for write in writes(changed, v2)} & _RENEWED
        for write in writes(whole, v2):
            directory = self.paths.get(write.controller, self.paths[""] if v2 else "")
            if write.controller in controllers and directory:
                any(tree.try_write(f"{directory}/{file}", text) for file, text in write.choices)

    def settle(self) -> None:
        if self._single:
            self.unit.set([_ONE])
            files.write(f"{self.paths['']}/pids.max", "1")
        self.unit.close()

    def remove(self, *, parents: bool = False, seconds: float = REMOVE_SECONDS) -> None:
        if self.unit.made and self._emptied(seconds):
            try:
                self.unit.stop()
            except CgroupError:
                # systemd itself ends a scope with its last process: where it is gone, nobody need be asked
                if any(files.exists(scope) for scope in self._scopes()):
                    raise
        super().remove(parents=parents, seconds=seconds)

    def _emptied(self, seconds: float) -> bool:
        """Whether no process is left; systemd would send a SIGTERM to it that nobody has asked for."""
        end = time.monotonic() + seconds
        while any(files.processes(scope) for scope in self._scopes()):
            if time.monotonic() >= end:
                return False
            time.sleep(0.002)
        return True


def open_scope(config: "Config", container_id: str, *, rootless: bool, root: str, owner: "int | None") -> Cgroup:
    """The cgroup of linux.cgroupsPath "slice:prefix:name"; nothing is made yet. ConfigError, CgroupError."""
    from pyrunc.cgroups import unit_properties

    if not files.exists(RUNNING):
        raise CgroupError("systemd not running on this host, cannot use systemd cgroups manager")
    mode, trees = hierarchies(root)
    if rootless and mode != "v2":
        raise CgroupError("cannot use rootless systemd cgroups manager on cgroup v1")
    linux = config.section("linux")
    slice, name = unit_name.units(linux.text("cgroupsPath", "") if linux else "", container_id, user=rootless)
    properties = _properties(container_id, slice, mode == "v2") + unit_properties.of_annotations(config)
    limits = _limits(config, mode == "v2", rootless)
    unit = Unit(name, user=rootless)
    above = (unit.control_group() if rootless else "") + unit_name.slice_path(slice)
    scope = f"{above}/{unit_name.directory(name)}"
    below = scope + _subgroup(config)
    paths = {one: tree.mount + below for tree in trees for one in tree.names}
    made = [directory for tree in trees for directory in _made(tree, scope, below)]
    if mode == "v2":
        from pyrunc.cgroups.scope_v2 import UnifiedScope

        unified = UnifiedScope(paths, made, root, owner=owner)
        unified.bind(unit, properties, limits)
        return unified
    from pyrunc.cgroups.scope_v1 import LegacyScope
    from pyrunc.plan import device_filter

    rows = tuple((",".join(tree.names), tree.options, tree.mount, below) for tree in trees)
    legacy = LegacyScope(paths, made, root, mode=mode, rows=rows, devices=device_filter.of_config(config))
    legacy.bind(unit, properties, limits)
    return legacy


def _properties(container_id: str, slice: str, v2: bool) -> "list[Property]":
    accounting = ("MemoryAccounting", "CPUAccounting", "TasksAccounting", "IOAccounting" if v2 else "BlockIOAccounting")
    return [
        ("Description", ("s", f"pyrunc container {container_id}")),
        ("Slice", ("s", slice)),
        ("Delegate", ("b", True)),
        ("DefaultDependencies", ("b", False)),
        *((name, ("b", True)) for name in accounting),
    ]


def _limits(config: "Config", v2: bool, rootless: bool) -> "list[Property]":
    from pyrunc.cgroups import unit_properties
    from pyrunc.cgroups.resources import writes
    from pyrunc.plan import device_filter

    linux = config.section("linux")
    resources = linux.section("resources") if linux else None
    limits = unit_properties.of_limits(writes(resources, v2), v2, start=True)
    # As the filter itself: with a list only on v2, and never of an ordinary user, whose manager may load no program
    if not rootless and (not v2 or (resources is not None and resources.has("devices"))):
        limits += unit_properties.of_devices(*device_filter.of_config(config), v2)
    return limits


def _subgroup(config: "Config") -> str:
    text = config.strings("annotations").get(SUBGROUP, "")
    names = [name for name in text.split("/") if name not in {"", "."}]
    if ".." in names or not text.isprintable():
        raise ConfigError(f'"{text}" leaves the unit', f"/annotations/{SUBGROUP}")
    return "".join(f"/{name}" for name in names)


def _made(tree: Hierarchy, scope: str, below: str) -> list[str]:
    """What is the container's own: the scope and what is below, and slices only where systemd makes none."""
    found: list[str] = []
    names = below.split("/")[1:]
    for depth in range(1, len(names) + 1):
        path = "/" + "/".join(names[:depth])
        own = f"{path}/".startswith(f"{scope}/")
        if own or (tree.names != ("",) and not files.exists(tree.mount + path)):
            found.append(tree.mount + path)
    return found


def from_record(value: object, mode: object, paths: "dict[str, str]", made: "list[str]", root: str) -> Cgroup:
    """The cgroup of a record; StateError when the unit or the mode cannot be one."""
    unit = unit_of(value)
    if unit is None:
        raise StateError(f"the record of the cgroup has the unit {value!r}, which is none")
    if mode == "v2" and set(paths) <= {""}:
        from pyrunc.cgroups.scope_v2 import UnifiedScope

        unified = UnifiedScope(paths, made, root)
        unified.bind(unit, [], [])
        return unified
    if mode not in {"v1", "hybrid"}:
        raise StateError(f"the record of the cgroup has the mode {mode!r}, which is none")
    from pyrunc.cgroups.scope_v1 import LegacyScope

    legacy = LegacyScope(paths, made, root, mode=str(mode))
    legacy.bind(unit, [], [])
    return legacy


def unit_of(value: object) -> "Unit | None":
    """The unit that a record or a journal names, "system NAME" or "user NAME"; None when it is none of ours."""
    manager, _, name = value.partition(" ") if type(value) is str else ("", "", "")
    if manager not in {"system", "user"} or not unit_name.is_scope(name):
        return None
    return Unit(name, user=manager == "user", made=True)
