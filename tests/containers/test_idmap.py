# SPDX-License-Identifier: Apache-2.0
"""SPEC-080 to SPEC-090: ID-mapped mounts, with mappings of their own and with those of the container."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.containers.box import FULL, Box, Patch, capabilities, wait_for

BIND = ["rbind", "rprivate"]


def maps(first: int, size: int = 65536, inner: int = 0) -> Patch:
    row = {"containerID": inner, "hostID": first, "size": size}
    return {"uidMappings": [row], "gidMappings": [row]}


USER: Patch = {"linux": {"+namespaces": [{"type": "user"}], **maps(100000)}}


def mount(source: Path | str, *options: str, **fields: object) -> Patch:
    return {"destination": "/data", "type": "bind", "source": str(source), "options": [*BIND, *options], **fields}


def tree(box: Box) -> Path:
    """A folder of root's with files of root and of user 1000."""
    folder = box.folder / "data"
    folder.mkdir(mode=0o755)
    (box.rootfs / "data").mkdir()
    for name, owner in (("root", 0), ("user", 1000), ("other", 200000)):
        (folder / name).touch()
        os.chown(folder / name, owner, owner)
    return folder


OWNERS = "stat -c %n=%u:%g /data/root /data/user /data/other"


@pytest.mark.parametrize(
    ("patch", "fields", "options", "seen"),
    [
        # The owner as the container sees it: the mount's map, then the container's
        ({}, maps(5000), ["idmap"], "5000 6000 65534"),
        ({}, maps(5000), ["ridmap"], "5000 6000 65534"),
        ({}, maps(5000), [], "5000 6000 65534"),
        ({}, maps(7, 1, inner=1000), ["idmap"], "65534 7 65534"),
        (USER, {}, [], "65534 65534 65534"),
        (USER, {}, ["idmap"], "0 1000 65534"),
        (USER, {}, ["ridmap"], "0 1000 65534"),
        (USER, maps(100005), ["idmap"], "5 1005 65534"),
        (USER, maps(5000), ["ridmap"], "65534 65534 65534"),
        (USER, {"uidMappings": [], "gidMappings": None}, ["idmap"], "0 1000 65534"),
    ],
    ids=str,
)
def test_owners(box: Box, patch: Patch, fields: Patch, options: list[str], seen: str) -> None:
    found = box.run({**patch, "+mounts": [mount(tree(box), *options, **fields)]}, OWNERS).out
    ids = seen.split()
    assert found.split() == [f"/data/{name}={id}:{id}" for name, id in zip(("root", "user", "other"), ids, strict=True)]


def test_users_and_groups_apart(box: Box) -> None:
    fields = {"uidMappings": maps(10)["uidMappings"], "gidMappings": maps(20)["gidMappings"]}
    out = box.run({"+mounts": [mount(tree(box), "idmap", **fields)]}, "stat -c %u:%g /data/root /data/user").out
    assert out.split() == ["10:20", "1010:1020"]


def test_what_the_container_makes_is_roots_on_disk(box: Box) -> None:
    folder = tree(box)
    patch = {**USER, **capabilities(FULL), "+mounts": [mount(folder, "idmap")]}
    box.run(patch, "touch /data/new && chown 7:8 /data/new && mkdir /data/dir")
    made = (folder / "new").stat()
    assert (made.st_uid, made.st_gid, (folder / "dir").stat().st_uid) == (7, 8, 0)


def test_several_mounts_with_several_maps(box: Box) -> None:
    folder = tree(box)
    mounts = [mount(folder, "idmap", **maps(first)) | {"destination": f"/{first}"} for first in (10, 20, 10)]
    out = box.run({"+mounts": mounts}, "stat -c %u /10/root /20/root").out
    assert out.split() == ["10", "20"]


def test_a_file(box: Box) -> None:
    folder = tree(box)
    (box.rootfs / "data").rmdir()
    (box.rootfs / "data").touch()
    assert box.run({**USER, "+mounts": [mount(folder / "user", "idmap")]}, "stat -c %u /data").out == "1000"


