# SPDX-License-Identifier: Apache-2.0
"""MKPATH: what is missing is made beneath the root, and nothing ever outside it (CVE-2021-30465, CVE-2024-45310)."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pyrunc.linux.uapi import O_PATH, RESOLVE_IN_ROOT
from pyrunc.plan import ops
from pyrunc.plan.calls import openat2
from tests.init.rig import failure, new_program, run, start

DIRECTORY, FILE = ops.KIND_DIRECTORY, ops.KIND_FILE


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a container, with a neighbour that it must not reach."""
    (tmp_path / "outside").mkdir()
    made = tmp_path / "root"
    made.mkdir()
    return made


def mkpath(root: Path, path: str, kind: int = DIRECTORY, *, mode: int = 0o755) -> str:
    """Run it; the path of the descriptor that it gives, relative to the root."""
    program = new_program()
    fd = program.input("root")
    program.call("umask", 0)
    target = program.mkpath(fd, path, kind, mode)
    program.sync(1, "point", target)
    opened = os.open(root, os.O_PATH)
    try:
        with start(program, opened) as running:
            report = running.report()
            assert report is not None
            if report.kind == ops.REPORT_ERROR:
                assert report.index == 2
                raise OSError(report.value, os.strerror(report.value), path)
            number = report.value >> 16
            reached = os.readlink(f"/proc/{running.pid}/fd/{number}")
            flags = Path(f"/proc/{running.pid}/fdinfo/{number}").read_text("ascii").split()[3]
            # 0, 1, 2, the program's four, and the result: no descriptor of the walk is left
            assert len(os.listdir(f"/proc/{running.pid}/fd")) <= 3 + 3 + 1
            running.answer()
            assert running.wait() == 0
    finally:
        os.close(opened)
    assert int(flags, 8) & os.O_PATH
    assert int(flags, 8) & os.O_CLOEXEC
    assert not list((root.parent / "outside").iterdir())
    return os.path.relpath(reached, root)


def fails(root: Path, path: str, number: int, kind: int = DIRECTORY) -> None:
    with pytest.raises(OSError) as caught:
        mkpath(root, path, kind)
    assert caught.value.errno == number
    assert not list((root.parent / "outside").iterdir())


def test_directories_and_their_parents(root: Path) -> None:
    assert mkpath(root, "/a/b/c", mode=0o751) == "a/b/c"
    assert [stat.S_IMODE((root / path).stat().st_mode) for path in ("a", "a/b", "a/b/c")] == [0o751] * 3


def test_a_file_and_its_parents(root: Path) -> None:
    assert mkpath(root, "/a/b/file", FILE) == "a/b/file"
    assert (root / "a/b/file").read_bytes() == b""
    assert stat.S_IMODE((root / "a/b/file").stat().st_mode) == 0o644
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o755


@pytest.mark.parametrize("path", ["//a//b/", "/./a/./b/.", "a/b", "/a/b", "a/x/../b", "/../../a/b"])
def test_spellings(root: Path, path: str) -> None:
    """Above the root is the root."""
    assert mkpath(root, path) == "a/b"
    assert (root / "a/b").is_dir()


def test_a_file_with_a_slash_behind_it(root: Path) -> None:
    assert mkpath(root, "/a/b/", FILE) == "a/b"
    assert (root / "a/b").is_file()


@pytest.mark.parametrize("path", ["/", "///", "/.", "/.."])
def test_the_root_itself(root: Path, path: str) -> None:
    """Another descriptor of it, so that the caller may close what it got."""
    assert mkpath(root, path) == "."


def test_nothing_is_no_path(root: Path) -> None:
    fails(root, "", errno.ENOENT)


def test_what_is_there_stays(root: Path) -> None:
    (root / "a").mkdir(mode=0o700)
    (root / "a/file").write_text("kept")
    assert mkpath(root, "/a") == "a"
    assert mkpath(root, "/a/file", FILE) == "a/file"
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o700
    assert (root / "a/file").read_text() == "kept"


