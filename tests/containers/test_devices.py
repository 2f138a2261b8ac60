# SPDX-License-Identifier: Apache-2.0
"""SPEC-192 to SPEC-207, SPEC-371 to SPEC-374: device nodes and links."""

import os

import pytest

from tests.containers.box import Box, Patch

NODES = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


def device(path: str, kind: str = "c", major: int = 1, minor: int = 7, **fields: object) -> Patch:
    row: Patch = {"path": path, "type": kind, **fields}
    if kind != "p":
        row |= {"major": major, "minor": minor}
    return {"linux": {"devices": [row]}}


@pytest.mark.parametrize(("name", "numbers"), NODES.items())
def test_default_devices(box: Box, name: str, numbers: str) -> None:
    assert box.run({}, f"stat -c '%t:%T %a %u:%g %F' /dev/{name}").out == f"{numbers} 666 0:0 character special file"


@pytest.mark.parametrize(("name", "target"), LINKS.items())
def test_links(box: Box, name: str, target: str) -> None:
    assert box.run({}, "readlink", f"/dev/{name}").out == target


def test_nothing_else_is_in_dev(box: Box) -> None:
    names = set(box.run({}, "ls /dev").lines)
    assert names - {"core"} == {"pts", *NODES, *LINKS}


def test_a_terminal_can_be_opened(box: Box) -> None:
    assert box.run({}, "guest", "open:/dev/ptmx", "open:/dev/pts/ptmx", "open:/dev/zero").json == {
        "open:/dev/ptmx": 0,
        "open:/dev/pts/ptmx": 0,
        "open:/dev/zero": 0,
    }


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("c", "character special file 1:7"),
        ("u", "character special file 1:7"),
        ("b", "block special file 1:7"),
        ("p", "fifo 0:0"),
    ],
)
def test_types(box: Box, kind: str, seen: str) -> None:
    assert box.run(device("/dev/made", kind), "stat -c '%F %t:%T' /dev/made").out == seen


@pytest.mark.parametrize("path", ["/made", "/deep/new/made", "/made/"])
def test_outside_dev(box: Box, path: str) -> None:
    assert box.run(device(path), f"stat -c %t:%T {path.rstrip('/')}").out == "1:7"


@pytest.mark.parametrize(("mode", "seen"), [(384, "600"), (0o644, "644"), (0o020640, "640"), (0, "0"), (None, "666")])
def test_mode(box: Box, mode: int | None, seen: str) -> None:
    assert box.run(device("/dev/made", fileMode=mode), "stat -c %a /dev/made").out == seen


def test_owner(box: Box) -> None:
    assert box.run(device("/dev/made", uid=5, gid=6), "stat -c %u:%g /dev/made").out == "5:6"


def test_a_default_device_can_be_replaced(box: Box) -> None:
    assert box.run(device("/dev/tty", "c", 5, 0, fileMode=0o600, uid=3), "stat -c %a:%u /dev/tty").out == "600:3"


@pytest.mark.parametrize("what", ["file", "directory", "link", "other"])
def test_what_lies_there_and_is_not_the_device_is_an_error(box: Box, what: str) -> None:
    path = box.rootfs / "made"
    if what == "file":
        path.touch()
    elif what == "directory":
        path.mkdir()
    elif what == "link":
        path.symlink_to("/dev/full")
    else:
        os.mknod(path, 0o020666, os.makedev(1, 3))
    assert "/linux/devices/0" in box.refused(device("/made"))


def test_the_same_device_may_be_there(box: Box) -> None:
    os.mknod(box.rootfs / "made", 0o020600, os.makedev(1, 7))
    assert box.run(device("/made"), "stat -c %t:%T /made").out == "1:7"


def test_a_parent_that_is_a_link_stays_inside(box: Box) -> None:
    (box.rootfs / "link").symlink_to("/../../../tmp")
    box.run(device("/link/made"), "true")
    assert (box.rootfs / "tmp/made").is_char_device()


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"path": "/dev/made", "type": "x", "major": 1, "minor": 1}, "type"),
        ({"path": "/dev/made", "major": 1, "minor": 1}, "type"),
        ({"type": "c", "major": 1, "minor": 1}, "path"),
        ({"path": "made", "type": "c", "major": 1, "minor": 1}, "path"),
        ({"path": "/", "type": "c", "major": 1, "minor": 1}, "path"),
        ({"path": "/dev/made", "type": "c", "minor": 1}, "major"),
        ({"path": "/dev/made", "type": "c", "major": 1}, "minor"),
    ],
)
def test_refused(box: Box, row: Patch, field: str) -> None:
    assert f"/linux/devices/0/{field}" in box.refused({"linux": {"devices": [row]}})


def test_a_bound_dev_is_not_touched(box: Box) -> None:
    (box.bundle / "dev").mkdir()
    rows = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "source": "dev", "options": ["bind"]},
    ]
    assert box.run({"mounts": rows}, "ls /dev").out == ""
    assert list((box.bundle / "dev").iterdir()) == []


def test_dev_of_the_image_without_a_mount(box: Box) -> None:
    rows = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    assert box.run({"mounts": rows}, "stat -c %t:%T /dev/null").out == "1:3"


def test_a_link_of_the_image_in_the_place_of_a_default_device_is_not_followed(box: Box) -> None:
    """CVE-2026-41579."""
    (box.rootfs / "dev/null").symlink_to("/tmp/target")
    rows = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    assert "/linux/devices" in box.refused({"mounts": rows})
    assert not (box.rootfs / "tmp/target").exists()


def test_dev_that_is_a_symlink(box: Box) -> None:
    """Nothing is made where it leads to, within the root neither (CVE-2026-41579)."""
    (box.rootfs / "dev").rmdir()
    (box.rootfs / "dev").symlink_to("elsewhere")
    error = box.refused({"mounts": []}, "true")
    assert error.startswith('pyrunc: /linux/devices: openat2(rootfs, "dev"')
    assert "ELOOP" in error
    assert not (box.rootfs / "elsewhere").exists()