def test_only_ridmap_reaches_the_mounts_below(box: Box) -> None:
    folder = tree(box)
    (folder / "below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder / "below")], check=True)
    try:
        for option, below in (("idmap", "0"), ("ridmap", "30")):
            out = box.run({"+mounts": [mount(folder, option, **maps(30))]}, "stat -c %u /data /data/below").out
            assert out.split() == ["30", below]
    finally:
        subprocess.run(["umount", str(folder / "below")], check=True)


def test_a_new_filesystem(box: Box) -> None:
    new = {"destination": "/data", "type": "tmpfs", "options": ["mode=755", "idmap"], **maps(40)}
    assert box.run({"+mounts": [new]}, "stat -c %u:%g /data").out == "40:40"


def test_the_user_namespace_by_path(box: Box) -> None:
    """The maps are those that it has."""
    folder = tree(box)
    with subprocess.Popen(["unshare", "--user", "sleep", "60"]) as holder:
        try:
            ours = os.readlink("/proc/self/ns/user")
            wait_for(lambda: os.readlink(f"/proc/{holder.pid}/ns/user") != ours)
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{holder.pid}/{name}").write_text("0 100000 65536")
            space = {"type": "user", "path": f"/proc/{holder.pid}/ns/user"}
            patch = {"linux": {"+namespaces": [space]}, "+mounts": [mount(folder, "idmap")]}
            assert box.run(patch, "stat -c %u /data/root /data/user").out.split() == ["0", "1000"]
        finally:
            holder.kill()


def test_nothing_stays_open(box: Box) -> None:
    box.create({**USER, "+mounts": [mount(tree(box), "idmap", **maps(100001))]}, "sleep", "60")
    open_ = [os.readlink(f"/proc/{box.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{box.pid}/fd")]
    assert not [target for target in open_ if target.startswith("user:")]
    box.delete("--force")


@pytest.mark.parametrize(
    ("patch", "fields", "words"),
    [
        ({}, {"options": ["bind", "idmap"]}, '/mounts/3/options/1: "idmap" needs uidMappings and gidMappings'),
        ({}, {"options": ["bind", "ridmap"]}, '/mounts/3/options/1: "ridmap" needs'),
        ({}, {"uidMappings": maps(1)["uidMappings"]}, "/mounts/3/uidMappings: needs gidMappings beside it"),
        (USER, {"gidMappings": maps(1)["gidMappings"]}, "/mounts/3/gidMappings: needs uidMappings beside it"),
        ({}, maps(1, size=0), "/mounts/3/uidMappings/0/size: 0 is out of range"),
        ({}, maps(2**32 - 10, size=20), "/mounts/3/uidMappings/0/size: hostID and size go beyond the last id"),
        ({}, {**maps(1), "options": ["bind", "remount", "idmap"]}, "/mounts/3/options: the mappings of a mount cannot"),
        (
            {},
            {"uidMappings": maps(1)["uidMappings"] * 2, "gidMappings": maps(1)["gidMappings"]},
            "/mounts/3/uidMappings",
        ),
        ({}, {**maps(1), "source": "/dev/pts", "options": ["bind", "idmap"]}, "for the filesystem devpts"),
        ({}, {**maps(1), "source": "/proc", "options": ["bind", "idmap"]}, "for the filesystem proc"),
        (
            USER,
            {"type": "tmpfs", "options": ["idmap"], **maps(100000)},
            "it needs CAP_SYS_ADMIN in the user namespace that owns the filesystem tmpfs",
        ),
    ],
    ids=str,
)
def test_what_is_refused(box: Box, patch: Patch, fields: Patch, words: str) -> None:
    error = box.refused({**patch, "+mounts": [mount(tree(box)) | fields]})
    assert words in error
    assert error.startswith("pyrunc: /mounts/3")


def test_mappings_without_the_option_are_warned_of(box: Box) -> None:
    box.write({"+mounts": [mount(tree(box), **maps(1))]}, "true")
    error = box.pyrunc("--log-level", "warning", "run", "--bundle", box.bundle, box.id).err
    assert "/mounts/3/options: has neither idmap nor ridmap beside uidMappings; idmap is taken" in error
