# SPDX-License-Identifier: Apache-2.0
"""SPEC-314: rootfsPropagation, and what passes between the host's mounts and the container's."""

import ctypes
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import FULL, Box, Patch, capabilities, combine

MS_SHARED = 1 << 20
MNT_DETACH = 2


@pytest.fixture
def shared(box: Box) -> Iterator[Path]:
    """A tmpfs of the host that is a shared mount."""
    mount = ctypes.CDLL(None).mount
    folder = box.folder / "shared"
    folder.mkdir()
    assert mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, None) == 0
    assert mount(None, str(folder).encode(), None, MS_SHARED, None) == 0
    (folder / "inner").mkdir()
    yield folder
    umount = ctypes.CDLL(None).umount2
    umount(str(folder / "inner").encode(), MNT_DETACH)
    assert umount(str(folder).encode(), MNT_DETACH) == 0


def root_line(box: Box, patch: Patch) -> list[str]:
    words = box.run(patch, "grep ' / / ' /proc/self/mountinfo || grep ' / rw' /proc/self/mountinfo").lines[-1].split()
    return [word.split(":")[0] for word in words[6 : words.index("-")]]


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("shared", ["shared"]),
        ("rshared", ["shared"]),
        ("private", []),
        ("rprivate", []),
        ("unbindable", ["unbindable"]),
        ("runbindable", ["unbindable"]),
        ("", []),
    ],
)
def test_the_root_mount_shows_it(box: Box, word: str, fields: list[str]) -> None:
    seen = root_line(box, {"linux": {"rootfsPropagation": word}})
    if "shared" in seen and "master" in seen:
        seen.remove("master")  # of the host's, where that is shared, as systemd has it
    assert seen == fields


@pytest.mark.parametrize("word", ["slave", "rslave"])
def test_slave(box: Box, word: str, shared: Path) -> None:
    rootfs = shared / "inner"
    box.rootfs.rename(box.bundle / "old")
    rootfs.rmdir()
    shutil.copytree(box.bundle / "old", rootfs, symlinks=True)
    patch = {"root": {"path": str(rootfs)}, "linux": {"rootfsPropagation": word}}
    assert "master" in root_line(box, patch)


@pytest.mark.parametrize("word", ["SHARED", "bind", "no"])
def test_refused(box: Box, word: str) -> None:
    assert "/linux/rootfsPropagation" in box.refused({"linux": {"rootfsPropagation": word}})


def bound(shared: Path, *options: str) -> Patch:
    row = {"destination": "/mnt", "source": str(shared), "options": ["rbind", *options]}
    return combine(capabilities(FULL), {"+mounts": [row]})


def host_mount(shared: Path) -> None:
    assert ctypes.CDLL(None).mount(b"tmpfs", str(shared / "inner").encode(), b"tmpfs", 0, None) == 0


@pytest.mark.parametrize(("options", "seen"), [(("rslave",), 1), (("rshared",), 1), (("rprivate",), 0)])
def test_mounts_of_the_host_come_in(box: Box, shared: Path, options: tuple[str, ...], seen: int) -> None:
    patch = combine(
        bound(shared, *options), {"linux": {"rootfsPropagation": "rslave" if "rprivate" not in options else ""}}
    )
    if options == ("rshared",):
        patch["linux"]["rootfsPropagation"] = "rshared"
    box.start(patch, "sleep 100")
    host_mount(shared)
    result = box.exec("grep -c ' /mnt/inner ' /proc/mounts", status=None)
    assert result.out == str(seen), repr(result)


@pytest.mark.parametrize(("options", "seen"), [(("rshared",), True), (("rslave",), False), (("rprivate",), False)])
def test_mounts_of_the_container_go_out(box: Box, shared: Path, options: tuple[str, ...], seen: bool) -> None:
    patch = combine(bound(shared, *options), {"linux": {"rootfsPropagation": "rshared"}})
    box.start(patch, "mount -t tmpfs inner /mnt/inner && sleep 100")
    box.exec("while ! grep -q ' /mnt/inner ' /proc/mounts; do sleep 0.01; done")
    assert (f" {shared}/inner " in Path("/proc/self/mountinfo").read_text()) == seen


@pytest.mark.parametrize("word", ["rprivate", "rslave"])
def test_a_mount_keeps_what_it_asks_for_itself(box: Box, shared: Path, word: str) -> None:
    """The root's own propagation is of the root, and of mounts that say nothing (containers/crun#2122)."""
    patch = combine(bound(shared, "rshared"), {"linux": {"rootfsPropagation": word}})
    box.start(patch, "mount -t tmpfs inner /mnt/inner && sleep 100")
    box.exec("while ! grep -q ' /mnt/inner ' /proc/mounts; do sleep 0.01; done")
    assert f" {shared}/inner " in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize(("word", "seen"), [("rprivate", 0), ("rslave", 1)])
def test_a_mount_that_asks_for_nothing_is_as_the_root(box: Box, shared: Path, word: str, seen: int) -> None:
    box.start(combine(bound(shared), {"linux": {"rootfsPropagation": word}}), "sleep 100")
    host_mount(shared)
    assert box.exec("grep -c ' /mnt/inner ' /proc/mounts", status=None).out == str(seen)
