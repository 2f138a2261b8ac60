# SPDX-License-Identifier: Apache-2.0
"""`update`: new limits for a container that is there, merged with those that it has, and saved for the next update."""

from pyrunc.cgroups.driver import from_state
from pyrunc.config.fields import Section
from pyrunc.container.query import status_of
from pyrunc.errors import CgroupError, UsageError
from pyrunc.state import status
from pyrunc.state.store import CONFIG, open_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.driver import Cgroup
    from pyrunc.container.settings import Settings
    from pyrunc.state.store import Entry

POINTER = "/linux/resources"
LOCK_SECONDS = 10.0

# Fields of which 0 or "" is "not set": engines that leave no field out mean "as it is"
_UNSET = {
    "memory": ("limit", "reservation", "swap", "kernel", "kernelTCP"),
    "cpu": ("shares", "quota", "period", "realtimePeriod", "realtimeRuntime", "cpus", "mems"),
    "blockIO": ("weight", "leafWeight"),
    "network": ("classID",),
}
_OBJECTS = (*_UNSET, "pids", "rdma", "unified")
# Arrays whose entries have a key: one entry is changed, the others stay
_KEYS = {
    "weightDevice": ("major", "minor"),
    "throttleReadBpsDevice": ("major", "minor"),
    "throttleWriteBpsDevice": ("major", "minor"),
    "throttleReadIOPSDevice": ("major", "minor"),
    "throttleWriteIOPSDevice": ("major", "minor"),
    "hugepageLimits": ("pageSize",),
    "priorities": ("name",),
}
# Fields that mean something together only: what is asked for is written with the one that the container has
_BOUND = {
    ("memory", "limit"): ("swap", "checkBeforeUpdate"),
    ("memory", "swap"): ("limit", "checkBeforeUpdate"),
    ("cpu", "quota"): ("period",),
    ("cpu", "period"): ("quota",),
}


def update(
    settings: "Settings",
    container_id: str,
    resources: dict[str, object],
    *,
    l3_cache_schema: "str | None" = None,
    mem_bw_schema: "str | None" = None,
) -> None:
    """Set the limits of `resources`, shaped as linux.resources; what it does not name stays. All of it, or nothing.

    StatusError "container not running"; ConfigError and CgroupError name the field, as those of create do.
    """
    entry = open_entry(settings.root, container_id)
    try:
        entry.lock(LOCK_SECONDS)
        record = status.load(entry)
        status.require("update", record.id, status_of(entry, record))
        config = _config(entry)
        linux = config.setdefault("linux", {})
        if type(linux) is not dict:
            raise Section(config).refuse("linux", "must be an object")
        _refuse_rdt(linux, l3_cache_schema, mem_bw_schema)
        schemata = {"l3CacheSchema": l3_cache_schema, "memBwSchema": mem_bw_schema}
        schemata = {field: text for field, text in schemata.items() if text}
        old = Section(linux, "/linux").section("resources") or Section({}, POINTER)
        asked = wanted(Section(resources, POINTER), old)
        new = merge(old.data, asked)
        for warning in _apply(from_state(record.cgroup), Section(bound(asked, new), POINTER), Section(new, POINTER)):
            settings.warn(warning)
        if schemata:
            _change_rdt(linux, record.id, schemata)
        if asked or schemata:
            from pyrunc.config.dump import dump

            linux["resources"] = new
            entry.write(CONFIG, dump(config).encode("ascii"))
    finally:
        entry.close()


def _config(entry: "Entry") -> dict[str, object]:
    from pyrunc.config.load import parse

    return parse(entry.read(CONFIG))


