# SPDX-License-Identifier: Apache-2.0
"""mounts: their order, their destinations, sources and types, and options that are data."""

import pathlib
from collections.abc import Callable

from conformance.box import Box
from conformance.patch import Patch, combine, linux, mount, mounts, namespaces
from conformance.requirements import Failed, case, refusal

SHOW = "cat /proc/$$/mountinfo"


class Row:
    """One line of mountinfo. options: of the mount; fields: the optional ones; data: of the file system."""

    def __init__(self, line: str) -> None:
        left, _, right = line.partition(" - ")
        words = left.split()
        self.target = words[4]
        self.options = words[5].split(",")
        self.fields = [word.split(":")[0] for word in words[6:]]
        self.kind, self.source, data = right.split(" ", 2)
        self.data = data.split(",")


def rows(box: Box, patch: Patch) -> dict[str, Row]:
    """The mounts that the container's process sees; the topmost of each place."""
    return {row.target: row for row in map(Row, box.fact(patch, SHOW).splitlines())}


def at(table: dict[str, Row], target: str) -> Row:
    if target not in table:
        raise Failed(f"nothing is mounted on {target}")
    return table[target]


def each(box: Box, wanted: dict[str, Callable[[], list[Patch]]]) -> dict[str, dict[str, Row] | Failed]:
    """The mounts of several lists of entries, by name. One container has them all; where that one is not made each list
    has its own, made anew as `clean` has ended what it binds, so that one that is refused spoils no other.
    """
    try:
        table = rows(box, mounts(*(row for entries in wanted.values() for row in entries())))
        return dict.fromkeys(wanted, table)
    except Failed:
        box.clean()
    found: dict[str, dict[str, Row] | Failed] = {}
    for name, entries in wanted.items():
        try:
            found[name] = rows(box, mounts(*entries()))
        except Failed as error:
            found[name] = error
            box.clean()
    return found


def source(box: Box, name: str = "source") -> pathlib.Path:
    """A directory of the host with a file in it."""
    folder = box.folder / name
    folder.mkdir(mode=0o755)
    (folder / "file").write_text(name)
    return folder


@case("SPEC-012")
def in_order(box: Box) -> None:
    """The later one shows: on the same place, and below an earlier one."""
    first, second = source(box, "first"), source(box, "second")
    (first / "sub").mkdir()
    bind = [mount("/m", "bind", "rbind", source=str(one)) for one in (first, second)]
    box.same("SPEC-012", box.fact(mounts(*bind), "cat /m/file"), "second", "two on one place")
    inner = mount("/m/sub", "bind", "rbind", source=str(second))
    box.same("SPEC-012", box.fact(mounts(bind[0], inner), "cat /m/file /m/sub/file"), "firstsecond", "one below")
    # In the other order the outer one covers what was mounted below it
    found = box.fact(mounts(mount("/m/sub", "tmpfs"), bind[0]), "ls /m/sub; cat /m/file")
    box.same("SPEC-012", found, "first", "one above")


refusal("SPEC-013", mounts({"type": "tmpfs", "source": "tmpfs"}), mounts(mount("/m")))
refusal("SPEC-013", mounts(mount("", "tmpfs")), mounts(mount("/m")))


@case("SPEC-015")
def relative_destination(box: Box) -> None:
    table = rows(box, mounts(mount("data/deep", "tmpfs")))
    box.holds("SPEC-015", "/data/deep" in table, "nothing is mounted on /data/deep")


@case("SPEC-016")
def sources(box: Box) -> None:
    (box.bundle / "inside").mkdir()
    (box.bundle / "inside/file").write_text("of the bundle")
    for where in ("inside", "./inside", str(box.bundle / "inside")):
        found = box.fact(mounts(mount("/m", "bind", "bind", source=where)), "cat /m/file")
        box.same("SPEC-016", found, "of the bundle", f"source {where}")


