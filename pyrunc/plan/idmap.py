# SPDX-License-Identifier: Apache-2.0
"""The user namespaces of ID-mapped mounts: mount_setattr(2), MOUNT_ATTR_IDMAP.

The kernel copies the maps of a user namespace to the mount, so that any with the same maps will do. It takes the call
from nobody but the owner of the filesystem, and the process leaves that right behind when it enters the container's
user namespace. So the namespaces exist before the program starts: one for each set of mappings, made by the runtime
with a run of `holder` for each, and handed over as inputs of the program.
"""

from pyrunc.config.fields import Config, Section
from pyrunc.config.idmap_rules import FIELDS, rows
from pyrunc.config.namespaces import paths
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import AT_FDCWD, CLONE_NEWUSER, O_CLOEXEC, PR_SET_DUMPABLE, PR_SET_PDEATHSIG
from pyrunc.plan import ops
from pyrunc.plan.mount_row import Mount
from pyrunc.plan.program import Op, Program

_SIGKILL = 9
_ALL = 0xFFFFFFFF


def assign(mounts: list[Mount], config: Config, program: Program) -> list[Op]:
    """Give each mount that wants one its user namespace; the descriptors, to be closed when the mounts are made.

    Without mappings of its own that is the container's: one like it, or the one that is joined by path.
    """
    opened: dict[str, Op] = {}
    for mount in mounts:
        if not _wanted(mount.section, mount.options.idmap):
            continue
        section = _source(mount.section, config)
        name = "container's user namespace" if section is None else _name(section)
        if name not in opened:
            path = paths(config)["user"] if section is None else ""
            if path:
                pointer = f"{mount.origin}/options"
                opened[name] = program.call("openat", AT_FDCWD, path, O_CLOEXEC, 0, origin=pointer, to="userns")
            else:
                opened[name] = program.input(name)
        mount.idmap = opened[name]
    return list(opened.values())


def needed(config: Config) -> dict[str, Section]:
    """The user namespaces that the runtime has to make: the name of the input, the section that has the mappings."""
    found = {}
    for mount in config.sections("mounts"):
        if _wanted(mount, any(word in ("idmap", "ridmap") for word in mount.texts("options"))):
            section = _source(mount, config)
            if section is not None:
                found[_name(section)] = section
    return found


def holder(section: Section, host: Host) -> Program:
    """A program that holds a new user namespace until the runtime has written its maps and opened it."""
    program = Program(host.machine)
    program.call("close_range", program.input("first free"), _ALL, 0)
    if host.uid == 0:
        program.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
    program.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    program.call("unshare", CLONE_NEWUSER, origin=section.at(FIELDS[0]))
    program.sync(ops.PREPARE, "prepare")
    return program


def _wanted(mount: Section, option: bool) -> bool:
    return option or bool(mount.array(FIELDS[0]))


def _source(mount: Section, config: Config) -> "Section | None":
    """Whose mappings a mount gets; None: those of the user namespace that is joined."""
    if mount.array(FIELDS[0]):
        return mount
    return None if paths(config).get("user") else config.require("linux")


def _name(section: Section) -> str:
    users, groups = (" ".join(":".join(map(str, row)) for row in rows(section, field)) for field in FIELDS)
    return f"idmap {users}" if users == groups else f"idmap {users}, {groups}"
