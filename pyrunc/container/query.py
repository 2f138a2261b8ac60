# SPDX-License-Identifier: Apache-2.0
"""What is known of containers: `state` and `list`, and the state that hooks read (runtime.md#state)."""

import posix

from pyrunc.errors import PyruncError
from pyrunc.state.status import STOPPED, actual, load
from pyrunc.state.store import entries, open_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.settings import Settings
    from pyrunc.state.record import Record
    from pyrunc.state.store import Entry


def state(settings: "Settings", container_id: str) -> dict[str, object]:
    """The object that runc prints, so ordered: ociVersion id pid status bundle rootfs created annotations? owner.

    pid is 0 once stopped; owner is "", as in runc's. One in a unit of systemd has crun's systemd-scope, too: its name.
    NotFoundError, StateError.
    """
    entry = open_entry(settings.root, container_id)
    try:
        record = load(entry)
        value = _object(record, status_of(entry, record), "")
        if type(unit := record.cgroup.get("unit")) is str:
            value["systemd-scope"] = unit.rpartition(" ")[2]
        return value
    finally:
        entry.close()


def containers(settings: "Settings") -> list[dict[str, object]]:
    """The objects of all containers by id, with the owner's name; one that cannot be read is a warning."""
    found = []
    names: dict[int, str] = {}
    for container_id in entries(settings.root):
        try:
            entry = open_entry(settings.root, container_id)
        except PyruncError as error:
            settings.warn(f"container {container_id}: {error}")
            continue
        try:
            record = load(entry)
            if record.owner not in names:
                names[record.owner] = _name_of(record.owner)
            found.append(_object(record, status_of(entry, record), names[record.owner]))
        except PyruncError as error:
            settings.warn(f"container {container_id}: {error}")
        finally:
            entry.close()
    return found


def status_of(entry: "Entry", record: "Record") -> str:
    """The status now, with the freezer looked at: creating, created, running, paused or stopped."""
    return actual(entry, record, frozen)


def frozen(record: "Record") -> bool:
    """Whether the freezer of the container's cgroup holds it. Reads the one file, as the driver's modules cost 1 ms."""
    paths = record.cgroup.get("paths")
    if type(paths) is not dict:
        return False
    # cgroup v1 has the controller freezer; cgroup2 has the file in every cgroup (cgroup-v2.rst, cgroup.freeze).
    for controller, name, word in (("freezer", "freezer.state", b"FROZEN"), ("", "cgroup.freeze", b"1")):
        directory = paths.get(controller)
        if type(directory) is str:
            return _first_line(f"{directory}/{name}") == word
    return False


def hook_state(record: "Record", status: str, pid: "int | None" = None) -> bytes:
    """The state as hooks get it on stdin: the specification's members only. `pid` in place of the record's."""
    from pyrunc.config.dump import dump

    value: dict[str, object] = {"ociVersion": record.oci_version, "id": record.id, "status": status}
    if number := record.pid if pid is None else pid:
        value["pid"] = number
    value["bundle"] = record.bundle
    if record.annotations:
        value["annotations"] = record.annotations
    return dump(value).encode("ascii")


def _object(record: "Record", status: str, owner: str) -> dict[str, object]:
    value: dict[str, object] = {
        "ociVersion": record.oci_version,
        "id": record.id,
        "pid": 0 if status == STOPPED else record.pid,
        "status": status,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
    }
    if record.annotations:
        value["annotations"] = record.annotations
    value["owner"] = owner
    return value


def _first_line(path: str) -> bytes:
    """The first line of a file; b"" when it cannot be read."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return posix.read(fd, 64).partition(b"\n")[0]
    except OSError:
        return b""
    finally:
        posix.close(fd)


def _name_of(uid: int) -> str:
    """The user's name in /etc/passwd, else "#" and the number. The C library's look-up would load NSS modules."""
    if uid == 0:
        return "root"
    try:
        fd = posix.open("/etc/passwd", posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:
        return f"#{uid}"
    try:
        lines = posix.read(fd, 1 << 20).split(b"\n")
    finally:
        posix.close(fd)
    for line in lines:
        fields = line.split(b":")
        if len(fields) > 2 and fields[2] == b"%d" % uid:
            return fields[0].decode("utf-8", "backslashreplace")
    return f"#{uid}"