@case("SPEC-016")
def source_is_a_file(box: Box) -> None:
    file = source(box) / "file"
    found = box.fact(mounts(mount("/etc/new", "bind", "bind", source=str(file))), "cat /etc/new")
    box.same("SPEC-016", found, "source")


@case("SPEC-017", "SPEC-020")
def type_of_a_bind(box: Box) -> None:
    """It is a bind mount by its options; the type is a dummy."""
    folder = str(source(box))
    for kind in ("bind", "none", "tmpfs", "proc", "conformance", None):
        option = "rbind" if kind in {"none", "tmpfs"} else "bind"
        row = mount("/m", kind or "", option, source=folder)
        if not kind:
            del row["type"]
        found = box.fact(mounts(row), "cat /m/file")
        box.same("SPEC-020" if kind != "tmpfs" else "SPEC-017", found, "source", f"type {kind}, option {option}")


@case("SPEC-018")
def data(box: Box) -> None:
    """What is no option of mount(8) goes to the file system, which takes or refuses it."""
    row = at(rows(box, mounts(mount("/m", "tmpfs", "nosuid", "size=512k", "nr_inodes=77", "mode=711"))), "/m")
    found = {word for word in row.data if word.partition("=")[0] in {"size", "nr_inodes", "mode"}}
    box.same("SPEC-018", found, {"size=512k", "nr_inodes=77", "mode=711"})


refusal("SPEC-018", mounts(mount("/m", "tmpfs", "conformance=1")), mounts(mount("/m", "tmpfs", "mode=711")))


@case("SPEC-019")
def comments(box: Box) -> None:
    """mount(8): options that begin with x- are comments, which the file system never sees."""
    row = at(rows(box, mounts(mount("/m", "tmpfs", "x-conformance.note=1", "nodev"))), "/m")
    box.holds("SPEC-019", "nodev" in row.options, f"options are {row.options}")


@case("SPEC-169", "SPEC-170", "SPEC-171", "SPEC-172")
def default_file_systems(box: Box) -> None:
    """As every engine asks for them."""
    sysfs = mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro")
    table = rows(box, mounts(mount("/dev/shm", "tmpfs", "nosuid", "mode=1777", "size=1m"), sysfs))
    expected = {"/proc": "proc", "/sys": "sysfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs"}
    for number, (target, kind) in enumerate(expected.items(), 169):
        box.same(f"SPEC-{number}", at(table, target).kind, kind, target)


@case("SPEC-314", needs="root")
def propagation_of_the_root(box: Box) -> None:
    expected = {"shared": {"shared"}, "slave": {"master"}, "private": set(), "unbindable": {"unbindable"}}
    from conformance import host

    host.mount("tmpfs", str(box.bundle), "tmpfs")
    host.mount("none", str(box.bundle), "", host.MS_SHARED)
    box.bundle.chmod(0o711)
    box.kit.make(box.rootfs)
    for value, fields in expected.items():
        row = at(rows(box, linux(rootfsPropagation=value)), "/")
        found = set(row.fields) & {"shared", "master", "unbindable"}
        # A new peer group of its own may still receive what happens on the host
        good = found - ({"master"} if value == "shared" else {"shared"} if value == "slave" else set()) == fields
        box.holds("SPEC-314", good, f"{value}: the root mount is {row.fields or 'private'}")


refusal("SPEC-314", linux(rootfsPropagation="conformance"), linux(rootfsPropagation="private"))


@case("SPEC-176")
def mounts_are_of_the_container(box: Box) -> None:
    """Nothing of them is to be seen outside while it runs."""
    before = pathlib.Path("/proc/self/mountinfo").read_text()
    box.create(combine(mounts(mount("/m", "tmpfs")), namespaces(*_all(box))), "true")
    after = pathlib.Path("/proc/self/mountinfo").read_text()
    new = [line.split()[4] for line in after.splitlines() if line not in before.splitlines()]
    box.holds("SPEC-176", not [path for path in new if path.endswith("/m")], f"on the host: {new}")


def _all(box: Box) -> list[str]:
    return [row["type"] for row in box.write({})["linux"]["namespaces"]]