def _refuse_rdt(linux: dict[str, object], l3_cache_schema: "str | None", mem_bw_schema: "str | None") -> None:
    """Schemata change those that a container began with; the words are runc's."""
    from pyrunc.cgroups import files

    for text, name, folder in (
        (l3_cache_schema, "CAT: l3 cache", "L3"),
        (mem_bw_schema, "MBA: memory bandwidth", "MB"),
    ):
        if not text:
            continue
        if not files.exists(f"/sys/fs/resctrl/info/{folder}"):
            raise UsageError(f"Intel RDT/{name} schema is not enabled")
        if not linux.get("intelRdt"):
            raise UsageError("updating a non-existent Intel RDT configuration is not supported")


def _change_rdt(linux: dict[str, object], container_id: str, schemata: "dict[str, str | None]") -> None:
    """Write the schemata, and keep them in the config, where a later call finds them."""
    from pyrunc.config import intel_rdt_rules
    from pyrunc.process.intel_rdt import of_running

    section = Section(linux, "/linux").require("intelRdt")
    changed = Section(dict(schemata), section.pointer)
    intel_rdt_rules.check_section(changed)
    of_running(section, container_id).update(changed)
    section.data.update(schemata)


def wanted(new: Section, old: Section) -> dict[str, object]:
    """What of `new` asks for something: no null, no "not set", no device list that is the container's already.

    A list of devices comes with every update of CRI, and what a hook allowed since is in neither of them.
    """
    found: dict[str, object] = {}
    for key, value in new.data.items():
        if value is None or (key == "devices" and value == (old.data.get(key) or [])):
            continue
        if type(value) is dict:
            found[key] = {
                name: inner
                for name, inner in value.items()
                if inner is not None and not (name in _UNSET.get(key, ()) and inner in (0, ""))
            }
        elif key in _OBJECTS:
            raise new.refuse(key, "must be an object")
        else:
            found[key] = value
    return {key: value for key, value in found.items() if value != {}}


def merge(old: dict[str, object], new: dict[str, object]) -> dict[str, object]:
    """`old` with `new`: objects field by field, arrays with a key entry by entry, anything else replaced."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if type(value) is dict and type(before) is dict:
            merged[key] = merge(before, value)
        elif key in _KEYS and type(value) is list and type(before) is list:
            merged[key] = _merge_entries(before, value, _KEYS[key])
        else:
            merged[key] = value
    if new.get("limit") == -1 and "swap" not in new:
        merged.pop("swap", None)  # unlimited memory is unlimited swap, as runc has it
    return merged


def _merge_entries(old: list[object], new: list[object], names: tuple[str, ...]) -> list[object]:
    merged = list(old)
    for entry in new:
        if type(entry) is not dict:
            raise UsageError(f"an entry with {' and '.join(names)} must be an object")
        for index, before in enumerate(merged):
            if type(before) is dict and all(before.get(name) == entry.get(name) for name in names):
                merged[index] = before | entry
                break
        else:
            merged.append(entry)
    return merged


def bound(asked: dict[str, object], merged: dict[str, object]) -> dict[str, object]:
    """What is asked for, with those fields of the container that it means nothing without."""
    found: dict[str, object] = {}
    for key, value in asked.items():
        found[key] = value
        after = merged[key]
        if type(value) is dict and type(after) is dict:
            names = [name for field in value for name in _BOUND.get((key, field), ())]
            if key == "cpu" and value.get("idle") == 0:
                names.append("shares")  # which the kernel forgot when it became idle
            found[key] = value | {name: after[name] for name in names if name in after}
    return found


def _apply(cgroup: "Cgroup", resources: Section, whole: Section) -> list[str]:
    """Write the limits, or when one is refused restore those that were written; `whole`: all that then are in force."""
    from pyrunc.cgroups import rollback
    from pyrunc.cgroups.resources import writes

    asked = writes(resources, cgroup.mode == "v2")
    limits = [write for write in asked if not write.optional]
    if limits and not cgroup.paths:
        raise CgroupError("this container has no cgroup: limits cannot be set", limits[0].pointer)
    before = rollback.remember(asked, cgroup)
    try:
        warnings = cgroup.apply(resources)
    except BaseException:
        rollback.restore(before)
        raise
    cgroup.renew(resources, whole)
    return warnings
