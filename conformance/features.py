# SPDX-License-Identifier: Apache-2.0
"""`features`: its form, and whether what it names is known to create."""

import json
from pathlib import Path
from typing import Any

from conformance import host
from conformance.box import Box
from conformance.hooks import KINDS
from conformance.mount_options import IDS as OPTIONS
from conformance.namespaces import FILES
from conformance.patch import Patch, combine, ids, linux, mount, mounts, process
from conformance.process import NUMBERS, mask
from conformance.report import version
from conformance.requirements import Failed, Skipped, case
from conformance.seccomp import ARCH, ARCHITECTURES, UNUSED, rule, seccomp

KNOWN = {
    "": [
        "ociVersionMin",
        "ociVersionMax",
        "hooks",
        "mountOptions",
        "linux",
        "annotations",
        "potentiallyUnsafeConfigAnnotations",
    ],
    "linux": ["namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux", "intelRdt", "mountExtensions"],
    "linux.cgroup": ["v1", "v2", "systemd", "systemdUser", "rdma"],
    "linux.seccomp": ["enabled", "actions", "operators", "archs", "knownFlags", "supportedFlags"],
    "linux.apparmor": ["enabled"],
    "linux.selinux": ["enabled"],
    "linux.intelRdt": ["enabled"],
    "linux.mountExtensions": ["idmap"],
    "linux.mountExtensions.idmap": ["enabled"],
}
NEW_13 = {"linux": ["memoryPolicy", "netDevices"], "linux.intelRdt": ["schemata", "monitoring"]}
NEW_13 |= {"linux.memoryPolicy": ["modes", "flags"], "linux.netDevices": ["enabled"]}
LISTS = ("hooks", "mountOptions", "linux.namespaces", "linux.capabilities")
FILE_SYSTEM = {
    "size",
    "nr_inodes",
    "mode",
    "uid",
    "gid",
    "nr_blocks",
    "huge",
    "mpol",
    "newinstance",
    "ptmxmode",
    "lowerdir",
}


def features(box: Box) -> dict[str, Any]:
    result = box.call("features")
    if result.status != 0:
        raise Skipped("the runtime has no `features`, which it may")
    try:
        found = json.loads(result.out)
    except ValueError:
        raise Failed(f"`features` is no JSON: {result.out[:60]!r}") from None
    if not isinstance(found, dict):
        raise Failed("`features` is no object")
    return found


def part(found: dict[str, Any], path: str) -> Any:
    """What is at "linux.cgroup"; None when it is absent or null."""
    value: Any = found
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def named(found: dict[str, Any], path: str) -> list[str]:
    value = part(found, path)
    if value is None:
        raise Skipped(f"`features` does not say {path}")
    return [str(one) for one in value]


@case("SPEC-375", "SPEC-376", "SPEC-377", "SPEC-380", "SPEC-385", "SPEC-386")
def form(box: Box) -> None:
    found = features(box)
    box.holds("SPEC-375", True, "")
    box.same("SPEC-376", features(box), found, "asked twice")
    wrong = [path for path in LISTS if not isinstance(part(found, path), list | None)]
    box.same("SPEC-377", wrong, [], "no lists, and not absent")
    low, high = (version(str(found.get(key))) for key in ("ociVersionMin", "ociVersionMax"))
    box.holds(
        "SPEC-380", low and high and low <= high, f"from {found.get('ociVersionMin')} to {found.get('ociVersionMax')}"
    )
    notes = found.get("annotations") or {}
    strings = isinstance(notes, dict) and all(isinstance(value, str) for value in notes.values())
    box.holds("SPEC-385", strings, f"annotations: {notes!r}")
    unsafe = found.get("potentiallyUnsafeConfigAnnotations") or []
    box.holds("SPEC-386", all(isinstance(one, str) and one.strip(".") for one in unsafe), f"{unsafe!r}")


@case("SPEC-378", "SPEC-379")
def versions(box: Box) -> None:
    found = features(box)
    for id, key in (("SPEC-378", "ociVersionMin"), ("SPEC-379", "ociVersionMax")):
        value = found.get(key)
        if not isinstance(value, str):
            box.holds(id, False, f"{key} is {value!r}")
            continue
        box.same(id, box.fact({"ociVersion": value}, "echo ran"), "ran", f"a bundle of {value}")


@case("SPEC-381")
def nothing_newer(box: Box) -> None:
    found = features(box)
    known = {path: set(keys) for path, keys in KNOWN.items()}
    if version(str(found.get("ociVersionMax"))) >= (1, 3):
        for path, keys in NEW_13.items():
            known.setdefault(path, set()).update(keys)
    for path, allowed in known.items():
        value = part(found, path) if path else found
        extra = set(value or {}) - allowed
        box.holds("SPEC-381", not extra, f"{path or 'features'} of {found.get('ociVersionMax')} has {sorted(extra)}")


