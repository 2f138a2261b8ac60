# SPDX-License-Identifier: Apache-2.0
"""What is changed in a recorded configuration so that it can be planned, and run, without its engine: two tables.

A row: the field, what it was, what it becomes, why, and the function that does it.
"""

import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Row = tuple[str, str, str, str, Callable[..., None]]

# planning


def _cgroups_path(config: Json) -> None:
    words = config["linux"].get("cgroupsPath", "").split(":")
    if len(words) == 3:
        config["linux"]["cgroupsPath"] = f"/{words[0]}/{words[1]}-{words[2]}"


def _apparmor(config: Json) -> None:
    if config["process"].get("apparmorProfile") != "unconfined":
        config["process"].pop("apparmorProfile", None)


def _unified_here(config: Json) -> None:
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        config["linux"].get("resources", {}).pop("unified", None)


PLAN: tuple[Row, ...] = (
    (
        "/linux/resources/unified",
        "memory.high",
        "absent on cgroup v1",
        "it names files of cgroup v2, and is refused where there are none",
        _unified_here,
    ),
    (
        "/linux/cgroupsPath",
        "slice:prefix:name",
        "/slice/prefix-name",
        "the form of the systemd manager, which cgroupfs takes for a name, and no systemd runs here",
        _cgroups_path,
    ),
    (
        "/process/apparmorProfile",
        "docker-default, containers-default-0.62.2, cri-containerd.apparmor.d",
        "absent",
        "a profile that the host has not loaded, and that this version refuses",
        _apparmor,
    ),
)


def plannable(config: Json) -> Json:
    """The configuration after the rows of PLAN; it is changed in place."""
    for *_, change in PLAN:
        change(config)
    return config


# running


class Here:
    """What this machine gives in place of the engine's. bundle: a folder with rootfs/ and sources/, on a shared mount;
    token: unique to the test, and part of each cgroup's path; private: the namespaces that are not the caller's in the
    oracle; holders: /proc/PID/ns of a process with namespaces of its own, and of us; v2: cgroup2 alone is mounted.
    """

    def __init__(self, bundle: Path, token: str, private: Sequence[str], own: str, host: str, *, v2: bool) -> None:
        self.bundle = bundle
        self.token = token
        self.private = private
        self.own = own
        self.host = host
        self.v2 = v2

    @property
    def may_raise(self) -> bool:
        """CAP_SYS_RESOURCE, without which hard limits cannot be raised nor the oom score lowered."""
        status = Path("/proc/self/status").read_text().partition("CapEff:\t")[2]
        return bool(int(status[:16], 16) >> 24 & 1)


def mapped(config: Json, *, rootless: bool) -> tuple[int, int]:
    """The host's ids of the container's root; rootless podman's ids 0 and n are the host's 1000 and 99999 + n."""
    rows = [config["linux"].get(field) or [] for field in ("uidMappings", "gidMappings")]
    uid, gid = (next((row["hostID"] for row in maps if row["containerID"] == 0), 0) for maps in rows)
    if rootless:
        uid, gid = (99999 + number if number else 1000 for number in (uid, gid))
    return uid, gid


def _root(config: Json, here: Here) -> None:
    config["root"]["path"] = str(here.bundle / "rootfs")


COMMAND = ["/bin/busybox", "sleep", "1000"]


def _args(config: Json, here: Here) -> None:
    config["process"]["args"] = COMMAND


FILES = ("/etc/", "/run/secrets/", "/run/podman-init", "/run/.containerenv", "/sbin/docker-init", "/dev/")
DIRECTORIES = ("/dev/shm", "/dev/mqueue")
KERNEL = ("/proc", "/sys", "/dev/null", "/dev/mqueue", "/dev/shm", "/etc/passwd")


def _sources(config: Json, here: Here) -> None:
    for index, mount in enumerate(config["mounts"]):
        options = mount.get("options") or []
        if mount["type"] != "bind" or not {"bind", "rbind"} & {*options}:
            continue
        kernels = mount["source"] in KERNEL or mount["source"].startswith("/dev/")
        if kernels and Path(mount["source"]).exists():
            continue
        source = here.bundle / "sources" / str(index)
        target = mount["destination"]
        if target == "/dev/shm":
            mount["source"] = str(here.bundle.parents[1] / "shm")
            continue
        if target.startswith(FILES) and target not in DIRECTORIES:
            source.touch()
        else:
            source.mkdir()
        mount["source"] = str(source)


def _overlays(config: Json, here: Here) -> None:
    for index, mount in enumerate(config["mounts"]):
        for position, option in enumerate(mount.get("options") or []):
            key, equals, _ = option.partition("=")
            if mount["type"] == "overlay" and equals and key.endswith("dir"):
                folder = here.bundle / "sources" / f"{index}-{key}"
                folder.mkdir()
                mount["options"][position] = f"{key}={folder}"


