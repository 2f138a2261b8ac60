# SPDX-License-Identifier: Apache-2.0
"""linux.devices and the devices that every container has."""

from conformance import host
from conformance.box import Box
from conformance.patch import Patch, linux
from conformance.requirements import case, refusal

DEFAULT = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}


def device(path: str, kind: str = "c", major: int | None = 1, minor: int | None = 5, **fields: object) -> Patch:
    rest = {key: value for key, value in (("major", major), ("minor", minor)) if value is not None}
    return {"path": path, "type": kind, **rest, **fields}


def devices(*rows: Patch) -> Patch:
    return linux(devices=list(rows))


@case("SPEC-200", "SPEC-201", "SPEC-202", "SPEC-203", "SPEC-204", "SPEC-205")
def default_devices(box: Box) -> None:
    lines = {name: f"stat -c '%F %t:%T' /dev/{name}" for name in DEFAULT}
    facts = box.facts({}, **lines, use="echo x > /dev/null && head -c 4 /dev/zero | od -An -tx1; echo x > /dev/full")
    for number, (name, expected) in enumerate(DEFAULT.items(), 200):
        box.same(f"SPEC-{number}", facts[name], f"character special file {expected}", f"/dev/{name}")
    box.holds("SPEC-200", "00 00 00 00" in facts["use"], f"/dev/null or /dev/zero: {facts['use']}")
    box.holds("SPEC-202", "No space" in facts["use"], f"/dev/full: {facts['use']}")


@case("SPEC-192", "SPEC-193", "SPEC-194", "SPEC-197", "SPEC-198", needs="root cap:CAP_MKNOD")
def made(box: Box) -> None:
    """One of each type, in /dev and elsewhere, with owner and mode."""
    rows = (
        (device("/dev/conf-c", "c", 1, 5, fileMode=0o640, uid=12, gid=34), "character special file 1:5 640 12 34"),
        (device("/dev/conf-u", "u", 1, 7, fileMode=0o606, uid=0, gid=5), "character special file 1:7 606 0 5"),
        (device("/dev/conf-b", "b", 7, 77, fileMode=0o600, uid=0, gid=0), "block special file 7:4d 600 0 0"),
        (device("/data/deep/conf-p", "p", None, None, fileMode=0o622, uid=1, gid=2), "fifo 0:0 622 1 2"),
        (device("/data/conf-o", "c", 1, 9, fileMode=0o444, uid=3, gid=4), "character special file 1:9 444 3 4"),
    )
    lines = {f"d{number}": f"stat -c '%F %t:%T %a %u %g' {row['path']}" for number, (row, _) in enumerate(rows)}
    facts = box.facts({**devices(*(row for row, _ in rows)), "process": {"user": {"umask": 0o27}}}, **lines)
    for number, (row, expected) in enumerate(rows):
        found = facts[f"d{number}"]
        words, right = found.rsplit(" ", 3), expected.rsplit(" ", 3)
        if len(words) != 4:
            box.holds("SPEC-192", False, f"{row['path']}: {found}")
            continue
        box.same("SPEC-192", words[0], right[0], str(row["path"]))
        box.same("SPEC-193", words[0].rsplit(" ", 1)[0], right[0].rsplit(" ", 1)[0], f"type {row['type']}")
        box.same("SPEC-194", words[0], right[0], str(row["path"]))
        box.same("SPEC-197", words[1], right[1], f"mode of {row['path']}")
        box.same("SPEC-198", words[2:], right[2:], f"owner of {row['path']}")


@case("SPEC-198", needs="root userns cap:CAP_MKNOD")
def owner_in_a_user_namespace(box: Box) -> None:
    """Uid and gid are those of the container, where a device node can only be a bind mount of the host's."""
    from conformance.ownership import give
    from conformance.patch import user_namespace

    give(box)
    found = box.facts(user_namespace(), node="stat -c '%F %t:%T' /dev/null", use="echo x > /dev/null && echo fine")
    box.same("SPEC-198", found["node"], "character special file 1:3")
    box.same("SPEC-198", found["use"], "fine")


@case("SPEC-195", needs="root cap:CAP_MKNOD")
def occupied(box: Box) -> None:
    """A file that is no such device stays, and is an error."""
    (box.rootfs / "data/node").write_text("not a device")
    box.refused("SPEC-195", devices(device("/data/node")), devices(device("/data/other")))
    box.same("SPEC-195", (box.rootfs / "data/node").read_text(), "not a device", "the file")


PATH = "/dev/conf" if host.is_root() else "/dev/zero"
"""An ordinary user can have what the host has."""
NODE = devices(device(PATH))
refusal("SPEC-193", devices({**device(PATH), "type": "x"}), NODE)
refusal("SPEC-193", devices({"path": PATH, "major": 1, "minor": 5}), NODE)
refusal("SPEC-194", devices({"type": "c", "major": 1, "minor": 5}), NODE)
refusal("SPEC-196", devices(device(PATH, "c", None, 5)), NODE)
refusal("SPEC-196", devices(device(PATH, "c", 1, None)), NODE)
refusal("SPEC-196", devices(device(PATH, "b", None, None)), NODE)


@case("SPEC-196")
def fifo_without_numbers(box: Box) -> None:
    found = box.fact(devices(device("/dev/conf", "p", None, None)), "stat -c %F /dev/conf")
    box.same("SPEC-196", found, "fifo")
