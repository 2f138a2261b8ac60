# SPDX-License-Identifier: Apache-2.0
"""`validate --host`: what a config.json asks for and this kernel, this caller or this set-up of cgroups cannot give.

Each check looks, makes nothing, and finds nothing where it may not look; create decides.
"""

import posix

from pyrunc.cgroups import resources
from pyrunc.cgroups.path import hierarchies
from pyrunc.config.capability_sets import SETS, CapabilitySets
from pyrunc.config.fields import Config, Section
from pyrunc.config.findings import WARNING, Finding, member, shown
from pyrunc.config.load import read_all
from pyrunc.config.number_list import bits
from pyrunc.config.validate import HOOKS, rootless
from pyrunc.errors import CgroupError, ConfigError, HostError
from pyrunc.linux import sysctls
from pyrunc.linux.capabilities import CAPABILITIES
from pyrunc.linux.host import Host
from pyrunc.linux.mount_flags import parse
from pyrunc.linux.namespaces import NAMESPACES
from pyrunc.linux.rlimits import RLIMITS
from pyrunc.linux.seccomp_rows import FLAGS
from pyrunc.linux.uapi import S_IFDIR, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KERNEL = (5, 12)
_SYS_RESOURCE = 1 << 24
_UNITS = {"KB": 1, "MB": 1 << 10, "GB": 1 << 20}
_ID_MAPPED = (
    {"ext2": (5, 12), "ext3": (5, 12), "ext4": (5, 12), "vfat": (5, 12), "msdos": (5, 12), "xfs": (5, 12)}
    | {"btrfs": (5, 15), "ntfs3": (5, 15), "f2fs": (5, 18), "erofs": (5, 19), "squashfs": (6, 2), "tmpfs": (6, 3)}
    | {"ceph": (6, 7), "hugetlbfs": (6, 9), "fuse": (6, 12), "fuseblk": (6, 12)}
    | dict.fromkeys(("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "nfs", "nfs4", "9p", "cifs"), None)
)
"""The first kernel that can ID-map mounts of a filesystem (mount_setattr(2)); None: none so far."""


def _lacks(pointer: str, text: str, requirement: str, value: object = None, level: str = "error") -> Finding:
    found = "" if value is None else shown(value)
    return Finding(pointer, text, requirement, found=found, expected="another host", level=level, host=True)


def _linux(config: Config) -> Section:
    return config.section("linux") or Section({}, "/linux")


def _process(config: Config) -> Section:
    return config.section("process") or Section({}, "/process")


def _text(path: str) -> str:
    """What a file of the kernel says; "" when it is not there, or not for us."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except (OSError, ValueError):
        return ""
    try:
        return read_all(fd, path).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        posix.close(fd)


def _exists(path: str) -> bool:
    """Whether it is there, or may be: what we may not look at is."""
    try:
        posix.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def kernel(_: Config, host: Host) -> "Iterator[Finding]":
    if host.kernel < _KERNEL:
        yield _lacks("", f"Linux {_version(host.kernel)} is too old: pyrunc needs 5.12 or newer", "")


def _version(kernel: tuple[int, int]) -> str:
    return f"{kernel[0]}.{kernel[1]}"


def namespaces(config: Config, host: Host) -> "Iterator[Finding]":
    for row in _linux(config).sections("namespaces"):
        word, path = row.text("type"), row.text("path", "")
        if not _exists(f"/proc/self/ns/{NAMESPACES[word][1]}"):
            yield _lacks(row.at("type"), f"this kernel has no {word} namespaces", "SPEC-173", word)
        elif path and not _exists(path):
            yield _lacks(row.at("path"), f'"{path}" is not there', "SPEC-184", path)
        elif word == "user" and not path and _text("/proc/sys/user/max_user_namespaces").strip() == "0":
            yield _lacks(row.pointer, "no user namespace can be made: user.max_user_namespaces is 0", "SPEC-179")
    try:
        rootless(config, host)
    except ConfigError as error:
        yield _lacks(error.pointer, error.cause, "SPEC-179")


def files(config: Config, host: Host) -> "Iterator[Finding]":  # noqa: ARG001 the form of a check
    """The root, sources of bind mounts, and programs of hooks that run outside."""
    if not config.bundle:
        return  # read from standard input
    root = config.require("root")
    path = _in_bundle(config, root.text("path"))
    try:
        is_folder = posix.stat(path).st_mode & S_IFMT == S_IFDIR
    except OSError:
        is_folder = False
    if not is_folder:
        yield _lacks(root.at("path"), f'"{path}" is no folder', "SPEC-008", root.text("path"))
    for mount in config.sections("mounts"):
        source = mount.text("source", "")
        if source and parse(mount.texts("options")).bind and not _exists(_in_bundle(config, source)):
            yield _lacks(mount.at("source"), f'"{_in_bundle(config, source)}" is not there', "SPEC-016", source)
    hooks = config.section("hooks") or Section({})
    for kind in HOOKS:
        for hook in hooks.sections(kind) if kind != "startContainer" else ():
            if not _exists(hook.text("path")):
                yield _lacks(hook.at("path"), f'"{hook.text("path")}" is not there', "SPEC-134", hook.text("path"))


def _in_bundle(config: Config, path: str) -> str:
    return path if path[:1] == "/" else f"{config.bundle}/{path}"


def filesystems(config: Config, host: Host) -> "Iterator[Finding]":
    known = {line.split()[-1] for line in _text("/proc/filesystems").splitlines() if line.strip()}
    for mount in config.sections("mounts"):
        options, kind = parse(mount.texts("options")), mount.text("type", "")
        if not (options.bind or options.remount or kind in known or kind == "cgroup" or not known):
            text = f'this kernel has no filesystem "{kind}" yet; a module may bring it'
            yield _lacks(mount.at("type"), text, "SPEC-169", kind, WARNING)
        wanted = options.idmap or bool(mount.array("uidMappings"))
        kind = _kind_of(_in_bundle(config, mount.text("source", ""))) if options.bind else kind
        if wanted and kind in _ID_MAPPED and (_ID_MAPPED[kind] or (999, 0)) > host.kernel:
            since = _ID_MAPPED[kind]
            ability = f"only since Linux {_version(since)}" if since else "not at all"
            yield _lacks(mount.pointer, f"mounts of {kind} can be ID-mapped {ability}", "SPEC-086")


def _kind_of(path: str) -> str:
    """The filesystem of a path: that of the longest mount point before it."""
    best, kind = "", ""
    for line in _text("/proc/self/mountinfo").splitlines():
        place = line.split()[4].replace("\\040", " ")
        if len(place) >= len(best) and (path == place or path.startswith(place.rstrip("/") + "/")):
            best, kind = place, line.partition(" - ")[2].split()[0]
    return kind


def labels(config: Config, host: Host) -> "Iterator[Finding]":
    process = _process(config)
    for field, module, name, requirement in (
        ("apparmorProfile", "apparmor", "AppArmor", "SPEC-106"),
        ("selinuxLabel", "selinux", "SELinux", "SPEC-120"),
    ):
        if (value := process.text(field, "")) and not host.has_lsm(module):
            yield _lacks(process.at(field), f"{name} is not on", requirement, value)
    profile, loaded = process.text("apparmorProfile", ""), _text("/sys/kernel/security/apparmor/profiles")
    names = {line.rpartition(" (")[0] for line in loaded.splitlines()} | {"unconfined"}
    if profile and loaded and profile not in names:
        yield _lacks(process.at("apparmorProfile"), f'the profile "{profile}" is not loaded', "SPEC-106", profile)


def rights(config: Config, host: Host) -> "Iterator[Finding]":
    """Capabilities and limits above what the caller has."""
    process = _process(config)
    refused = {name for name in CapabilitySets(config, host).refused if name in CAPABILITIES}
    section = process.section("capabilities") or Section({})
    for key in SETS:
        for index, name in enumerate(section.texts(key)):
            if name in refused:
                refused.discard(name)
                last = CAPABILITIES.index(name) > host.last_cap
                cause = "this kernel does not know it" if last else "it cannot be granted here, or not in this set"
                yield _lacks(f"{section.at(key)}/{index}", f"{cause}: it is left out", "SPEC-107", name, WARNING)
    if host.permitted & _SYS_RESOURCE:
        return
    import resource

    for row in process.sections("rlimits"):
        hard = resource.getrlimit(RLIMITS[row.text("type")])[1]
        if 0 <= hard < row.integer("hard", 0, 2**64 - 1):
            text = f"above the caller's {hard}, and raising it needs CAP_SYS_RESOURCE"
            yield _lacks(row.at("hard"), text, "SPEC-104", row.data["hard"])
    score = _text("/proc/self/oom_score_adj").strip() or "0"
    if process.has("oomScoreAdj") and process.integer("oomScoreAdj", -1000, 1000) < int(score):
        text = f"below the caller's {score}, and lowering it needs CAP_SYS_RESOURCE"
        yield _lacks(process.at("oomScoreAdj"), text, "SPEC-115", process.data["oomScoreAdj"])


def seccomp(config: Config, host: Host) -> "Iterator[Finding]":  # noqa: ARG001
    section = _linux(config).section("seccomp")
    if section is None:
        return
    from pyrunc.seccomp import filter as libseccomp
    from pyrunc.seccomp.flags import is_available

    available = _text("/proc/sys/kernel/seccomp/actions_avail").split()
    if not available:
        yield _lacks(section.pointer, "this kernel has no seccomp filters", "SPEC-293")
        return
    try:
        libseccomp.load()
    except HostError as error:
        yield _lacks(section.pointer, error.cause, "SPEC-293")
    rows = [(section.at("defaultAction"), section.text("defaultAction"))]
    rows += [(rule.at("action"), rule.text("action")) for rule in section.sections("syscalls")]
    for pointer, action in rows:
        word = action.removeprefix("SCMP_ACT_").lower()
        if {"kill": "kill_thread", "notify": "user_notif"}.get(word, word) not in available:
            yield _lacks(pointer, f"this kernel has no {action}", "SPEC-293", action)
    for index, name in enumerate(section.texts("flags")):
        if not is_available(FLAGS[name]):
            yield _lacks(f"{section.at('flags')}/{index}", f"this kernel has no {name}", "SPEC-297", name)


def limits(config: Config, host: Host) -> "Iterator[Finding]":  # noqa: ARG001
    """Controllers that are not there, and what this version of cgroups has nothing like."""
    section = _linux(config).section("resources")
    if section is None:
        return
    try:
        mode, rows = hierarchies()
    except CgroupError as error:
        yield _lacks(section.pointer, error.cause, "SPEC-222")
        return
    available = {name for row in rows for name in row.names}
    available |= set(_text("/sys/fs/cgroup/cgroup.controllers").split())
    available |= set(_text("/sys/fs/cgroup/unified/cgroup.controllers").split())
    v2 = mode == "v2"
    missing: dict[str, resources.Write] = {}
    for name, key, file1, file2, convert in resources.ROWS:
        part = section.section(name) if name else section
        file = file2 if v2 else file1
        if part is None or not part.has(key) or key == "checkBeforeUpdate":
            continue
        try:
            wanted = list(convert(part, key, file, v2))
        except ConfigError as error:
            yield _lacks(error.pointer, error.cause, "SPEC-267")
            continue
        if wanted and not file:
            yield _lacks(part.at(key), f"cgroup {mode}, which this host has, has nothing like it", "SPEC-267")
            continue
        for write in wanted:
            if write.controller not in available and write.controller != "cgroup" and not write.optional:
                missing.setdefault(write.controller, write)
    for name, write in missing.items():
        yield _lacks(write.pointer, f"the controller {name} is missing in cgroup {mode} of this host", "SPEC-265")


def machine(config: Config, host: Host) -> "Iterator[Finding]":  # noqa: ARG001
    """Processors, memory nodes, and sizes of pages that are not there."""
    cpu = (_linux(config).section("resources") or Section({})).section("cpu") or Section({})
    places = [(cpu, "cpus", "cpu/possible", "SPEC-246"), (cpu, "mems", "node/possible", "SPEC-246")]
    places.append((_linux(config).section("memoryPolicy") or Section({}), "nodes", "node/possible", "SPEC-289"))
    for section, key, file, requirement in places:
        there = _text(f"/sys/devices/system/{file}").strip()
        if not there or not section.has(key):
            continue
        known = bits(Section({"": there}), "", 8191)
        try:
            wanted = bits(section, key, 8191)
        except ConfigError:
            continue  # a stride or a cgroup of its own grammar: the kernel decides
        if wanted & ~known:
            yield _lacks(section.at(key), f"this machine has {there} only", requirement, section.data[key])
    for row in (_linux(config).section("resources") or Section({})).sections("hugepageLimits"):
        size = row.text("pageSize")
        kilobytes = int(size[:-2]) * _UNITS[size[-2:]]
        if not _exists(f"/sys/kernel/mm/hugepages/hugepages-{kilobytes}kB"):
            yield _lacks(row.at("pageSize"), "this machine has no pages of this size", "SPEC-254", size)


def kernel_files(config: Config, host: Host) -> "Iterator[Finding]":  # noqa: ARG001
    """Parameters, network interfaces and resctrl."""
    linux = _linux(config)
    for name in linux.strings("sysctl"):
        if not _exists(f"/proc/sys/{sysctls.path(name)}"):
            yield _lacks(member(linux.at("sysctl"), name), "this kernel has no such parameter", "SPEC-292", name)
    for name in (linux.section("netDevices") or Section({})).data:
        if not _exists(f"/sys/class/net/{name}"):
            yield _lacks(member(linux.at("netDevices"), name), "there is no such interface", "SPEC-210", name)
    if linux.has("intelRdt") and " - resctrl " not in _text("/proc/self/mountinfo"):
        yield _lacks(linux.at("intelRdt"), "resctrl is not mounted", "SPEC-269")


CHECKS: "tuple[Callable[[Config, Host], Iterator[Finding]], ...]" = (
    *(kernel, namespaces, files, filesystems, labels, rights, seccomp, limits, machine, kernel_files),
)