def _namespaces(config: Json, here: Here) -> None:
    for row in config["linux"]["namespaces"]:
        if "path" in row:
            name = {"network": "net", "mount": "mnt"}.get(row["type"], row["type"])
            row["path"] = f"{here.own if name in here.private else here.host}/{name}"


def _hooks(config: Json, here: Here) -> None:
    for rows in (config.get("hooks") or {}).values():
        for hook in rows:
            hook["path"] = "/bin/busybox"
            hook["args"] = ["busybox", "grep", "-q", '"ociVersion".*"id".*"status".*"bundle"']


def _cgroup(config: Json, here: Here) -> None:
    path = config["linux"].get("cgroupsPath")
    if path:
        config["linux"]["cgroupsPath"] = f"/{here.token}{path}"


def _unified(config: Json, here: Here) -> None:
    if not here.v2:
        config["linux"].get("resources", {}).pop("unified", None)


def _controllers(config: Json, here: Here) -> None:
    if not here.v2:
        return
    present = Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    resources = config["linux"].get("resources", {})
    for section, controller in (("memory", "memory"), ("cpu", "cpu"), ("pids", "pids"), ("blockIO", "io")):
        if controller not in present:
            resources.pop(section, None)
    if "cpuset" not in present:
        for field in ("cpus", "mems"):
            resources.get("cpu", {}).pop(field, None)
    for name in [name for name in resources.get("unified", {}) if name.partition(".")[0] not in present]:
        resources["unified"].pop(name)


def _block(config: Json, here: Here) -> None:
    block = config["linux"].get("resources", {}).get("blockIO")
    if block is None:
        return
    names = ("io.weight", "io.bfq.weight") if here.v2 else ("blkio/blkio.weight", "blkio/blkio.bfq.weight")
    if not any((Path("/sys/fs/cgroup") / name).exists() for name in names):
        block.pop("weight", None)
    numbers = next(Path("/sys/block").glob("[!l]*/dev"), Path("/sys/block/loop0/dev")).read_text().split(":")
    for rows in block.values():
        for row in rows if isinstance(rows, list) else ():
            row["major"], row["minor"] = map(int, numbers)


def _limits(config: Json, here: Here) -> None:
    for row in (config["process"].get("rlimits") or []) if not here.may_raise else ():
        hard = resource.getrlimit(getattr(resource, row["type"]))[1]
        if hard != resource.RLIM_INFINITY:
            row["hard"], row["soft"] = min(row["hard"], hard), min(row["soft"], hard)


def _oom(config: Json, here: Here) -> None:
    process = config["process"]
    if process.get("oomScoreAdj") is not None and not here.may_raise:
        ours = int(Path("/proc/self/oom_score_adj").read_text())
        process["oomScoreAdj"] = max(process["oomScoreAdj"], ours)


RUN: tuple[Row, ...] = (
    ("/root/path", "the engine's overlay", "rootfs with a busybox", "the image is the engine's", _root),
    ("/process/args", "the command", "busybox sleep", "it has to stay for a look at it, and to be in the image", _args),
    ("/mounts/*/source", "files of the engine", "an empty file or folder", "the files are the engine's", _sources),
    ("/mounts/*/options", "lowerdir, upperdir, workdir", "empty folders", "the folders are the engine's", _overlays),
    (
        "/linux/namespaces/*/path",
        "those of a pod, or made by the engine",
        "those of a process of the test; ours, where the oracle says the host's",
        "an engine makes them before it calls the runtime",
        _namespaces,
    ),
    (
        "/hooks/*/*",
        "programs of the engine",
        "grep -q of what every state has",
        "it fails, and create with it, unless the state comes on stdin",
        _hooks,
    ),
    ("/linux/cgroupsPath", "/PATH", "/ID/PATH", "a test makes cgroups in a folder of its own", _cgroup),
    ("/linux/resources/unified", "memory.high", "absent on cgroup v1", "it names files of cgroup v2", _unified),
    (
        "/linux/resources",
        "memory, cpu, pids, blockIO, unified",
        "absent, where cgroup2 has no such controller",
        "as in a view of cgroup2 on a host whose controllers are those of v1",
        _controllers,
    ),
    (
        "/linux/resources/blockIO",
        "254:0, weight",
        "a disk of this machine; no weight where no scheduler has one",
        "limits are of devices and schedulers that exist",
        _block,
    ),
    (
        "/process/rlimits",
        "above our hard limit",
        "our hard limit, without CAP_SYS_RESOURCE",
        "the kernel refuses it",
        _limits,
    ),
    (
        "/process/oomScoreAdj",
        "below our score",
        "our score, without CAP_SYS_RESOURCE",
        "the kernel refuses it",
        _oom,
    ),
)


def runnable(config: Json, here: Here) -> Json:
    """The configuration after the rows of PLAN and RUN; it is changed in place."""
    plannable(config)
    for *_, change in RUN:
        change(config, here)
    return config
