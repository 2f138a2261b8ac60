# SPDX-License-Identifier: Apache-2.0
"""linux.namespaces: new ones, given ones, inherited ones; mappings; time offsets."""

import contextlib
import json
import os
import pathlib
import subprocess
import time
from collections.abc import Iterator

from conformance import host
from conformance.box import Box
from conformance.ownership import give
from conformance.patch import Patch, combine, ids, linux, namespaces, plain
from conformance.requirements import Failed, case, refusal

FILES = {
    "pid": "pid",
    "network": "net",
    "mount": "mnt",
    "ipc": "ipc",
    "uts": "uts",
    "user": "user",
    "cgroup": "cgroup",
    "time": "time",
}
IDS = {name: f"SPEC-{number}" for number, name in enumerate(FILES, 174)}
LINES = {f"n{name}": f"readlink /proc/$$/ns/{file}" for name, file in FILES.items()}


def ours(name: str) -> str:
    return os.readlink(f"/proc/self/ns/{FILES[name]}")


def asked(*extra: str) -> Patch:
    """What a plain container asks for, and these."""
    return linux(**{"+namespaces": [{"type": name} for name in extra]})


for name in ("pid", "network", "mount", "ipc", "uts", "cgroup", "time"):

    @case(IDS[name], "SPEC-185", name=f"new_{name}", needs=f"file:/proc/self/ns/{FILES[name]}")
    def new(box: Box, name: str = name) -> None:
        extra = [] if any(row["type"] == name for row in plain("")["linux"]["namespaces"]) else [name]
        found = box.fact(asked(*extra), LINES[f"n{name}"])
        for id in (IDS[name], "SPEC-185"):
            box.holds(
                id, found.endswith("]") and found != ours(name), f"{name}: {found}, the runtime's is {ours(name)}"
            )


@case(IDS["user"], "SPEC-185", "SPEC-188", "SPEC-189", needs="userns")
def new_user(box: Box) -> None:
    patch: Patch = {}
    expected = [["0", str(os.geteuid()), "1"]], [["0", str(os.getegid()), "1"]]
    if host.is_root():
        give(box)
        extra = {"containerID": 70000, "hostID": 300000, "size": 5}
        maps = {key: [*value, extra] for key, value in ids(100000).items()}
        patch = combine(asked("user"), linux(**maps))
        expected = ([["0", "100000", "65536"], ["70000", "300000", "5"]],) * 2
    (box.rootfs / "data/file").touch()
    owner = (box.rootfs / "data/file").stat().st_uid
    facts = box.facts(patch, ns=LINES["nuser"], uid="cat /proc/$$/uid_map", gid="cat /proc/$$/gid_map")
    for id in (IDS["user"], "SPEC-185"):
        box.holds(id, facts["ns"] != ours("user"), f"the process is in the runtime's user namespace, {facts['ns']}")
    for name, rows in zip(("uid", "gid"), expected, strict=True):
        box.same("SPEC-188", [line.split() for line in facts[name].splitlines()], rows, f"{name}_map")
    box.same("SPEC-189", (box.rootfs / "data/file").stat().st_uid, owner, "owner of a file of the root")


MAPPED = combine(asked("user"), linux(**ids(100000)))
for key in ("containerID", "hostID", "size"):
    row = {one: value for one, value in ids(100000)["uidMappings"][0].items() if one != key}
    refusal("SPEC-188", combine(MAPPED, linux(uidMappings=[row])), needs="root userns", label=key)
refusal("SPEC-173", namespaces("pid", "mount", "conformance"))
refusal("SPEC-173", linux(**{"+namespaces": [{"path": "/proc/self/ns/net"}]}))
refusal("SPEC-182", linux(namespaces=[{"type": "mount"}, {"type": "network", "path": "proc/self/ns/net"}]))
refusal("SPEC-187", asked("pid"))
refusal("SPEC-187", asked("network", "network"))
refusal("SPEC-184", namespaces("pid", "mount", network="/proc/self/ns/ipc"), namespaces("pid", "mount"), needs="root")
refusal("SPEC-184", namespaces("pid", "mount", network="/etc/passwd"), namespaces("pid", "mount"), needs="root")
refusal("SPEC-184", namespaces("pid", "mount", ipc="/nonexistent"), namespaces("pid", "mount"), needs="root")


