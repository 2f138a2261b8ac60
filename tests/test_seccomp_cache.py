# SPDX-License-Identifier: Apache-2.0
"""The cache of compiled filters: what is taken from it, and above all what is not."""

import json
import os
import posix
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc.config.fields import Section
from pyrunc.errors import ConfigError, HostError
from pyrunc.seccomp import cache, filter, keep

try:
    filter.load()
except HostError as error:
    pytest.skip(str(error), allow_module_level=True)

PROFILE: dict[str, object] = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}],
}
PERMISSIVE = b"\x06\0\0\0\0\0\xff\x7f"
"""A filter that allows all: what an attacker would plant."""


def load(directory: Path | None, profile: dict[str, object] = PROFILE, machine: str = "x86_64") -> bytes:
    return cache.load(Section(profile, "/linux/seccomp"), machine, None if directory is None else str(directory))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache with one file, the one of PROFILE."""
    folder = tmp_path / cache.DIRECTORY
    load(folder)
    return folder


def entry(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def plant(folder: Path) -> Path:
    """Replace the filter in the file of PROFILE by a permissive one, all else as it should be."""
    file = entry(folder)
    content = file.read_bytes()
    _, key_size, library_size, _, _ = cache._HEADER.unpack_from(content)
    start = cache._HEADER.size
    middle = start + key_size
    file.write_bytes(cache.pack(content[start:middle], content[middle : middle + library_size], PERMISSIVE))
    return file


def test_a_filter_is_kept_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / cache.DIRECTORY
    bpf = load(folder)
    assert bpf == load(None)
    assert (folder.stat().st_mode & 0o777, entry(folder).stat().st_mode & 0o777) == (0o700, 0o600)
    monkeypatch.setattr(filter, "compile", None)
    assert load(folder) == bpf


def test_a_hit_imports_neither_ctypes_nor_the_compiler_and_a_miss_does(folder: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pyrunc.seccomp import cache;"
        "from pyrunc.config.fields import Section; before = set(sys.modules);"
        "cache.load(Section(eval(sys.argv[3]), '/linux/seccomp'), 'x86_64', sys.argv[2]);"
        "print(*sorted(set(sys.modules) - before))"
    )
    root = str(Path(__file__).parent.parent)

    def imported(profile: dict[str, object]) -> list[str]:
        command = [sys.executable, "-IS", "-c", code, root, str(folder), repr(profile)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split()

    assert imported(PROFILE) == []
    assert {"ctypes", "pyrunc.seccomp.filter", "pyrunc.seccomp.profile"} <= set(imported({**PROFILE, "flags": []}))


def test_a_planted_file_of_ours_is_taken(folder: Path) -> None:
    """The control of the tests below: nothing but owner and mode keeps a planted file out."""
    plant(folder)
    assert load(folder) == PERMISSIVE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_belongs_to_another_user_is_not_trusted(folder: Path, what: str) -> None:
    file = plant(folder)
    os.chown(file if what == "file" else folder, 12345, 0)
    assert load(folder) == load(None) != PERMISSIVE


@pytest.mark.parametrize("mode", [0o604, 0o606, 0o620, 0o640, 0o660, 0o601])
def test_a_file_open_to_others_is_not_trusted(folder: Path, mode: int) -> None:
    plant(folder).chmod(mode)
    assert load(folder) == load(None) != PERMISSIVE


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o1777, 0o701])
def test_a_directory_open_to_others_is_neither_read_nor_written(folder: Path, mode: int) -> None:
    file = plant(folder)
    planted = file.read_bytes()
    folder.chmod(mode)
    assert load(folder) == load(None) != PERMISSIVE
    load(folder, {**PROFILE, "flags": []})
    assert entry(folder).read_bytes() == planted


def _symlink(file: Path) -> None:
    target = file.parent.parent / "elsewhere"
    file.rename(target)
    file.symlink_to(target)


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


@pytest.mark.parametrize("replace", [_symlink, _fifo], ids=["symlink", "fifo"])
def test_only_a_regular_file_is_read(folder: Path, replace: Callable[[Path], None]) -> None:
    replace(plant(folder))
    assert load(folder) == load(None) != PERMISSIVE
    assert entry(folder).is_file()


def test_a_symlink_in_place_of_the_directory_is_not_followed(folder: Path) -> None:
    plant(folder)
    moved = folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(moved)
    assert load(folder) == load(None) != PERMISSIVE


def test_a_file_cut_or_changed_anywhere_is_a_miss(folder: Path) -> None:
    good, file = load(None), entry(folder)
    content = file.read_bytes()
    for size in range(0, len(content), 7):
        file.write_bytes(content[:size])
        assert load(folder) == good
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert load(folder) == good, place
    file.write_bytes(content + bytes(8))
    assert load(folder) == good
    assert entry(folder).read_bytes() == content


def test_the_file_of_another_profile_is_a_miss(folder: Path) -> None:
    """Its name is no proof: the whole profile stands in the file."""
    other = {**PROFILE, "defaultAction": "SCMP_ACT_ERRNO"}
    content = entry(folder).read_bytes()
    load(folder, other)
    for file in folder.iterdir():
        file.write_bytes(content)
    assert load(folder, other) == load(None, other) != load(None)


def test_machine_version_and_field_make_another_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(folder, machine="aarch64")
    cache.load(Section(PROFILE, "/elsewhere"), "x86_64", str(folder))
    monkeypatch.setattr(cache, "VERSION", "another")
    load(folder)
    load(folder)
    assert len(list(folder.iterdir())) == 4


def test_the_same_profile_parsed_twice_has_one_file(folder: Path) -> None:
    """The key must not depend on which strings are shared or interned."""
    text = json.dumps(PROFILE)
    kept = [load(folder, json.loads(text)) for _ in range(2)]
    assert kept == [load(folder)] * 2
    entry(folder)


def test_another_libseccomp_is_a_miss(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "identity", lambda path: b"1 2 3 " + path.encode())
    plant(folder)
    assert load(folder) == load(None) != PERMISSIVE


def test_a_library_that_was_not_found_matches_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "library", lambda: b"")
    entry(folder).unlink()
    load(folder)
    plant(folder)
    assert load(folder) != PERMISSIVE


def test_the_library_is_found_where_the_loader_found_it() -> None:
    text = keep.library().decode()
    path = text.split(" ", 3)[3]
    assert "/libseccomp.so.2" in path
    assert text.split(" ")[:2] == [str(os.stat(path).st_ino), str(os.stat(path).st_size)]
    assert cache.identity("/nonexistent") == b""


def test_the_oldest_files_make_room(folder: Path) -> None:
    first = entry(folder)
    os.utime(first, ns=(1, 1))
    for index in range(cache.FILES_MAX - 1):
        (folder / f"{index}").write_bytes(b"")
    assert first.exists()
    load(folder, {**PROFILE, "flags": []})
    assert len(list(folder.iterdir())) == cache.FILES_MAX
    assert not first.exists()


def test_a_cache_that_cannot_be_used_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for directory in (tmp_path / "missing" / cache.DIRECTORY, tmp_path / "file"):
        assert load(directory) == load(None)


def test_a_full_disk_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry(folder).unlink()
    monkeypatch.setattr(posix, "write", lambda *_: 3)
    assert load(folder) == load(None)
    assert list(folder.iterdir()) == []


def test_a_profile_that_is_refused_leaves_no_file(tmp_path: Path) -> None:
    folder = tmp_path / cache.DIRECTORY
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"^/linux/seccomp/defaultAction: unknown action"):
            load(folder, {"defaultAction": "X"})
    assert list(folder.iterdir()) == []
