# SPDX-License-Identifier: Apache-2.0
"""linux.intelRdt, where a resctrl file system is mounted; and the refusal where there is none."""

import pathlib

from conformance.box import Box
from conformance.patch import Patch, linux
from conformance.requirements import case, refusal

RESCTRL = pathlib.Path("/sys/fs/resctrl")
NEEDS = "root resctrl"


def rdt(**fields: object) -> Patch:
    return linux(intelRdt=fields)


def default_schema(prefix: str) -> str:
    """A line of the root group's schemata, which any group may have."""
    lines = (RESCTRL / "schemata").read_text().splitlines()
    return next((line.strip() for line in lines if line.strip().startswith(prefix)), "")


def is_in(box: Box, group: pathlib.Path) -> bool:
    return str(box.pid()) in (group / "tasks").read_text().split()


refusal("SPEC-269", rdt(), needs="root no:resctrl")
refusal("SPEC-269", rdt(closID="/"), needs="root no:resctrl")
refusal("SPEC-272", rdt(memBwSchema="L3:0=f"), rdt(), needs=NEEDS)
refusal("SPEC-272", rdt(memBwSchema="MB:0=50\nMB:1=50"), rdt(), needs=NEEDS)
refusal("SPEC-273", rdt(l3CacheSchema="L3:0=f\nMB:0=50"), rdt(), needs=NEEDS)
refusal("SPEC-274", rdt(schemata=["L3:0=f\nMB:0=50"]), rdt(), needs=NEEDS)
refusal("SPEC-282", rdt(closID="conformance-no-such-class"), rdt(), needs=NEEDS)


@case("SPEC-270", "SPEC-278", needs=NEEDS)
def untouched(box: Box) -> None:
    """Without intelRdt no group appears; without a schema no schemata is written."""
    before, schemata = {path.name for path in RESCTRL.iterdir()}, (RESCTRL / "schemata").read_text()
    box.create({}, "true")
    box.same("SPEC-270", {path.name for path in RESCTRL.iterdir()}, before, "groups")
    box.clean()
    box.create(rdt(closID="/"), "true")
    box.same("SPEC-278", (RESCTRL / "schemata").read_text(), schemata, "schemata of the root")


@case("SPEC-268", "SPEC-271", "SPEC-279", "SPEC-283", needs=NEEDS)
def own_class(box: Box) -> None:
    box.create(rdt(), "true")
    group = RESCTRL / box.id
    for id in ("SPEC-268", "SPEC-279"):
        box.holds(id, group.is_dir() and is_in(box, group), f"the process is not in {group}")
    box.clean()
    box.holds("SPEC-283", not group.exists(), f"{group} remains")
    box.create(rdt(closID="/"), "true")
    box.holds("SPEC-271", is_in(box, RESCTRL), "the process is not in the root group")


@case("SPEC-284", "SPEC-282", needs=NEEDS)
def given_class(box: Box) -> None:
    group = RESCTRL / f"{box.id}-given"
    group.mkdir()
    try:
        box.create(rdt(closID=group.name), "true")
        box.holds("SPEC-282", is_in(box, group), f"the process is not in {group}")
        box.clean()
        box.holds("SPEC-284", group.exists(), f"{group} was removed")
    finally:
        if group.exists():
            group.rmdir()


@case("SPEC-275", "SPEC-276", "SPEC-277", "SPEC-280", "SPEC-281", needs=NEEDS)
def schemata(box: Box) -> None:
    """What every group may have is written to a class that is made, and must be equal in one that is there."""
    l3, mb = default_schema("L3:"), default_schema("MB:")
    fields = {"l3CacheSchema": l3} if l3 else {"memBwSchema": mb}
    name = f"{box.id}-class"
    try:
        box.create(rdt(closID=name, **fields), "true")
        for id in ("SPEC-276", "SPEC-280"):
            box.holds(id, is_in(box, RESCTRL / name), "the class is not made")
        box.clean()
        if l3 and mb:
            box.create(rdt(closID=name, l3CacheSchema=l3, memBwSchema=mb), "true")
            box.holds("SPEC-275", is_in(box, RESCTRL / name), "both schemas")
            box.clean()
        box.create(rdt(schemata=[l3 or mb]), "true")
        box.holds("SPEC-277", is_in(box, RESCTRL / box.id), "schemata")
        box.clean()
        other = {"l3CacheSchema": "L3:0=1"} if l3 else {"memBwSchema": "MB:0=10"}
        before = box.snapshot()
        box.judge_refusal("SPEC-281", box.try_create(rdt(closID=name, **other), "true"), before)
    finally:
        if (RESCTRL / name).exists():
            (RESCTRL / name).rmdir()


@case("SPEC-285", "SPEC-286", needs=f"{NEEDS} file:/sys/fs/resctrl/mon_groups")
def monitoring(box: Box) -> None:
    box.create(rdt(closID="/", enableMonitoring=True), "true")
    group = RESCTRL / "mon_groups" / box.id
    box.holds("SPEC-285", group.is_dir() and is_in(box, group), f"the process is not in {group}")
    box.clean()
    box.holds("SPEC-286", not group.exists(), f"{group} remains")
