# SPDX-License-Identifier: Apache-2.0
"""The state directory: ids, claim, lock, whole writes, and a removal that touches nothing of others."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrunc.errors import ExistsError, IdError, NotFoundError, StateError
from pyrunc.state import store
from pyrunc.state.ids import is_valid, validate_id


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "run" / "pyrunc")


@pytest.fixture
def entry(root: str) -> Iterator[store.Entry]:
    entry = store.claim(root, "box")
    yield entry
    entry.close()


def holder(root: str, seconds: float) -> int:
    """A process that holds the lock of `box` for some seconds."""
    ready, told = os.pipe()
    pid = os.fork()
    if not pid:
        store.open_entry(root, "box").lock()
        os.write(told, b"x")
        time.sleep(seconds)
        os._exit(0)
    os.read(ready, 1)
    os.close(ready)
    os.close(told)
    return pid


@pytest.mark.parametrize("text", ["a", "A-1", "_x", "+", "-x", "a.b..c", "x" * 255])
def test_an_id_of_allowed_characters_is_valid(text: str) -> None:
    assert validate_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        ".hidden",
        "/",
        "../x",
        "a/b",
        "a\n",
        "a\0",
        "a b",
        "x" * 256,
        "é",
        "\u0661",
        "a\u200b",
        "\udcff",
        "a\\b",
    ],
)
@pytest.mark.parametrize("function", [store.claim, store.open_entry])
def test_any_other_id_is_refused_before_a_path_is_made(text: str, function: object, tmp_path: Path) -> None:
    """[id-validation]"""
    with pytest.raises(IdError, match="invalid container ID format"):
        function(str(tmp_path / "root"), text)  # type: ignore[operator]
    assert not is_valid(text)
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_with_an_id() -> None:
    with pytest.raises(IdError, match=r'^invalid container ID format: "a/b": invalid character "/"$'):
        validate_id("a/b")
    with pytest.raises(IdError, match=r'^invalid container ID format: "\.a"$'):
        validate_id(".a")


def test_claim_makes_root_and_directory_for_us_alone(root: str) -> None:
    """[state-perms-umask0]"""
    before = os.umask(0)
    try:
        entry = store.claim(root, "box")
        entry.write(store.STATE, b"{}")
        entry.make_fifo()
    finally:
        os.umask(before)
    modes = {path: Path(root, path).stat().st_mode & 0o7777 for path in ("", "box", "box/lock", "box/state.json")}
    assert modes == {"": 0o700, "box": 0o700, "box/lock": 0o600, "box/state.json": 0o600}
    assert entry.locked
    entry.close()


def test_an_id_in_use_is_refused_and_untouched(root: str, entry: store.Entry) -> None:
    entry.write(store.STATE, b"first")
    with pytest.raises(ExistsError, match="container with given ID already exists"):
        store.claim(root, "box")
    assert entry.read(store.STATE) == b"first"


def test_one_of_many_claims_at_once_wins(root: str) -> None:
    """[concurrent-create]"""
    store.claim(root, "other").close()
    children = []
    for _ in range(8):
        pid = os.fork()
        if not pid:
            try:
                store.claim(root, "box")
            except ExistsError:
                os._exit(1)
            os._exit(0)
        children.append(pid)
    assert sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children) == [0] + [1] * 7


def test_an_unknown_container_does_not_exist(root: str) -> None:
    with pytest.raises(NotFoundError, match="container does not exist"):
        store.open_entry(root, "box")
    store.claim(root, "other").close()
    with pytest.raises(NotFoundError, match="container does not exist"):
        store.open_entry(root, "box")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_root_that_others_may_write_is_refused(root: str, entry: store.Entry, mode: int) -> None:
    os.chmod(root, mode)
    for function in (store.claim, store.open_entry):
        with pytest.raises(StateError, match="writable by others"):
            function(root, "box2")
    with pytest.raises(StateError, match="writable by others"):
        store.entries(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a directory away")
def test_a_directory_of_another_user_is_refused(root: str, entry: store.Entry) -> None:
    os.chown(f"{root}/box", 1000, 1000)
    with pytest.raises(StateError, match="owned by uid 1000"):
        store.open_entry(root, "box")
    os.chown(root, 1000, 1000)
    with pytest.raises(StateError, match="owned by uid 1000"):
        store.claim(root, "box2")


@pytest.mark.parametrize("root", ["/", "//", "", "relative/run"])
def test_a_root_that_is_no_place_is_refused(root: str) -> None:
    for function in (store.claim, store.open_entry):
        with pytest.raises(StateError, match="cannot be the root"):
            function(root, "box")


def test_a_symlink_is_no_container(root: str, entry: store.Entry, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    (victim / "lock").touch()
    Path(root, "link").symlink_to(victim)
    with pytest.raises(StateError):
        store.open_entry(root, "link")
    with pytest.raises(ExistsError):
        store.claim(root, "link")
    assert store.entries(root) == ["box"]


def test_a_write_replaces_the_file_as_a_whole(entry: store.Entry) -> None:
    entry.write("state.json", b"old")
    reader = os.open("state.json", os.O_RDONLY, dir_fd=entry.fd)
    entry.write("state.json", b"n" * 100_000)
    assert os.read(reader, 10) == b"old"
    assert entry.read("state.json") == b"n" * 100_000
    os.close(reader)


def test_a_write_does_not_follow_a_symlink(entry: store.Entry, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    os.symlink(target, "state.json.new", dir_fd=entry.fd)
    with pytest.raises(StateError):
        entry.write("state.json", b"x")
    os.symlink(target, "config.json", dir_fd=entry.fd)
    with pytest.raises(StateError):
        entry.read("config.json")
    assert target.read_bytes() == b"mine"


def test_a_fifo_in_place_of_a_file_does_not_block(entry: store.Entry) -> None:
    entry.make_fifo("state.json")
    with pytest.raises(StateError, match="not a regular file"):
        entry.read("state.json")


def test_a_file_above_the_cap_is_refused(entry: store.Entry) -> None:
    entry.write("state.json", b"x" * 11)
    with pytest.raises(StateError, match="larger than 10 bytes"):
        entry.read("state.json", 10)


def test_a_lock_waits_for_its_holder_until_the_deadline(root: str, entry: store.Entry) -> None:
    entry.close()
    pid = holder(root, 30)
    other = store.open_entry(root, "box")
    assert other.busy()
    with pytest.raises(StateError, match="in use by another call"):
        other.lock(timeout=0.05)
    os.kill(pid, signal.SIGKILL)
    other.lock(timeout=5)
    os.waitpid(pid, 0)
    assert not other.busy()
    other.close()


def test_a_lock_of_a_container_that_was_deleted_meanwhile_fails(root: str, entry: store.Entry) -> None:
    """[concurrent-start-delete]"""
    other = store.open_entry(root, "box")
    pid = os.fork()
    if not pid:
        entry.unlock()  # the descriptor that fork copied
        try:
            other.lock(5)
        except NotFoundError:
            os._exit(7)
        os._exit(0)
    time.sleep(0.05)
    entry.remove()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    other.close()
    assert os.listdir(root) == []


def test_remove_leaves_nothing(root: str, entry: store.Entry) -> None:
    entry.write(store.STATE, b"{}")
    entry.write(store.CONFIG, b"{}")
    entry.append(store.JOURNAL, b"x")
    entry.make_fifo()
    os.mkdir("notify", dir_fd=entry.fd)
    os.mkfifo("notify/notify.sock", dir_fd=entry.fd)
    entry.remove()
    assert os.listdir(root) == []


def test_remove_of_a_half_made_directory(root: str, entry: store.Entry) -> None:
    """A kill -9 between mkdir and the first file: the id is taken, and delete --force frees it."""
    os.mkdir(f"{root}/half", 0o700)
    with pytest.raises(ExistsError):
        store.claim(root, "half")
    half = store.open_entry(root, "half")
    half.lock()
    half.remove()
    assert os.listdir(root) == ["box"]


def test_remove_takes_a_link_and_leaves_its_target(root: str, entry: store.Entry, tmp_path: Path) -> None:
    """[delete-traversal]"""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").touch()
    os.symlink(victim, "link", dir_fd=entry.fd)
    entry.remove()
    assert (victim / "file").exists()
    assert os.listdir(root) == []


def test_remove_refuses_a_directory_without_the_marker(root: str, entry: store.Entry) -> None:
    os.mkdir(f"{root}/foreign", 0o700)
    Path(root, "foreign", "data").touch()
    foreign = store.open_entry(root, "foreign")
    with pytest.raises(StateError, match="not a directory of pyrunc"):
        foreign.remove()
    foreign.close()
    assert os.listdir(f"{root}/foreign") == ["data"]


def test_remove_refuses_a_deep_directory_as_a_whole(root: str, entry: store.Entry) -> None:
    entry.write(store.STATE, b"{}")
    os.makedirs(f"{root}/box/a/b")
    with pytest.raises(StateError, match="is not of pyrunc"):
        entry.remove()
    assert entry.read(store.STATE) == b"{}"


def test_entries_are_the_directories_with_valid_names(root: str, entry: store.Entry) -> None:
    Path(root, "file").touch()
    os.mkdir(f"{root}/.hidden")
    os.mkdir(f"{root}/a b")
    os.mkdir(f"{root}/another")
    assert store.entries(root) == ["another", "box"]


def test_no_root_has_no_entries(root: str) -> None:
    assert store.entries(root) == []
