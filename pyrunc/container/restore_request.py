# SPDX-License-Identifier: Apache-2.0
"""What criu is asked for a restore: the parts that config.json and the host have to give to a checkpoint."""

import posix

from pyrunc.container.checkpoint import DESCRIPTORS, EXTERNAL, real
from pyrunc.container.criu_yard import unified
from pyrunc.criu import mounts
from pyrunc.errors import ConfigError, HostError
from pyrunc.linux.errnos import reason
from pyrunc.plan import rootfs
from pyrunc.plan.restore import FIRST
from pyrunc.process.look import View
from pyrunc.process.notify import INSIDE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.launch import Draft
    from pyrunc.criu.messages import Message
    from pyrunc.criu.options import Options

_FILE_MAX = 65536


def namespaces(draft: "Draft") -> list[tuple[str, int]]:
    """The namespaces that criu is to find as descriptors: (key, descriptor); the caller closes them."""
    found = []
    for word, (_, key) in EXTERNAL.items():
        if word in draft.wanted.paths:
            _, path, pointer = draft.wanted.paths[word]
            try:
                found.append((key, posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)))
            except OSError as error:
                for _, fd in found:
                    posix.close(fd)
                raise ConfigError(f"{path}: {reason(error.errno)}", pointer) from error
    return found


def compose(draft: "Draft", options: "Options", folder: str, inherited: list[tuple[str, int]], pid: int) -> "Message":
    """The options of criu, which runs as `pid` with `inherited` from plan.restore.FIRST + 1 on; `folder`: where that
    program has laid the sources of binds.
    """
    fds: list[Message] = [{"key": key, "fd": FIRST + 1 + place} for place, (key, _) in enumerate(inherited)]
    fds += [{"key": key, "fd": fd} for fd, key in enumerate(_described(options)) if key.startswith(("pipe:", "file["))]
    if "cgroup" in draft.wanted.paths:
        raise ConfigError("CRIU can join no cgroup namespace", draft.wanted.paths["cgroup"][2])
    joined = [
        {"ns": "mnt" if word == "mount" else word, "ns_file": path}
        for word, (_, path, _) in draft.wanted.paths.items()
        if word not in EXTERNAL
    ]
    return {
        **options.request(draft.config),
        "root": rootfs.path(draft.config),
        "rst_sibling": True,
        "evasive_devices": True,
        "inherit_fd": fds,
        "join_ns": joined,
        "ext_mnt": _mounts(draft, folder),
        "cg_root": _cgroups(pid),
        # With cgroup2 in it; what criu misses there it mounts
        "cgroup_yard": folder if unified() else None,
    }


def _mounts(draft: "Draft", folder: str) -> "list[mounts.Pair]":
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        rows = mounts.table(file.read())
    view = View(0, rootfs.path(draft.config))
    try:
        below = real(view, "/")
        found = mounts.sources(draft.config, rows, lambda path: real(view, path, below), folder, _bound_cgroups(draft))
    finally:
        view.close()
    if not draft.notifies:
        # A container that had a supervisor, and has none here
        found.append({"key": INSIDE, "val": f"{folder}/empty"})
    return found


def _bound_cgroups(draft: "Draft") -> list[tuple[str, str]]:
    """(path below a cgroup mount, what of the host is bound there), where plan.cgroup_mount makes binds."""
    if draft.wanted.private("cgroup"):
        return []
    rows = draft.host.cgroups
    if draft.host.cgroup_mode == "v2":
        return [("", rows[0][2] if rows else "/sys/fs/cgroup")]
    return [("/" + place.rpartition("/")[2], place + below) for _, _, place, below in rows]


def _described(options: "Options") -> list[str]:
    """What 0, 1 and 2 were connected with: pipes and files there are to be ours."""
    from pyrunc.config.load import parse

    path = f"{options.image_path}/{DESCRIPTORS}"
    try:
        fd = posix.open(DESCRIPTORS, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK, dir_fd=options.images)
        try:
            data = posix.read(fd, _FILE_MAX)
        finally:
            posix.close(fd)
    except OSError as error:
        raise HostError(f"{path}: {reason(error.errno)}: is it a checkpoint of a container?") from error
    found = parse(b'{"list":%s}' % data, path)["list"]
    if type(found) is not list or not all(type(text) is str for text in found):
        raise HostError(f"{path}: is no list of texts")
    return [str(text) for text in found[:3]]


def _cgroups(pid: int) -> "list[Message]":
    """Where criu is, in each hierarchy: below it the container's cgroups are made, as they were below the old ones."""
    found: list[Message] = []
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            found += [{"ctrl": name, "path": path} for name in controllers.split(",")]
    return found