@contextlib.contextmanager
def holder(box: Box, *flags: str) -> Iterator[int]:
    """A process in new namespaces of its own; its pid."""
    child = subprocess.Popen([str(box.kit.busybox), "unshare", *flags, str(box.kit.busybox), "sleep", "600"])
    box.companions.append(child.pid)
    deadline = host.deadline(5)
    while not pathlib.Path(f"/proc/{child.pid}/cmdline").read_bytes().startswith(f"{box.kit.busybox}\0sleep".encode()):
        if time.monotonic() > deadline:
            raise Failed("unshare of busybox does not work")
        time.sleep(0.005)
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()
        box.companions.remove(child.pid)


@case("SPEC-183", needs="root")
def by_path(box: Box) -> None:
    """The process is in exactly that namespace, and nothing new is made."""
    with holder(box, "-n", "-i", "-u") as pid:
        given = {name: f"/proc/{pid}/ns/{FILES[name]}" for name in ("network", "ipc", "uts")}
        where = {name: os.readlink(path) for name, path in given.items()}
        facts = box.facts(namespaces("pid", "mount", **given), **LINES)
        for name, expected in where.items():
            box.same("SPEC-183", facts[f"n{name}"], expected, name)


@case("SPEC-183", needs="root")
def pid_by_path(box: Box) -> None:
    """Of another container: the process sees the other's."""
    box.start({}, "sleep 600")
    first, pid = box.id, box.pid()
    where = os.readlink(f"/proc/{pid}/ns/pid")
    box.id = f"{first}-b"
    box.create(namespaces("ipc", "uts", "mount", "network", pid=f"/proc/{pid}/ns/pid"), "true")
    box.same("SPEC-183", os.readlink(f"/proc/{box.pid()}/ns/pid"), where, "pid")
    box.id = first


@case("SPEC-186")
def inherited(box: Box) -> None:
    """A type that is not listed is the runtime's."""
    base = ["mount"] if host.is_root() else ["mount", "user"]
    asked_for = [name for name in ("pid", *base) if name]
    facts = box.facts(namespaces(*asked_for), **LINES)
    for name, file in FILES.items():
        if name not in asked_for and os.path.exists(f"/proc/self/ns/{file}"):
            box.same("SPEC-186", facts[f"n{name}"], ours(name), name)


TIME = {"monotonic": {"secs": 50_000, "nanosecs": 500}, "boottime": {"secs": 70_000}}
NEEDS_TIME = "file:/proc/self/ns/time"


@case("SPEC-190", "SPEC-191", needs=f"guest {NEEDS_TIME}")
def time_offsets(box: Box) -> None:
    patch = combine(asked("time"), linux(timeOffsets=TIME))
    inside = json.loads("\n".join(box.lines(patch, "/bin/guest", "clocks")))["clocks"]
    outside = [int(time.clock_gettime(one)) for one in (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME)]
    moved = [here - there for here, there in zip(inside, outside, strict=True)]
    for id in ("SPEC-190", "SPEC-191"):
        good = abs(moved[0] - 50_000) < 30 and abs(moved[1] - 70_000) < 30
        box.holds(id, good, f"the clocks are {moved} s ahead, expected 50000 and 70000")


@case("SPEC-191", needs=NEEDS_TIME)
def offsets_as_written(box: Box) -> None:
    found = box.fact(combine(asked("time"), linux(timeOffsets=TIME)), "cat /proc/$$/timens_offsets").split()
    box.same("SPEC-191", found, ["monotonic", "50000", "500", "boottime", "70000", "0"], "timens_offsets")


CLOCKS = combine(asked("time"), linux(timeOffsets=TIME))
refusal("SPEC-190", combine(asked("time"), linux(timeOffsets={"realtime": {"secs": 5}})), CLOCKS, needs=NEEDS_TIME)
refusal(
    "SPEC-191",
    combine(asked("time"), linux(timeOffsets={"boottime": {"nanosecs": 1_000_000_000}})),
    CLOCKS,
    needs=NEEDS_TIME,
)