@case("SPEC-382")
def hooks(box: Box) -> None:
    found = named(features(box), "hooks")
    box.holds("SPEC-382", set(found) <= set(KINDS), f"hooks that the specification has not: {set(found) - set(KINDS)}")
    folder = box.folder / "ran"
    folder.mkdir()
    where = {kind: f"{'/m' if kind == 'startContainer' else folder}/{kind}" for kind in found}
    paths = {kind: "/bin/busybox" if kind == "startContainer" else str(box.kit.busybox) for kind in found}
    rows = {kind: [{"path": paths[kind], "args": ["tee", where[kind]]}] for kind in found}
    box.lines({"hooks": rows, **mounts(mount("/m", "bind", "bind", source=str(folder)))}, "true")
    box.same("SPEC-382", {path.name for path in folder.iterdir()}, set(found), "hooks that ran")


@case("SPEC-383", "SPEC-384")
def mount_options(box: Box) -> None:
    """Each is taken by a tmpfs, which refuses what it is given as data; those of bind mounts have their own cases."""
    found = named(features(box), "mountOptions")
    box.holds("SPEC-384", not FILE_SYSTEM & set(found), f"options of a file system: {FILE_SYSTEM & set(found)}")
    apart = {"bind", "rbind", "remount", "idmap", "ridmap", "copy-symlink", "src-nofollow", "dest-nofollow"}
    plain = [one for one in found if one not in apart]
    rows = mounts(*(mount(f"/m/{number}", "tmpfs", one) for number, one in enumerate(plain)))
    if box.try_create(rows, "true").status != 0:
        box.clean()
        for one in plain:
            result = box.try_create(mounts(mount("/m", "tmpfs", one)), "true")
            box.holds("SPEC-383", result.status == 0, f"{one}: {result.why}")
            box.clean()
    box.clean()
    box.control({})
    listed = {one for one in OPTIONS if one not in {"idmap", "ridmap", "tmpcopyup", "mand", "nomand"}} & set(found)
    box.holds("SPEC-383", listed, "none of the specification's options is named")


@case("SPEC-387")
def namespace_types(box: Box) -> None:
    found = named(features(box), "linux.namespaces")
    box.same("SPEC-387", set(found) - set(FILES), set(), "types that the specification has not")
    rest = [one for one in found if one in {"cgroup", "time", "ipc", "uts", "network", "pid", "mount"}]
    box.same("SPEC-387", box.fact(linux(namespaces=_rows(box, rest)), "echo ran"), "ran", f"{rest}")


def _rows(box: Box, names: list[str]) -> list[Patch]:
    kept = [row for row in box.write({})["linux"]["namespaces"] if row["type"] == "user"]
    return [*kept, *({"type": name} for name in names)]


@case("SPEC-388")
def capabilities(box: Box) -> None:
    """All at once: none may be unknown, though the host may not grant each of them."""
    found = named(features(box), "linux.capabilities")
    box.holds("SPEC-388", found and all(one.startswith("CAP_") for one in found), f"{found[:3]}")
    sets = dict.fromkeys(("bounding", "effective", "permitted"), found)
    status = box.fact(process(capabilities=sets), "grep CapBnd /proc/$$/status").split()
    ours = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "CapBnd" in line)
    known = mask([one for one in found if one.removeprefix("CAP_") in NUMBERS])
    # Root of a new user namespace is granted all; else nobody is granted more than the suite has
    granted = int(ours, 16) if host.is_root() else -1
    box.same("SPEC-388", f"{int(status[-1], 16) & mask(list(NUMBERS)):x}", f"{known & granted:x}", "bounding set")


@case("SPEC-389", needs="root cgroups")
def cgroups(box: Box) -> None:
    """What it says of this machine's version of cgroups is so."""
    cgroup = part(features(box), "linux.cgroup")
    if cgroup is None:
        raise Skipped("`features` does not say linux.cgroup")
    wrong = {key: value for key, value in cgroup.items() if value is not None and not isinstance(value, bool)}
    box.same("SPEC-389", wrong, {}, "no booleans")
    name = "v2" if host.is_v2() else "v1"
    result = box.try_create({}, "true")
    box.same("SPEC-389", bool(cgroup.get(name)), result.status == 0, f"{name}, and whether a container can be made")


def _taken(box: Box, id: str, path: str, patch: Any) -> None:
    found = named(features(box), path)
    box.holds(id, found, f"{path} is empty")
    for one in found:
        result = box.try_create(patch(one), "true")
        box.holds(id, result.status == 0, f"{one}: {result.why}")
        if result.status == 0:
            box.start()
            box.ended()
            box.delete()
    box.control({})


@case("SPEC-390", needs="seccomp")
def seccomp_actions(box: Box) -> None:
    found = named(features(box), "linux.seccomp.actions")
    rules = [
        rule(name, action) for name, action in zip(UNUSED, [one for one in found if "NOTIFY" not in one], strict=False)
    ]
    box.same("SPEC-390", box.fact(seccomp(*rules), "echo ran"), "ran", f"{found}")


