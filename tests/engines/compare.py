# SPDX-License-Identifier: Apache-2.0
"""What a container is, as the kernel shows it, beside the oracle: what runc and crun made of the same config.json.

`differences` are triples (what, theirs, ours), after the normalisation of mounts (KINDS_OF_MOUNT). One that is meant is
taken out by a row of DELIBERATE, with its reason.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.containers.box import is_v2
from tests.engines.adapt import KERNEL
from tests.engines.limits import NOT_COUNTED
from tests.engines.recorded import ORACLE, load

Json = dict[str, Any]
Difference = tuple[str, Any, Any]

STATUS = ("Umask", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
FLAGS = {"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"}
IDS = ("Uid", "Gid", "Groups")
KEPT_GROUPS = "run.oci.keep_original_groups"
KERNELS = "a bind of what is the kernel's"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "console")


def facts(pid: int, read: Callable[[str], str], caller: str) -> Json:
    """The process in the form of the oracle's `post`; `read` reads a file as the runtime's caller sees it, `caller` is
    the folder with his namespaces.
    """
    proc = f"/proc/{pid}"
    return {
        "mounts": mounts(read(f"{proc}/mountinfo")),
        "status": status(read(f"{proc}/status")),
        "own": [kind for kind in KINDS if os.readlink(f"{proc}/ns/{kind}") != os.readlink(f"{caller}/{kind}")],
        "oom_score_adj": int(read(f"{proc}/oom_score_adj")),
        "uid_map": [[int(word) for word in line.split()] for line in read(f"{proc}/uid_map").splitlines()],
        "cgroup": {},
    }


def status(text: str) -> dict[str, str]:
    rows = (line.partition(":") for line in text.splitlines())
    return {name: " ".join(value.split()) for name, _, value in rows if name in STATUS}


def mounts(text: str) -> list[list[str]]:
    """proc_pid_mountinfo(5) as [mount point, type, options, propagation, options of the file system, root]."""
    rows = []
    for line in text.splitlines():
        head, tail = (part.split(" ") for part in line.split(" - "))
        words = [word.partition(":")[0].replace("master", "slave") for word in head[6:]]
        rows.append([head[4], tail[0], head[5], " ".join(words), tail[2], head[3]])
    return rows


def differences(name: str, config: Json, found: Json, inside: str) -> list[Difference]:
    """What is not as runc or crun made it, and is not meant to be; `inside` is /proc/self/status of an exec."""
    theirs = ORACLE[name]["post"]
    rows = _process(theirs["status"], found["status"], mapped="user" in theirs["own"] or "rootless" in name)
    rows += _exec(config, found["status"], status(inside))
    rows.append(("own", theirs["own"], found["own"]))
    if "user" in theirs["own"]:
        rows.append(("uid_map", theirs["uid_map"], found["uid_map"]))
    rows.append(("oom_score_adj", _score(config, theirs["oom_score_adj"], load(name)), found["oom_score_adj"]))
    rows += _mounts(config, theirs["mounts"], found["mounts"])
    rows += [(file, theirs["cgroup"][file], value) for file, value in found["cgroup"].items()]
    context = Context(name, config)
    return [row for row in rows if row[1] != row[2] and not _meant(context, row)]


def _process(theirs: dict[str, str], ours: dict[str, str], *, mapped: bool) -> list[Difference]:
    """The lines of /proc/PID/status; without a user namespace nobody has a capability that this machine has not."""
    bounding = -1 if mapped else int(Path("/proc/self/status").read_text().partition("CapBnd:\t")[2][:16], 16)
    rows: list[Difference] = []
    for field in STATUS:
        value: Any = theirs.get(field)
        if field in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"):
            value = f"{int(value, 16) & bounding:016x}"
        rows.append((field, value, ours.get(field)))
    return rows


def _exec(config: Json, first: dict[str, str], inside: dict[str, str]) -> list[Difference]:
    """A process of exec is as the first one; but it was asked for its ids in its own user namespace."""
    user = config["process"]["user"]
    rows: list[Difference] = [(f"exec {field}", first[field], inside[field]) for field in STATUS if field not in IDS]
    rows.append(("exec Uid", " ".join([str(user["uid"])] * 4), inside["Uid"]))
    rows.append(("exec Gid", " ".join([str(user["gid"])] * 4), inside["Gid"]))
    if KEPT_GROUPS not in (config.get("annotations") or {}):
        groups = sorted({*(user.get("additionalGids") or [])})
        rows.append(("exec Groups", groups, sorted(map(int, inside["Groups"].split()))))
    return rows


def _score(config: Json, theirs: int, recorded: Json) -> int:
    """Asked for and adapted, or that of the caller: the recorded one says nothing."""
    asked = config["process"].get("oomScoreAdj")
    if asked is None:
        return int(Path("/proc/self/oom_score_adj").read_text())
    return theirs if asked == recorded["process"].get("oomScoreAdj") else int(asked)


def _mounts(config: Json, theirs: list[list[str]], ours: list[list[str]]) -> list[Difference]:
    one, two = ({row[0]: row for row in side} for side in (theirs, ours))
    rows: list[Difference] = []
    for point in sorted(one.keys() | two.keys()):
        kind, asked = kind_of(config, point)
        first, second = (normal(kind, asked, side[point]) if point in side else None for side in (one, two))
        rows.append((f"{kind} {point}", first, second))
    return rows


def kind_of(config: Json, point: str) -> tuple[str, set[str]]:
    """Which part of the configuration made a mount, and the flags that were asked for."""
    linux = config["linux"]
    if point == "/":
        return "root", {"ro"}
    found = ("", set[str]())
    for mount in config["mounts"]:
        options = set(mount.get("options") or [])
        below = point.startswith(mount["destination"] + "/")
        if point == mount["destination"]:
            if mount["source"] in KERNEL:
                options = options | {KERNELS}
            kind = "bind" if options & {"bind", "rbind"} else "cgroup" if mount["type"] == "cgroup" else "filesystem"
            found = kind, options
        elif below and mount["source"] in KERNEL:
            found = "host", options
        elif below and mount["type"] == "cgroup":
            found = "below", options
    if point in (linux.get("maskedPaths") or []):
        return "masked", set()
    if point in (linux.get("readonlyPaths") or []):
        return "readonly", set()
    if not found[0] and point.removeprefix("/dev/") in DEVICES:
        return "device", set()
    if not found[0] and point in [device["path"] for device in linux.get("devices") or []]:
        return "device", set()
    return found


def normal(kind: str, asked: set[str], row: list[str]) -> Any:
    _, filesystem, options, propagation, super_options, _ = row
    flags = set(options.split(",")) & FLAGS
    if kind == "bind" and KERNELS in asked:
        return sorted(flags & asked)
    if kind in ("root", "bind"):
        return sorted(flags & ({*asked} | {"ro"})), propagation
    if kind == "filesystem":
        words = set(super_options.split(",")) - {"inode64"}
        return filesystem, sorted(flags), propagation, sorted(words)
    if kind == "device":
        return "bound"
    if kind == "host":
        return None
    if kind == "cgroup":
        return sorted(flags), propagation
    return filesystem, sorted(flags), propagation


# what is meant to differ


class Context:
    """Where a difference was found."""

    def __init__(self, name: str, config: Json) -> None:
        self.name = name
        self.crun = ORACLE[name]["runtime"].startswith("crun")
        self.user = config["process"]["user"]["uid"]
        self.keeps_groups = KEPT_GROUPS in (config.get("annotations") or {})
        self.propagation = config["linux"].get("rootfsPropagation", "")


Predicate = Callable[[Context, str, Any, Any], bool]


def _absent(_: Context, what: str, theirs: Any, ours: Any) -> bool:
    kind, *point = what.split(" ")
    return kind in ("masked", "readonly") and ours is None and not os.path.lexists(point[0])


def _present(_: Context, what: str, theirs: Any, ours: Any) -> bool:
    kind, *point = what.split(" ")
    return kind in ("masked", "readonly") and theirs is None and os.path.lexists(point[0])


def _stricter_mask(_: Context, what: str, theirs: Any, ours: Any) -> bool:
    return what.startswith("masked ") and ours is not None and {"ro", "nosuid", "noexec"} <= {*ours[1]}


def _hierarchies(_: Context, what: str, theirs: Any, ours: Any) -> bool:
    return what.startswith("below /sys/fs/cgroup/") and theirs is None and ours is not None and not is_v2()


def _propagated(context: Context, what: str, theirs: Any, ours: Any) -> bool:
    if not context.propagation or type(theirs) is not tuple or type(ours) is not tuple:
        return False
    return all(one == two for one, two in zip(theirs, ours, strict=True) if one not in PROPAGATIONS)


def _sysfs(context: Context, what: str, theirs: Any, ours: Any) -> bool:
    return what == "filesystem /sys" and context.crun and (*theirs[:3], ["ro"]) == ours


def _mode(_: Context, what: str, theirs: Any, ours: Any) -> bool:
    if not what.startswith("filesystem ") or theirs is None or ours is None:
        return False
    return theirs[:3] == ours[:3] and {*theirs[3]} - {*ours[3]} == {"mode=755"} and {*ours[3]} <= {*theirs[3]}


def _executed(context: Context, what: str, theirs: Any, ours: Any) -> bool:
    return what in ("CapPrm", "CapEff") and context.user != 0 and int(ours, 16) == 0


def _late_filter(context: Context, what: str, theirs: Any, ours: Any) -> bool:
    return what == "Seccomp" and context.crun and (theirs, ours) == ("0", "2")


def _buildah(context: Context, what: str, theirs: Any, ours: Any) -> bool:
    return "-build" in context.name and what.startswith("bind ") and (theirs[0], "slave") == ours


def _kept_groups(context: Context, what: str, theirs: Any, ours: Any) -> bool:
    return what == "Groups" and context.keeps_groups


def _hidden_cgroups(context: Context, what: str, theirs: Any, ours: Any) -> bool:
    if what != "cgroup /sys/fs/cgroup" or context.crun or theirs is None or ours is None:
        return False
    return "rootless" in context.name and theirs[0] == ["relatime", "ro"] and "ro" in ours[0]


def _no_swap(_: Context, what: str, theirs: Any, ours: Any) -> bool:
    return bool(ours == NOT_COUNTED)


PROPAGATIONS = ("", "shared", "slave", "shared slave")
OF_THE_MACHINE = (
    "a path that this kernel does not have needs no mask",
    "a path that the recording kernel did not have has a mask here",
    "on cgroup v1 type cgroup is a tmpfs with the hierarchies",
    "this kernel does not count swap",
)
DELIBERATE: tuple[tuple[str, Predicate], ...] = (
    *zip(OF_THE_MACHINE, (_absent, _present, _hierarchies, _no_swap), strict=True),
    ("masks are read-only, nosuid, noexec; a file's is the host's /dev/null, runc 1.1's the image's", _stricter_mask),
    ("theirs set rootfsPropagation before they bind the root privately, so that it does not reach it", _propagated),
    ("crun makes a mount read-only, and not its file system", _sysfs),
    ("a tmpfs without mode has that of its mount point: runc says it in an option, we by fchmod(2)", _mode),
    ("the oracle is of before execve(2), which leaves capabilities to root and to ambient ones", _executed),
    ("the oracle is of before `start`, when crun has not yet loaded a filter", _late_filter),
    ("buildah calls the runtime in a mount namespace where nothing is shared", _buildah),
    ("run.oci.keep_original_groups keeps the groups of the caller, who has others here", _kept_groups),
    (
        "runc hides the cgroups that it may not mount; ours are as read-only, and have the flags asked for",
        _hidden_cgroups,
    ),
)
"""Why a difference is meant, and which one it is."""


def _meant(context: Context, row: Difference) -> bool:
    for index, (_, predicate) in enumerate(DELIBERATE):
        if predicate(context, *row):
            used.add(index)
            return True
    return False


used: set[int] = set()
"""The rows of DELIBERATE that were needed until now."""
