# SPDX-License-Identifier: Apache-2.0
"""cgroupsPath, the fitness of a cgroup, and whom it belongs to."""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

from conformance import host
from conformance.box import Box
from conformance.cgroups import folder_of
from conformance.ownership import give
from conformance.patch import Patch, combine, linux, mount, mounts, process, user_namespace
from conformance.requirements import Skipped, case

DELEGATE = pathlib.Path("/sys/kernel/cgroup/delegate")
FALLBACK = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]


def places(box: Box) -> set[str]:
    """The cgroups of the container's process, below the mount points."""
    found = set()
    for line in pathlib.Path(f"/proc/{box.pid()}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        name = names.removeprefix("name=").split(",")[0]
        if name in host.hierarchies() or names in host.hierarchies():
            root = host.hierarchies().get(name, host.hierarchies().get(names, ("", "/")))[1]
            found.add("/" + path.removeprefix(root).strip("/"))
    return found


@case("SPEC-219", "SPEC-222", needs="root cgroups")
def absolute(box: Box) -> None:
    """Below the mount point, with all that is missing on the way."""
    path = f"/{box.id}-a/b/{box.id}"
    box.create(linux(cgroupsPath=path), "true")
    found = places(box)
    for id in ("SPEC-219", "SPEC-222"):
        box.holds(id, path in found, f"the process is in {sorted(found)}")


@case("SPEC-221", "SPEC-220", "SPEC-368", needs="root cgroups")
def always_the_same(box: Box) -> None:
    """One value leads to one place, for a relative path as well."""
    for path in (f"/{box.id}", f"{box.id}/deep"):
        seen = []
        for _ in range(2):
            box.create(linux(cgroupsPath=path), "true")
            seen.append(places(box))
            box.start()
            box.ended()
            box.delete()
        box.same("SPEC-221", seen[0], seen[1], path)
        if path[0] != "/":
            box.holds("SPEC-220", any(box.id in one for one in seen[0]), f"{path} leads to {sorted(seen[0])}")
    box.holds("SPEC-368", True, "")


@case("SPEC-367", needs="root cgroups")
def given_parents_stay(box: Box) -> None:
    """A cgroup above the container's that was there before is not the container's."""
    for target, _ in host.hierarchies().values():
        with contextlib.suppress(OSError):
            os.mkdir(f"{target}/{box.id}-given")
            if "cpuset" in target:
                for name in ("cpuset.cpus", "cpuset.mems"):
                    pathlib.Path(target, f"{box.id}-given", name).write_text(pathlib.Path(target, name).read_text())
    before = _given(box)
    box.fact(linux(cgroupsPath=f"/{box.id}-given/inner"), "true; echo ran")
    box.same("SPEC-367", _given(box), before, "cgroups that were given")


def _given(box: Box) -> set[str]:
    return {target for target, _ in host.hierarchies().values() if os.path.isdir(f"{target}/{box.id}-given")}


@contextlib.contextmanager
def inside(box: Box, name: str) -> Iterator[None]:
    """A process of ours in a cgroup of this name, in every hierarchy that takes it."""
    child = subprocess.Popen([str(box.kit.busybox), "sleep", "600"])
    box.companions.append(child.pid)
    for target, _ in host.hierarchies().values():
        with contextlib.suppress(OSError):
            os.makedirs(f"{target}/{name}", exist_ok=True)
            pathlib.Path(target, name, "cgroup.procs").write_text(str(child.pid))
    try:
        yield
    finally:
        child.kill()
        child.wait()
        box.companions.remove(child.pid)


@case("SPEC-217", "SPEC-218", needs="root cgroups")
def used_by_others(box: Box) -> None:
    """A runtime that looks whether the cgroup is empty refuses; one that does not look runs the container."""
    with inside(box, f"{box.id}-busy"):
        result = box.try_create(linux(cgroupsPath=f"/{box.id}-busy"), "echo ran")
        if result.status == 0:
            box.start()
            box.ended()
            box.holds("SPEC-217", box.output() == "ran\n", "neither refused nor run")
            raise Skipped("create does not look whether the cgroup is empty")
        box.control({})
        box.holds("SPEC-217", not os.listdir(box.root) or not box.snapshot()["state"], "a container was made")
        box.holds("SPEC-218", True, "")


@case("SPEC-217", needs="root cgroups")
def frozen(box: Box) -> None:
    """In a frozen cgroup create must not hang: it refuses, or it thaws."""
    target = host.hierarchies()["" if host.is_v2() else "freezer"][0]
    folder = pathlib.Path(target, f"{box.id}-frozen")
    folder.mkdir()
    switch = folder / ("cgroup.freeze" if host.is_v2() else "freezer.state")
    switch.write_text("1" if host.is_v2() else "FROZEN")
    result = box.try_create(linux(cgroupsPath=f"/{folder.name}"), "echo ran")
    if result.status == 0:
        box.start()
        box.ended()
        box.same("SPEC-217", box.output(), "ran\n", "create accepts a frozen cgroup")
    else:
        box.control({})
        box.holds("SPEC-217", not box.snapshot()["state"], "a container was made")


def owners(box: Box) -> dict[str, int]:
    """The owner of the container's cgroup and of each file in it."""
    folder = folder_of(box.pid(), "" if host.is_v2() else "memory")
    return {".": folder.stat().st_uid, **{path.name: path.stat().st_uid for path in folder.iterdir() if path.is_file()}}


def delegating(*options: str, cgroupns: bool = True) -> Patch:
    """A container of 100000 that has its cgroup mounted."""
    row = mount("/sys/fs/cgroup", "cgroup", "nosuid", "noexec", "nodev", *options)
    extra = {"+namespaces": [{"type": "cgroup"}]} if cgroupns else {}
    return combine(user_namespace(), linux(**extra), mounts(row), process(user={"uid": 0, "gid": 0}))


def _owners_of(box: Box, patch: Patch) -> dict[str, int]:
    give(box)
    box.create(patch, "true")
    return owners(box)


@case("SPEC-224", needs="root v1 userns")
def not_on_v1(box: Box) -> None:
    found = {name for name, uid in _owners_of(box, delegating()).items() if uid}
    box.holds("SPEC-224", not found, f"given away: {sorted(found)}")


@case("SPEC-223", "SPEC-227", "SPEC-228", "SPEC-230", needs="root v2 userns")
def given_away(box: Box) -> None:
    """The directory and the listed files, to the user of the process; nothing else. Who gives nothing is right, too."""
    found = _owners_of(box, delegating())
    given = {name for name, uid in found.items() if uid}
    listed = DELEGATE.read_text().split() if DELEGATE.exists() else FALLBACK
    absent = [name for name in listed if name not in found]
    box.holds("SPEC-227", given <= {".", *listed}, f"given away beyond the list: {sorted(given - {'.', *listed})}")
    box.holds("SPEC-230", given <= {".", *listed}, f"given away beyond the list: {sorted(given - {'.', *listed})}")
    if not given:
        raise Skipped("the cgroup is not given away")
    box.same("SPEC-223", {found[name] for name in given}, {100000}, "owner")
    if not absent:
        raise Skipped("every file of /sys/kernel/cgroup/delegate is in the cgroup")
    box.holds("SPEC-228", True, "")


@case("SPEC-229", needs="root v2 userns no:file:/sys/kernel/cgroup/delegate")
def given_away_without_list(box: Box) -> None:
    found = _owners_of(box, delegating())
    given = {name for name, uid in found.items() if uid}
    if not given:
        raise Skipped("the cgroup is not given away")
    box.same("SPEC-229", given - {"."}, set(FALLBACK) & set(found), "given away")


@case("SPEC-225", needs="root v2 userns")
def not_without_namespace(box: Box) -> None:
    found = {name for name, uid in _owners_of(box, delegating(cgroupns=False)).items() if uid}
    box.holds("SPEC-225", not found, f"given away without a cgroup namespace: {sorted(found)}")


@case("SPEC-226", needs="root v2 userns")
def only_when_writable(box: Box) -> None:
    found = {name for name, uid in _owners_of(box, delegating("ro")).items() if uid}
    box.holds("SPEC-226", not found, f"given away with a read-only mount: {sorted(found)}")
    box.clean()
    found = {name for name, uid in _owners_of(box, delegating("rw")).items() if uid}
    box.holds("SPEC-226", found, "not given away with a writable mount")
