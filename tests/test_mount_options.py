# SPDX-License-Identifier: Apache-2.0
"""linux/mount_flags.py: each option of config-linux.md, and what several of them mean together."""

import pytest

from pyrunc.linux import uapi
from pyrunc.linux.mount_flags import names, parse

NOATIME, STRICTATIME = uapi.MOUNT_ATTR_NOATIME, uapi.MOUNT_ATTR_STRICTATIME
ATIME = uapi.MOUNT_ATTR__ATIME

SPECIFIED = (
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "rnoatime",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
    "idmap",
    "ridmap",
    "rnodev",
)
"""SPEC-021 to SPEC-081, and rnodev, which only features.md names."""


@pytest.mark.parametrize("option", SPECIFIED)
def test_is_recognised(option: str) -> None:
    """No option of the specification reaches the filesystem as data."""
    assert parse([option]).data == []
    assert option in names()


def test_nothing_else_is_listed() -> None:
    """But three of crun's own."""
    assert names() == sorted((*SPECIFIED, "src-nofollow", "dest-nofollow", "copy-symlink"))


@pytest.mark.parametrize(
    ("option", "attr_set", "attr_clr"),
    [
        ("ro", uapi.MOUNT_ATTR_RDONLY, 0),
        ("rw", 0, uapi.MOUNT_ATTR_RDONLY),
        ("nosuid", uapi.MOUNT_ATTR_NOSUID, 0),
        ("suid", 0, uapi.MOUNT_ATTR_NOSUID),
        ("nodev", uapi.MOUNT_ATTR_NODEV, 0),
        ("dev", 0, uapi.MOUNT_ATTR_NODEV),
        ("noexec", uapi.MOUNT_ATTR_NOEXEC, 0),
        ("exec", 0, uapi.MOUNT_ATTR_NOEXEC),
        ("nodiratime", uapi.MOUNT_ATTR_NODIRATIME, 0),
        ("diratime", 0, uapi.MOUNT_ATTR_NODIRATIME),
        ("nosymfollow", uapi.MOUNT_ATTR_NOSYMFOLLOW, 0),
        ("symfollow", 0, uapi.MOUNT_ATTR_NOSYMFOLLOW),
        ("noatime", NOATIME, ATIME),
        ("relatime", 0, ATIME),
        ("strictatime", STRICTATIME, ATIME),
        ("atime", 0, ATIME),
        ("nostrictatime", 0, ATIME),
    ],
)
def test_attributes(option: str, attr_set: int, attr_clr: int) -> None:
    """Of one mount; with an r before it, of the mounts below as well."""
    parsed = parse([option])
    assert (parsed.attr_set, parsed.attr_clr) == (attr_set, attr_clr)
    assert (parsed.rec_attr_set, parsed.rec_attr_clr) == (0, 0)
    recursive = parse(["r" + option])
    assert (recursive.rec_attr_set, recursive.rec_attr_clr) == (attr_set, attr_clr)
    assert (recursive.attr_set, recursive.attr_clr, recursive.sb_flags) == (0, 0, [])


@pytest.mark.parametrize(
    ("options", "attr_set", "attr_clr"),
    [
        ("ro rw", 0, uapi.MOUNT_ATTR_RDONLY),
        ("rw ro", uapi.MOUNT_ATTR_RDONLY, 0),
        ("noatime strictatime", STRICTATIME, ATIME),
        ("strictatime noatime", NOATIME, ATIME),
        ("noatime relatime", 0, ATIME),
        ("noatime atime", 0, ATIME),
        ("strictatime atime", STRICTATIME, ATIME),
        ("noatime nostrictatime", NOATIME, ATIME),
        ("noatime norelatime", NOATIME, ATIME),
        ("norelatime", 0, 0),
        ("nosuid noexec nodev ro", 0x0F, 0),
        ("nosuid defaults", uapi.MOUNT_ATTR_NOSUID, 0),
    ],
)
def test_the_later_option_counts(options: str, attr_set: int, attr_clr: int) -> None:
    parsed = parse(options.split())
    assert (parsed.attr_set, parsed.attr_clr) == (attr_set, attr_clr)
    assert parsed.attr_set & parsed.attr_clr & ~ATIME == 0


def test_recursive_relatime_is_the_kernels_default() -> None:
    """As runc: mount_setattr(2) has no way to say "none of the three"."""
    assert parse(["rnorelatime"]).rec_attr_clr == ATIME
    assert parse(["rrelatime"]).rec_attr_clr == ATIME


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ("ro sync dirsync lazytime mand", ["ro", "sync", "dirsync", "lazytime", "mand"]),
        ("ro rw sync async lazytime nolazytime mand nomand", ["rw", "async", "nolazytime", "nomand"]),
        ("async sync rw ro ro", ["sync", "ro"]),
        ("nosuid rro", []),
    ],
)
def test_superblock_flags(options: str, flags: list[str]) -> None:
    """Each flag once, the later word of two."""
    assert parse(options.split()).sb_flags == flags


def test_flags_of_mount2() -> None:
    assert parse(["iversion", "silent"]).legacy_flags == uapi.MS_I_VERSION | uapi.MS_SILENT
    assert parse(["iversion", "silent", "loud", "noiversion"]).legacy_flags == 0


def test_propagation_keeps_its_order() -> None:
    parsed = parse(["rslave", "rw", "shared", "rprivate", "unbindable"])
    assert parsed.propagation == [
        (uapi.MS_SLAVE, True),
        (uapi.MS_SHARED, False),
        (uapi.MS_PRIVATE, True),
        (uapi.MS_UNBINDABLE, False),
    ]


def test_kinds_of_mounts() -> None:
    assert (parse(["bind"]).bind, parse(["bind"]).rbind) == (True, False)
    assert (parse(["rbind", "bind"]).bind, parse(["rbind", "bind"]).rbind) == (True, True)
    assert (parse(["idmap"]).idmap, parse(["idmap"]).ridmap) == (True, False)
    assert (parse(["ridmap"]).idmap, parse(["ridmap"]).ridmap) == (True, True)
    assert parse(["remount"]).remount
    assert parse(["tmpcopyup"]).tmpcopyup
    assert not parse([]).bind


def test_the_rest_is_for_the_filesystem() -> None:
    """Unknown options in order (SPEC-018), also several in one string; words for mount(8) alone are dropped."""
    options = [
        "newinstance",
        "mode=0620",
        "gid=5,ptmxmode=0666",
        "",
        "lowerdir=/a:/b=c",
        "nofail",
        "x-systemd.x=1",
        "k=",
    ]
    assert parse(options).data == [
        ("newinstance", None),
        ("mode", "0620"),
        ("gid", "5"),
        ("ptmxmode", "0666"),
        ("lowerdir", "/a:/b=c"),
        ("k", ""),
    ]
