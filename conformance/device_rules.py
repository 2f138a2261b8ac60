# SPDX-License-Identifier: Apache-2.0
"""linux.resources.devices: who may open and make which device."""

import errno

from conformance.box import Box
from conformance.devices import device
from conformance.patch import Patch, capabilities, combine, linux, resources
from conformance.requirements import case, refusal
from conformance.scheduling import guest

NODES = {"full": (1, 7), "other": (1, 77)}
"""Nobody has 1:77: who may open it is told ENXIO, who may not is told EPERM."""


def rules(*rows: Patch) -> Patch:
    """A strong process whose /data has a node of each device, and these rules after "nothing at all"."""
    nodes = [device(f"/data/{name}", "c", major, minor, fileMode=0o666) for name, (major, minor) in NODES.items()]
    base = combine(capabilities("CAP_MKNOD", "CAP_DAC_OVERRIDE"), linux(devices=nodes))
    return combine(base, resources(devices=list(rows)))


NONE: Patch = {"allow": False, "access": "rwm"}
ALLOW: Patch = {"allow": True, "type": "c", "major": 1, "minor": 7, "access": "rwm"}
NEEDS = "root guest cap:CAP_MKNOD"


def answers(box: Box, patch: Patch) -> list[bool]:
    """Whether it may: of opening /data/full for reading and for writing, of making 1:7, and of opening /data/other."""
    words = ("openr:/data/full", "openw:/data/full", "mknod:/tmp/new:c:1:7", "openr:/data/other")
    found = guest(box, patch, *words)
    (box.rootfs / "tmp/new").unlink(missing_ok=True)
    return [found[word] != errno.EPERM for word in words]


@case("SPEC-231", needs=NEEDS)
def in_order(box: Box) -> None:
    """The last rule that fits decides."""
    deny = {**ALLOW, "allow": False}
    box.same("SPEC-231", answers(box, rules(NONE, ALLOW))[:3], [True] * 3, "denied, then allowed")
    # 1:7 is of the devices that every container has: some allow it after all rules, so 1:77 is what tells
    other = {**ALLOW, "minor": 77}
    box.same("SPEC-231", answers(box, rules(NONE, other))[3], True, "1:77 denied, then allowed")
    box.same("SPEC-231", answers(box, rules(NONE, other, {**deny, "minor": 77}))[3], False, "1:77 allowed, then denied")


@case("SPEC-232", "SPEC-233", "SPEC-234", needs=NEEDS)
def what_is_not_set_is_all(box: Box) -> None:
    everything = {"allow": True, "access": "rwm"}
    box.same("SPEC-232", answers(box, rules(NONE))[3], False, "allow: false")
    box.same("SPEC-233", answers(box, rules(NONE, everything))[3], True, "no type")
    box.same("SPEC-233", answers(box, rules(NONE, {**everything, "type": "a"}))[3], True, "type a")
    box.same("SPEC-233", answers(box, rules(NONE, {**everything, "type": "b"}))[3], False, "type b, a device of type c")
    box.same("SPEC-234", answers(box, rules(NONE, {**everything, "type": "c"}))[3], True, "type c, no numbers")
    box.same("SPEC-234", answers(box, rules(NONE, {**everything, "type": "c", "major": 1}))[3], True, "no minor")
    box.same("SPEC-234", answers(box, rules(NONE, {**everything, "type": "c", "minor": 77}))[3], True, "no major")
    box.same("SPEC-234", answers(box, rules(NONE, {**everything, "type": "c", "major": 2}))[3], False, "another major")


@case("SPEC-235", needs=NEEDS)
def access(box: Box) -> None:
    """Each of r, w and m alone, on a device that no container has by itself."""
    words = ("openr:/data/other", "openw:/data/other", "mknod:/tmp/other:c:1:77")
    for letter, word in zip("rwm", words, strict=True):
        patch = rules(NONE, {**ALLOW, "minor": 77, "access": letter})
        found = guest(box, patch, *words)
        (box.rootfs / "tmp/other").unlink(missing_ok=True)
        box.same(
            "SPEC-235",
            [one for one in words if found[one] != errno.EPERM and one[0] != "m"],
            [word] if letter != "m" else [],
            letter,
        )
        if letter == "m":
            box.same("SPEC-235", found[words[2]], 0, "mknod with m")


refusal("SPEC-232", resources(devices=[{"access": "rwm"}]), resources(devices=[NONE]), needs="root")
refusal("SPEC-233", resources(devices=[{**NONE, "type": "x"}]), resources(devices=[NONE]), needs="root")
refusal("SPEC-235", resources(devices=[{**NONE, "access": "rx"}]), resources(devices=[NONE]), needs="root")