def test_another_kind_is_the_callers_matter(root: Path) -> None:
    """A directory where a file was wanted is opened; the mount onto it then fails with its own reason."""
    (root / "a").mkdir()
    (root / "file").touch()
    assert mkpath(root, "/a", FILE) == "a"
    assert mkpath(root, "/file") == "file"


def test_a_file_is_no_parent(root: Path) -> None:
    (root / "file").touch()
    fails(root, "/file/a", errno.ENOTDIR)


def test_a_symlink_within(root: Path) -> None:
    (root / "real").mkdir()
    (root / "link").symlink_to("real")
    assert mkpath(root, "/link/a") == "real/a"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("../../outside", "outside/a"),
        ("/outside", "outside/a"),
        ("../../../../../../outside/deep", "outside/deep/a"),
        ("{outside}", "{outside}/a"),
        ("x/../../../outside", "outside/a"),
    ],
)
def test_a_symlink_that_points_out_leads_in(root: Path, target: str, expected: str) -> None:
    """It is resolved as a process in the root would, and what is missing there is made."""
    outside = str(root.parent / "outside")
    (root / "link").symlink_to(target.format(outside=outside))
    assert mkpath(root, "/link/a") == expected.format(outside=outside.lstrip("/"))


def test_a_dangling_symlink_in_the_middle(root: Path) -> None:
    (root / "d").mkdir()
    (root / "d/link").symlink_to("gone/here")
    assert mkpath(root, "/d/link/a/b") == "d/gone/here/a/b"


def test_a_dangling_symlink_at_the_end(root: Path) -> None:
    (root / "d").mkdir()
    (root / "d/link").symlink_to("/gone/file")
    assert mkpath(root, "/d/link", FILE) == "gone/file"
    assert (root / "gone/file").is_file()
    assert (root / "d/link").is_symlink()


def test_a_chain_of_dangling_symlinks(root: Path) -> None:
    for number in range(10):
        (root / f"link{number}").symlink_to(f"/deep{number}/../link{number + 1}")
    assert mkpath(root, "/link0/a") == "link10/a"


@pytest.mark.parametrize(("first", "second"), [("b", "a"), ("/b", "/a"), ("b/x", "a/x"), ("a", "a")])
def test_a_loop_of_symlinks(root: Path, first: str, second: str) -> None:
    (root / "a").symlink_to(first)
    (root / "b").symlink_to(second)
    fails(root, "/a/file", errno.ELOOP)


def test_a_symlink_that_grows_is_bounded(root: Path) -> None:
    """Each look-up of the missing part would make the path longer: it ends, and nothing was made outside."""
    (root / "a").symlink_to("new/../a/x")
    with pytest.raises(OSError) as caught:
        mkpath(root, "/a")
    assert caught.value.errno in (errno.ELOOP, errno.ENAMETOOLONG)


def test_a_magic_link_is_not_followed() -> None:
    """/proc/self/root would be the host's root from anywhere."""
    with pytest.raises(OSError) as caught:
        mkpath_at("/", "/proc/self/root/tmp")
    assert caught.value.errno == errno.ELOOP


def mkpath_at(root: str, path: str) -> None:
    program = new_program()
    program.mkpath(program.input("root"), path, DIRECTORY)
    opened = os.open(root, os.O_PATH)
    try:
        kind, _, value = failure(program, opened)
    finally:
        os.close(opened)
    assert kind == ops.REPORT_ERROR
    raise OSError(value, path)


def test_too_long_a_path(root: Path) -> None:
    fails(root, "/a" * 2048, errno.ENAMETOOLONG)
    fails(root, "/" + "a" * 256, errno.ENAMETOOLONG)
    assert not list(root.iterdir())


def test_a_path_that_a_symlink_makes_too_long(root: Path) -> None:
    (root / "link").symlink_to("/b" * 1000)
    fails(root, "/link" + "/c" * 1200, errno.ENAMETOOLONG)


