# SPDX-License-Identifier: Apache-2.0
"""The options of mount(8) on a tmpfs, which refuses as data what a runtime does not know."""

import functools

from conformance.box import Box
from conformance.mounts import Row, at, each, rows
from conformance.patch import Patch, mount, mounts
from conformance.requirements import Failed, case

SHOWN = {
    # option: in mountinfo's options of the mount (+) or of the file system (@)
    "dirsync": "@dirsync",
    "lazytime": "@lazytime",
    "noatime": "+noatime",
    "nodev": "+nodev",
    "nodiratime": "+nodiratime",
    "noexec": "+noexec",
    "nosuid": "+nosuid",
    "nosymfollow": "+nosymfollow",
    "relatime": "+relatime",
    "ro": "+ro",
    "sync": "@sync",
}
UNDOES = {
    # option: the one before it whose effect it takes back
    "async": "sync",
    "atime": "noatime",
    "dev": "nodev",
    "diratime": "nodiratime",
    "exec": "noexec",
    "nolazytime": "lazytime",
    "nostrictatime": "strictatime",
    "rw": "ro",
    "suid": "nosuid",
    "symfollow": "nosymfollow",
}
TAKEN = ("iversion", "loud", "mand", "noiversion", "nomand", "norelatime", "silent")
"""mountinfo does not show them."""

OPTIONS = (
    "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec "
    "noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime "
    "relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate "
    "rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime "
    "suid symfollow sync tmpcopyup unbindable idmap ridmap"
)
"""Every option of the specification, in the order of its table."""

IDS = {
    name: f"SPEC-{number:03}"
    for number, name in enumerate(
        OPTIONS.split(),
        21,
    )
}


ALL = (*SHOWN, *UNDOES, *TAKEN, "strictatime", "defaults")


def entries(option: str) -> list[Patch]:
    """A tmpfs without the option, and one with it."""
    before = [UNDOES[option]] if option in UNDOES else ["nodev"] if option in TAKEN else []
    plain, target = ["mode=700", *before], f"/m/{option}"
    return [mount(f"{target}-without", "tmpfs", *plain), mount(target, "tmpfs", *plain, option)]


def words(row: Row) -> set[str]:
    """What mountinfo shows: +word of the mount, @word of the file system."""
    return {f"+{word}" for word in row.options} | {f"@{word}" for word in row.data if not word.startswith("size=")}


@case(*(IDS[option] for option in ALL))
def on_a_tmpfs(box: Box) -> None:
    tables = each(box, {option: functools.partial(entries, option) for option in ALL})
    for option, table in tables.items():
        if isinstance(table, Failed):
            box.holds(IDS[option], False, str(table))
        elif not {f"/m/{option}", f"/m/{option}-without"} <= set(table):
            box.holds(IDS[option], False, "it is not mounted")
        else:
            wrong = judge(option, words(table[f"/m/{option}-without"]), words(table[f"/m/{option}"]))
            box.holds(IDS[option], not wrong, wrong)


def judge(option: str, without: set[str], found: set[str]) -> str:
    """What is wrong with a mount's words; "" is nothing."""
    if word := SHOWN.get(option):
        if word not in found:
            return f"{word[1:]} is not in mountinfo: {sorted(found)}"
        return "it is there without being asked for" if word in without and option != "relatime" else ""
    if before := UNDOES.get(option):
        shown = {f"+{before}", f"@{before}"} & found
        return f"{before} remains" if shown else "" if found != without else f"it changes nothing after {before}"
    if option in TAKEN:
        return "" if "+nodev" in found else f"the options beside it are lost: {sorted(found)}"
    extra = {"+nodev", "+nosuid", "+noexec", "+ro", "@sync"}
    if option == "strictatime":
        extra |= {"+relatime", "+noatime"}
    return f"it sets {sorted(extra & found)}" if extra & found else "" if "+rw" in found else "it is not rw"


@case(IDS["remount"])
def remount(box: Box) -> None:
    """An entry that alters the mount of an earlier one."""
    first = mount("/m", "tmpfs", "nodev", "size=1m")
    row = at(rows(box, mounts(first, mount("/m", "tmpfs", "remount", "ro", "nodev", "size=2m"))), "/m")
    box.holds(IDS["remount"], "ro" in row.options or "ro" in row.data, f"it is not ro: {row.options} {row.data}")


@case(IDS["tmpcopyup"])
def tmpcopyup(box: Box) -> None:
    (box.rootfs / "data/below").write_text("copied")
    patch = mounts(mount("/data", "tmpfs", "tmpcopyup", "size=1m"))
    facts = box.facts(patch, text="cat /data/below", kind="stat -f -c %T /data", write="echo new > /data/below")
    box.same(IDS["tmpcopyup"], (facts["text"], facts["kind"]), ("copied", "tmpfs"))
    box.same(IDS["tmpcopyup"], (box.rootfs / "data/below").read_text(), "copied", "the file below")