@case("SPEC-391", needs="seccomp")
def seccomp_operators(box: Box) -> None:
    found = named(features(box), "linux.seccomp.operators")
    rules = [rule("sync", args=[{"index": 0, "op": one, "value": 1, "valueTwo": 1}]) for one in found]
    box.same("SPEC-391", box.fact(seccomp(*rules), "echo ran"), "ran", f"{found}")


@case("SPEC-392", needs="seccomp")
def seccomp_architectures(box: Box) -> None:
    """Libseccomp may refuse to put one beside the machine's own; one that is not known is refused in other words."""
    found = named(features(box), "linux.seccomp.archs")
    unknown = box.try_create(seccomp(rule("sync"), architectures=["SCMP_ARCH_CONFORMANCE"]), "true")
    box.holds("SPEC-392", unknown.status != 0, "any name at all is accepted")
    together = [one for one in found if one.removeprefix("SCMP_ARCH_") in ARCHITECTURES]
    if box.try_create(seccomp(rule("sync"), architectures=[ARCH, *together]), "true").status != 0:
        together = []
    box.clean()
    for one in set(found) - set(together):
        result = box.try_create(seccomp(rule("sync"), architectures=[one]), "true")
        same = result.why.replace(one, "X") == unknown.why.replace("SCMP_ARCH_CONFORMANCE", "X")
        box.holds("SPEC-392", result.status == 0 or not same, f"{one}: {result.why}")
        box.clean()
    box.control({})


@case("SPEC-393", "SPEC-394", needs="seccomp")
def seccomp_flags(box: Box) -> None:
    for id, path in (("SPEC-394", "supportedFlags"), ("SPEC-393", "knownFlags")):
        known, usable = (set(named(features(box), f"linux.seccomp.{one}")) for one in ("knownFlags", "supportedFlags"))
        box.holds(id, usable <= known, f"supported but not known: {usable - known}")
        for flag in named(features(box), f"linux.seccomp.{path}"):
            if flag in usable and "WAIT_KILLABLE" not in flag:
                found = box.fact(seccomp(rule("sync"), flags=[flag]), "echo ran")
                box.same(id, found, "ran", flag)


@case("SPEC-395", needs="file:/proc/self/numa_maps")
def memory_modes(box: Box) -> None:
    """A mode that this kernel has not is an error of the kernel, not of the name."""
    single = {"MPOL_DEFAULT", "MPOL_LOCAL"}
    old = {"MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_PREFERRED", "MPOL_LOCAL"}
    found = [one for one in named(features(box), "linux.memoryPolicy.modes") if one in old]
    for one in found:
        nodes = {} if one in single else {"nodes": "0"}
        box.same("SPEC-395", box.fact(linux(memoryPolicy={"mode": one, **nodes}), "echo ran"), "ran", one)


@case("SPEC-396", needs="file:/proc/self/numa_maps")
def memory_flags(box: Box) -> None:
    for one in named(features(box), "linux.memoryPolicy.flags"):
        mode = "MPOL_BIND" if one == "MPOL_F_NUMA_BALANCING" else "MPOL_INTERLEAVE"
        patch = linux(memoryPolicy={"mode": mode, "nodes": "0", "flags": [one]})
        box.same("SPEC-396", box.fact(patch, "echo ran"), "ran", one)


@case("SPEC-397", needs="root")
def idmapped_mounts(box: Box) -> None:
    """`enabled` is true when a mount with mappings is made or refused for them; false when they are ignored."""
    from conformance.idmap import bound, owned

    claimed = part(features(box), "linux.mountExtensions.idmap.enabled")
    if claimed is None:
        raise Skipped("`features` does not say linux.mountExtensions.idmap")
    result = box.try_create(bound(owned(box), "bind", "idmap", **ids(3000)), "stat -c %u /m/owned")
    used = result.status != 0
    if result.status == 0:
        box.start()
        box.ended()
        used = box.output().strip() == "3005"
    else:
        box.control({})
    box.same("SPEC-397", claimed, used, "enabled, and whether uidMappings are used")


@case("SPEC-398", needs="root")
def what_is_enabled(box: Box) -> None:
    """netDevices: an interface that is not there must be missed. intelRdt: where no resctrl is, it must be an error."""
    found = features(box)
    rows = (
        ("linux.netDevices.enabled", linux(netDevices={"conformance9": {}})),
        ("linux.intelRdt.enabled", linux(intelRdt={"closID": "conformance-none"})),
    )
    said = [(path, part(found, path), patch) for path, patch in rows if part(found, path) is not None]
    if not said:
        raise Skipped("`features` says nothing of netDevices and intelRdt")
    box.control({})
    for path, claimed, patch in said:
        result = box.try_create(combine(patch), "true")
        box.same("SPEC-398", bool(claimed), result.status != 0, f"{path}, and whether an impossible one is refused")
        box.clean()
