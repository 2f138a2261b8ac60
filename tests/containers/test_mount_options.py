# SPDX-License-Identifier: Apache-2.0
"""SPEC-021 to SPEC-079: each mount option, by its effect in /proc/self/mountinfo."""

import pytest

from tests.containers.box import Box, Patch


class Seen:
    """One line of proc_pid_mountinfo(5). mount, super: options of the two kinds; fields: the optional ones."""

    def __init__(self, line: str) -> None:
        head, _, tail = line.partition(" - ")
        words = head.split()
        self.mount = words[5].split(",")
        self.fields = words[6:]
        self.super = tail.split()[2].split(",")


def row(destination: str, kind: str, source: object, *options: str) -> Patch:
    return {"destination": destination, "type": kind, "source": str(source), "options": list(options)}


def see(box: Box, path: str, *rows: Patch) -> Seen:
    """The last mount at a path, as the container sees it."""
    return Seen(box.run({"+mounts": list(rows)}, f"grep ' {path} ' /proc/self/mountinfo").lines[-1])


# Option, the mount option it gives (with "!": that it takes away), and what else is to be there before it
ATTRIBUTES = [
    ("ro", "ro", ()),
    ("rw", "!ro", ("ro",)),
    ("nosuid", "nosuid", ()),
    ("suid", "!nosuid", ("nosuid",)),
    ("nodev", "nodev", ()),
    ("dev", "!nodev", ("nodev",)),
    ("noexec", "noexec", ()),
    ("exec", "!noexec", ("noexec",)),
    ("nodiratime", "nodiratime", ()),
    ("diratime", "!nodiratime", ("nodiratime",)),
    ("nosymfollow", "nosymfollow", ()),
    ("symfollow", "!nosymfollow", ("nosymfollow",)),
    ("noatime", "noatime", ()),
    ("atime", "!noatime", ("noatime",)),
    ("relatime", "relatime", ("noatime",)),
    ("norelatime", "!noatime", ()),
    ("strictatime", "!relatime", ()),
    ("nostrictatime", "relatime", ("strictatime",)),
]


KINDS: dict[str, tuple[str, str, tuple[str, ...], str, str]] = {
    # type, source, options, what is before each option, where to look
    "tmpfs": ("tmpfs", "tmpfs", (), "", ""),
    "bind": ("bind", "/dev", ("bind",), "", ""),
    "recursive": ("bind", "/dev", ("rbind",), "r", ""),
    "below": ("bind", "/dev", ("rbind",), "r", "/shm"),
}
_seen: dict[str, dict[str, Seen]] = {}


def see_all(box: Box, kind: str) -> dict[str, Seen]:
    """A mount for each row of ATTRIBUTES, by option; all of a kind are in one container."""
    if kind not in _seen:
        type_, source, options, prefix, below = KINDS[kind]
        rows = [
            row(f"/mnt/{option}", type_, source, *options, *(prefix + one for one in (*before, option)))
            for option, _, before in ATTRIBUTES
        ]
        lines = box.run({"+mounts": rows}, "cat /proc/self/mountinfo").lines
        places = {line.split()[4]: Seen(line) for line in lines}
        _seen[kind] = {option: places[f"/mnt/{option}{below}"] for option, _, _ in ATTRIBUTES}
    return _seen[kind]


@pytest.mark.parametrize(("option", "word"), [row[:2] for row in ATTRIBUTES])
@pytest.mark.parametrize("kind", KINDS)
def test_attributes(box: Box, option: str, word: str, kind: str) -> None:
    assert (word.strip("!") in see_all(box, kind)[option].mount) == (word[0] != "!")


@pytest.mark.parametrize(("option", "word"), [("ro", "ro"), ("noexec", "noexec"), ("nosymfollow", "nosymfollow")])
def test_plain_attributes_are_of_the_top_only(box: Box, option: str, word: str) -> None:
    assert word not in see(box, "/mnt/shm", row("/mnt", "bind", "/dev", "rbind", option)).mount


