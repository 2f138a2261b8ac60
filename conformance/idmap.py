# SPDX-License-Identifier: Apache-2.0
"""ID-mapped mounts: the options idmap and ridmap, uidMappings and gidMappings of a mount."""

import os
import pathlib

from conformance import host
from conformance.box import Box
from conformance.mount_options import IDS
from conformance.patch import Patch, combine, ids, mount, mounts, user_namespace
from conformance.requirements import case, refusal

OWNER = "stat -c %u:%g /m/owned"


def owned(box: Box, sub: bool = False) -> pathlib.Path:
    """A mount of the host with a file of user and group 5; with another one on `sub`."""
    top = box.folder / "owned"
    top.mkdir(mode=0o755)
    for path in (top, top / "sub") if sub else (top,):
        path.mkdir(exist_ok=True)
        host.mount("tmpfs", str(path), "tmpfs", 0, "mode=755")
        (path / "owned").touch()
        os.chown(path / "owned", 5, 5)
    return top


def bound(folder: pathlib.Path | str, *options: str, **fields: object) -> Patch:
    return mounts(mount("/m", "bind", *options, source=str(folder), **fields))


@case(IDS["idmap"], "SPEC-082", "SPEC-089", needs="root")
def own_mappings(box: Box) -> None:
    """They say how the ids of the file system are seen; the file system itself keeps its own."""
    folder = owned(box)
    found = box.fact(bound(folder, "bind", "idmap", **ids(3000)), OWNER)
    box.same("SPEC-080", found, "3005:3005")
    uneven = {"uidMappings": ids(3000)["uidMappings"], "gidMappings": ids(7000)["gidMappings"]}
    found = box.fact(bound(folder, "bind", "idmap", **uneven), OWNER)
    box.same("SPEC-082", found, "3005:7005")
    box.same("SPEC-089", (folder / "owned").stat().st_uid, 5, "the owner of the file itself")


@case(IDS["ridmap"], needs="root")
def recursively(box: Box) -> None:
    folder = owned(box, sub=True)
    line = "stat -c %u /m/owned /m/sub/owned"
    box.same(IDS["ridmap"], box.fact(bound(folder, "rbind", "ridmap", **ids(3000)), line).split(), ["3005", "3005"])
    found = box.fact(bound(folder, "rbind", "idmap", **ids(3000)), line).split()
    box.same(IDS["idmap"], found, ["3005", "5"], "idmap, which is for the one mount")


@case("SPEC-083", "SPEC-084", needs="root userns")
def mappings_of_the_container(box: Box) -> None:
    """Without its own, the mount has those of the user namespace, or is an error; it is never a plain bind mount."""
    folder = owned(box)
    patch = combine(user_namespace(), bound(folder, "bind", "idmap"))
    os.chmod(box.folder, 0o755)
    for path in (box.rootfs, *box.rootfs.iterdir()):
        os.chown(path, 100000, 100000)
    result = box.try_create(patch, OWNER)
    if result.status != 0:
        box.control({})
        box.holds("SPEC-084", True, "")
        return
    box.start()
    box.ended()
    found = box.output().strip()
    box.same("SPEC-084", found, "5:5", "neither mapped nor refused")
    box.same("SPEC-083", found, "5:5")


PLAIN = bound("/tmp", "bind")
refusal("SPEC-085", bound("/tmp", "bind", "idmap"), PLAIN, needs="root")
refusal("SPEC-085", bound("/tmp", "rbind", "ridmap"), PLAIN, needs="root")
refusal("SPEC-086", bound("/proc", "bind", "idmap", **ids(3000)), bound("/proc", "bind"), needs="root")
refusal("SPEC-087", bound("/tmp", "bind", "idmap", uidMappings=ids(3000)["uidMappings"]), PLAIN, needs="root")
refusal("SPEC-088", bound("/tmp", "bind", "idmap", gidMappings=ids(3000)["gidMappings"]), PLAIN, needs="root")
