# SPDX-License-Identifier: Apache-2.0
"""Options of bind mounts: whole trees, propagation, and attributes for a mount and all below it."""

import functools
import pathlib
from collections.abc import Callable

from conformance import host
from conformance.box import Box
from conformance.mount_options import IDS
from conformance.mounts import Row, at, each, rows, source
from conformance.patch import Patch, mount, mounts
from conformance.requirements import Failed, case


def tree(box: Box, flags: int = 0, name: str = "tree") -> pathlib.Path:
    """A directory of the host that is a shared mount, with another one on `sub`, both with these flags of mount(2)."""
    top = box.folder / name
    top.mkdir(mode=0o755, exist_ok=True)
    for path in (top, top / "sub"):
        path.mkdir(exist_ok=True)
        host.mount("tmpfs", str(path), "tmpfs", 0, "mode=755")
        (path / "file").write_text(path.name)
        host.mount("none", str(path), "", host.MS_SHARED)
        if path == top:
            (path / "sub").mkdir()
    for path in (top / "sub", top):
        if flags:
            host.mount("none", str(path), "", flags | MS_REMOUNT | MS_BIND)
    return top


MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_NOSYMFOLLOW = 1, 2, 4, 8, 32, 256
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_RELATIME, MS_STRICTATIME = 1024, 2048, 4096, 1 << 21, 1 << 24


@case(IDS["bind"])
def bind(box: Box) -> None:
    facts = box.facts(
        mounts(mount("/m", "bind", "bind", source=str(source(box)))), text="cat /m/file", write="echo new > /m/file"
    )
    box.same(IDS["bind"], facts["text"], "source")
    box.same(IDS["bind"], (box.folder / "source/file").read_text(), "new\n", "what the container wrote")


@case(IDS["bind"], IDS["rbind"], needs="root")
def one_and_all(box: Box) -> None:
    """Rbind takes the mounts below with it, bind does not."""
    folder = str(tree(box))
    for option, expected in (("bind", "tree"), ("rbind", "treesub")):
        found = box.fact(mounts(mount("/m", "bind", option, source=folder)), "cat /m/file /m/sub/file 2>/dev/null")
        box.same(IDS[option], found, expected, option)


PROPAGATION = {"private": "", "shared": "shared", "slave": "master", "unbindable": "unbindable"}
TYPES = {"r" * deep + word: field for word, field in PROPAGATION.items() for deep in (False, True)}


def entry(box: Box, option: str, flags: int = 0) -> list[Patch]:
    """A bind mount of a tree of its own, with the option."""
    return [mount(f"/m/{option}", "bind", "rbind", option, source=str(tree(box, flags, f"tree-{option}")))]


def compare(box: Box, wanted: dict[str, Callable[[], list[Patch]]], wrong: Callable[[str, str, Row], str]) -> None:
    """A verdict for each option, of the mount and of the one below it."""
    for option, table in each(box, wanted).items():
        if isinstance(table, Failed):
            box.holds(IDS[option], False, str(table))
            continue
        for target in (f"/m/{option}", f"/m/{option}/sub"):
            found = wrong(option, target, table[target]) if target in table else f"nothing is mounted on {target}"
            box.holds(IDS[option], not found, found)


@case(*(IDS[option] for option in TYPES), needs="root")
def propagation(box: Box) -> None:
    def wrong(option: str, target: str, row: Row) -> str:
        field, found = TYPES[option], set(row.fields) & {"shared", "master", "unbindable"}
        if target.endswith("/sub") and option[0] != "r":
            return ""  # it keeps what it has, which nobody says
        good = field in found if field else not found
        return "" if good else f"{target} is {sorted(found) or 'private'}"

    compare(box, {option: functools.partial(entry, box, option) for option in TYPES}, wrong)


@case(IDS["shared"], IDS["unbindable"], IDS["private"])
def propagation_of_a_new_mount(box: Box) -> None:
    words = {"shared": "shared", "unbindable": "unbindable", "private": ""}
    table = rows(box, mounts(*(mount(f"/m/{word}", "tmpfs", word) for word in words)))
    for word, field in words.items():
        found = at(table, f"/m/{word}").fields
        good = field in found if field else not {"shared", "master", "unbindable"} & set(found)
        box.holds(IDS[word], good, f"{word} on a tmpfs: {found or 'private'}")


RECURSIVE = {
    # option: (flags that the tree has before, words that mountinfo shows, words that it does not show)
    "ratime": (MS_NOATIME, (), ("noatime",)),
    "rdev": (MS_NODEV, (), ("nodev",)),
    "rdiratime": (MS_NODIRATIME, (), ("nodiratime",)),
    "rexec": (MS_NOEXEC, (), ("noexec",)),
    "rnoatime": (0, ("noatime",), ()),
    "rnodiratime": (0, ("nodiratime",), ()),
    "rnoexec": (0, ("noexec",), ()),
    "rnostrictatime": (MS_STRICTATIME, ("relatime",), ()),
    "rnosuid": (0, ("nosuid",), ()),
    "rnosymfollow": (0, ("nosymfollow",), ()),
    "rrelatime": (MS_NOATIME, ("relatime",), ("noatime",)),
    "rro": (0, ("ro",), ()),
    "rrw": (MS_RDONLY, ("rw",), ("ro",)),
    "rstrictatime": (0, (), ("relatime", "noatime")),
    "rsuid": (MS_NOSUID, (), ("nosuid",)),
    "rsymfollow": (MS_NOSYMFOLLOW, (), ("nosymfollow",)),
}


@case(*(IDS[option] for option in RECURSIVE), needs="root")
def recursive_attributes(box: Box) -> None:
    def wrong(option: str, target: str, row: Row) -> str:
        _, there, absent = RECURSIVE[option]
        good = set(there) <= set(row.options) and not set(absent) & set(row.options)
        return "" if good else f"{target} has {row.options}"

    compare(box, {one: functools.partial(entry, box, one, row[0]) for one, row in RECURSIVE.items()}, wrong)


@case(IDS["rnorelatime"])
def rnorelatime(box: Box) -> None:
    """What it leaves is the kernel's default, relatime: that it is no data of a file system is all that shows."""
    found = at(rows(box, mounts(mount("/m", "tmpfs", "rnorelatime", "nodev"))), "/m").options
    box.holds(IDS["rnorelatime"], "nodev" in found, f"the options beside it are lost: {found}")


@case(IDS["relatime"], needs="root")
def relatime(box: Box) -> None:
    """On a new mount it is what the kernel does anyway; on one of files whose access is never noted it shows."""
    found = at(rows(box, mounts(*entry(box, "relatime", MS_NOATIME))), "/m/relatime").options
    box.holds(IDS["relatime"], "relatime" in found, f"on a mount with noatime: {found}")


@case(IDS["ro"], IDS["noexec"], IDS["nosuid"], IDS["nodev"], IDS["noatime"], needs="root")
def on_a_bind_mount(box: Box) -> None:
    """The kernel takes them at a second try only, and the host's mount stays as it is."""
    folder = source(box)
    options = ("ro", "noexec", "nosuid", "nodev", "noatime")
    table = rows(box, mounts(*(mount(f"/m/{one}", "bind", "bind", one, source=str(folder)) for one in options)))
    for option in options:
        row = at(table, f"/m/{option}")
        box.holds(IDS[option], option in row.options, f"{option} on a bind mount: {row.options}")
    (folder / "file").write_text("still")