@pytest.mark.parametrize(
    ("option", "word", "before"),
    [
        ("sync", "sync", ()),
        ("async", "!sync", ("sync",)),
        ("dirsync", "dirsync", ()),
        ("lazytime", "lazytime", ()),
        ("nolazytime", "!lazytime", ("lazytime",)),
        ("ro", "ro", ()),
        ("mand", "rw", ()),
        ("nomand", "!mand", ("mand",)),
        ("iversion", "rw", ()),
        ("noiversion", "rw", ("iversion",)),
        ("silent", "rw", ()),
        ("loud", "rw", ("silent",)),
        ("defaults", "rw", ()),
    ],
)
@pytest.mark.parametrize("path", ["/mnt"])
def test_options_of_the_superblock(box: Box, option: str, word: str, before: tuple[str, ...], path: str) -> None:
    seen = see(box, path, row(path, "ramfs", "ramfs", *before, option))
    assert (word.strip("!") in seen.super + seen.mount) == (word[0] != "!")


@pytest.mark.parametrize("option", ["mand", "iversion", "silent", "lazytime", "sync", "dirsync", "strictatime", "loud"])
def test_known_options_are_never_data_of_the_file_system(box: Box, option: str) -> None:
    words = {"defaults", "rw", option}
    assert words & set(see(box, "/mnt", row("/mnt", "tmpfs", "tmpfs", "defaults", option, "size=4k")).mount)


@pytest.mark.parametrize(
    ("option", "fields"),
    [("shared", ["shared"]), ("slave", ["master"]), ("private", []), ("unbindable", ["unbindable"])],
)
@pytest.mark.parametrize("recursive", ["", "r"])
def test_propagation(box: Box, option: str, fields: list[str], recursive: str) -> None:
    # A slave needs a master: what is bound is shared, in a mount of its own before
    first = row("/mnt", "bind", "/dev", "rbind", "rshared")
    second = row("/two", "bind", "/dev", "rbind", recursive + option)
    seen = see(box, "/two", first, second)
    below = see(box, "/two/shm", first, second)
    assert [one.split(":")[0] for one in seen.fields if one.split(":")[0] in fields] == fields or option == "slave"
    if recursive and option != "slave":
        assert [one.split(":")[0] for one in below.fields] == fields
    elif option == "unbindable":
        assert below.fields == []


def test_rbind_and_bind(box: Box) -> None:
    assert see(box, "/mnt/shm", row("/mnt", "none", "/dev", "rbind")).mount
    with pytest.raises(AssertionError):
        see(box, "/mnt/shm", row("/mnt", "none", "/dev", "bind"))


def test_remount_changes_what_is_there(box: Box) -> None:
    seen = see(
        box, "/mnt", row("/mnt", "tmpfs", "tmpfs"), row("/mnt", "none", "", "remount", "ro", "nosuid", "size=8k")
    )
    assert {"ro", "nosuid"} <= set(seen.mount)
    assert {"ro", "size=8k"} <= set(seen.super)


def test_remount_of_a_bind_changes_the_mount_alone(box: Box) -> None:
    seen = see(box, "/mnt", row("/mnt", "tmpfs", "tmpfs"), row("/mnt", "", "", "remount", "bind", "ro"))
    assert "ro" in seen.mount
    assert "rw" in seen.super


def test_the_later_of_two_counts(box: Box) -> None:
    assert "ro" in see(box, "/mnt", row("/mnt", "tmpfs", "tmpfs", "ro", "rw", "ro")).mount


@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_idmapped_mounts_are_refused_not_made_plain(box: Box, option: str) -> None:
    patch = {"+mounts": [row("/mnt", "bind", "/dev", "bind", option)]}
    assert "/mounts/3/options" in box.refused(patch)


def test_a_readonly_bind_leaves_the_source_writable(box: Box) -> None:
    (box.bundle / "data").mkdir()
    box.run({"+mounts": [row("/mnt", "bind", "data", "bind", "ro")]}, "touch /mnt/file", status=1)
    (box.bundle / "data/file").touch()