def test_the_longest_path(root: Path) -> None:
    """One byte less than PATH_MAX, which its NUL takes; what readlink(2) tells of it is longer."""
    path = ("/" + "a" * 255) * 15 + "/" + "b" * 254
    program = new_program()
    program.mkpath(program.input("root"), path, DIRECTORY)
    opened = os.open(root, os.O_PATH)
    with start(program, opened) as running:
        assert running.wait() == 0
    os.close(opened)
    folder = os.open(root, os.O_PATH)
    for name in path[1:].split("/"):
        inner = os.open(name, os.O_PATH, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)


@pytest.mark.parametrize("folder", [True, False])
def test_like(root: Path, folder: bool) -> None:
    """A directory where a directory is to be bound, a file for anything else."""
    model = root / "model"
    model.mkdir() if folder else os.mkfifo(model)
    program = new_program()
    fd, like = program.input("root"), program.input("like")
    program.mkpath(fd, "/a/b", like)
    opened, opened_model = os.open(root, os.O_PATH), os.open(model, os.O_PATH)
    with start(program, opened, opened_model) as running:
        assert running.wait() == 0
    os.close(opened)
    os.close(opened_model)
    assert (root / "a/b").is_dir() is folder
    assert (root / "a/b").is_file() is not folder


def test_like_nothing(root: Path) -> None:
    program = new_program()
    program.call("close_range", 200, 300, 0)
    absent = program.call("openat", -100, "/nowhere", 0, 0, to="absent", accept=(errno.ENOENT,))
    program.mkpath(program.input("root"), "/a", absent)
    opened = os.open(root, os.O_PATH)
    assert failure(program, opened) == (ops.REPORT_ERROR, 3, errno.EBADF)
    os.close(opened)
    assert not list(root.iterdir())


@pytest.mark.root
def test_a_read_only_root(root: Path) -> None:
    """EROFS, as of mkdir(2). The mount is the helper's alone, in a mount namespace that dies with it."""
    from pyrunc.linux.uapi import AT_EMPTY_PATH, AT_RECURSIVE, CLONE_NEWNS, MS_PRIVATE, OPEN_TREE_CLOEXEC
    from pyrunc.plan.program import Struct

    program = new_program()
    program.call("unshare", CLONE_NEWNS)
    program.call("mount_setattr", -100, "/", AT_RECURSIVE, Struct("4Q", 0, 0, MS_PRIVATE, 0), 32)
    tree = program.call("open_tree", -100, str(root), OPEN_TREE_CLOEXEC | 1, to="tree")
    program.call("mount_setattr", tree, "", AT_EMPTY_PATH, Struct("4Q", 1, 0, 0, 0), 32)
    program.mkpath(tree, "/a", DIRECTORY)
    assert failure(program) == (ops.REPORT_ERROR, 5, errno.EROFS)


def test_renames_elsewhere_are_no_failure(root: Path) -> None:
    """openat2(2): EAGAIN, when the kernel cannot tell whether a ".." stayed inside for a rename that goes on."""
    (root / "a").mkdir()
    program = new_program()
    fd = program.input("root")
    for _ in range(1000):
        program.call("close", openat2(program, fd, "a/../a/../a", O_PATH, RESOLVE_IN_ROOT))
        program.call("close", program.mkpath(fd, "a/../a/../a", DIRECTORY, 0o755))
    storm = "import os; print(flush=True)\nwhile True: os.rename('x', 'y'); os.rename('y', 'x')"
    (root.parent / "x").touch()
    opened = os.open(root, os.O_PATH)
    command = [sys.executable, "-ISc", storm]
    with subprocess.Popen(command, cwd=root.parent, stdout=subprocess.PIPE) as renaming:
        assert renaming.stdout is not None
        renaming.stdout.readline()
        try:
            assert run(program, opened) == (0, [])
        finally:
            os.close(opened)
            renaming.kill()
