# SPDX-License-Identifier: Apache-2.0
"""`pause` and `resume`: the freezer of the container's cgroup holds all its processes, and lets them go on."""

from pyrunc.cgroups.driver import from_state
from pyrunc.container.query import status_of
from pyrunc.errors import CgroupError
from pyrunc.state import status
from pyrunc.state.store import open_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.driver import Cgroup
    from pyrunc.container.settings import Settings

LOCK_SECONDS = 10.0
"""Another call may keep the lock while a hook runs, and the hook may be our caller: wait, but not for ever."""


def pause(settings: "Settings", container_id: str) -> None:
    """Freeze a created or running container. All of it or, when that fails or is interrupted, none of it.

    StatusError "container not running" or "container paused"; CgroupError, naming who does not stop, after 10 s.
    """
    _move(settings, container_id, "pause")


def resume(settings: "Settings", container_id: str) -> None:
    """Let a paused container go on. StatusError "container not paused"."""
    _move(settings, container_id, "resume")


def _move(settings: "Settings", container_id: str, move: str) -> None:
    entry = open_entry(settings.root, container_id)
    try:
        # Not beside delete, which thaws, nor beside start, whose report a frozen process cannot give
        entry.lock(LOCK_SECONDS)
        record = status.load(entry)
        status.require(move, record.id, status_of(entry, record))
        cgroup = from_state(record.cgroup)
        if cgroup.mode == "disabled":
            raise CgroupError("a container without a cgroup cannot be paused")
        if move == "pause":
            cgroup.freeze()
        else:
            _thaw(cgroup)
    finally:
        entry.close()


def _thaw(cgroup: "Cgroup") -> None:
    cgroup.thaw()
    # freezer.state of v1 shows the ancestors, too: then it is not ours to thaw
    if cgroup.mode != "v2" and "freezer" in cgroup.paths:
        from pyrunc.cgroups import files

        file = f"{cgroup.paths['freezer']}/freezer.parent_freezing"
        if files.exists(file) and files.read(file).strip() == "1":
            raise CgroupError(f"{cgroup.paths['freezer']}: still frozen by a cgroup above it")
