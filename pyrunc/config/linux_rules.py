# SPDX-License-Identifier: Apache-2.0
"""The rules of the linux object: config-linux.md, namespaces(7), user_namespaces(7)."""

import posix

from pyrunc.config.fields import Config, Section
from pyrunc.config.namespaces import paths
from pyrunc.config.process_rules import ID_MAX
from pyrunc.linux import sysctls
from pyrunc.linux.mount_flags import OPTIONS, PROPAGATION
from pyrunc.linux.namespaces import NAMESPACES

_MAPPINGS = ("uidMappings", "gidMappings")
_MAPPINGS_MAX = 340
"""Lines of /proc/PID/uid_map: user_namespaces(7)."""
_DEVICE_TYPES = ("b", "c", "u", "p")
_MAJOR_MAX = (1 << 12) - 1
_MINOR_MAX = (1 << 20) - 1


def _linux(config: Config) -> Section:
    return config.section("linux") or Section({}, "/linux")


def namespaces(config: Config) -> None:
    seen = set()
    for row in _linux(config).sections("namespaces"):
        word = row.text("type")
        if word not in NAMESPACES:
            raise row.refuse("type", f'namespace "{word}" does not exist')
        if word in seen:
            raise row.refuse("type", f'duplicated namespace "{word}"')
        seen.add(word)
        path = row.text("path", "")
        if path and path[0] != "/":
            raise row.refuse("path", f'must be an absolute path, not "{path}"')


def mappings(config: Config) -> None:
    """Both maps are given, or neither: then a new user namespace gets the runtime's default.

    One by path may repeat those that it has, as containerd does.
    """
    linux = _linux(config)
    user = paths(config).get("user")
    given = any(linux.sections(field) for field in _MAPPINGS)
    for field in _MAPPINGS:
        rows = linux.sections(field)
        if rows and user is None:
            raise linux.refuse(
                field, "user namespace mappings specified, but user namespace isn't enabled in the config"
            )
        if given and not rows and user == "":
            raise linux.refuse(field, "is required where the other of uidMappings and gidMappings is given")
        if len(rows) > _MAPPINGS_MAX:
            raise linux.refuse(field, f"more than {_MAPPINGS_MAX} rows, the kernel's maximum")
        for row in rows:
            size = row.integer("size", 1, ID_MAX + 1)
            for key in ("containerID", "hostID"):
                if row.integer(key, 0, ID_MAX) + size > ID_MAX + 1:
                    raise row.refuse("size", f"{key} and size go beyond the last id")


def host_mounts(config: Config) -> None:
    """Without a mount namespace of its own, what a container mounts or covers would be the host's."""
    if "mount" in paths(config):
        return
    linux = _linux(config)
    for field in ("maskedPaths", "readonlyPaths"):
        if linux.array(field):
            raise linux.refuse(field, "unable to restrict sys entries without a private MNT namespace")
    if linux.text("rootfsPropagation", ""):
        raise linux.refuse("rootfsPropagation", "unable to set it without a private MNT namespace")
    if config.array("mounts"):
        raise config.refuse("mounts", "unable to mount without a private MNT namespace")
    if config.require("root").flag("readonly"):
        raise config.require("root").refuse("readonly", "unable to mount without a private MNT namespace")


def covered_paths(config: Config) -> None:
    linux = _linux(config)
    for field in ("maskedPaths", "readonlyPaths"):
        for index, path in enumerate(linux.texts(field)):
            if path[:1] != "/":
                raise Section({}, linux.at(field)).refuse(index, f'must be an absolute path, not "{path}"')
            if _is_root(path):
                # What is laid upon the root of a process does not cover it: the field would do nothing
                raise Section({}, linux.at(field)).refuse(index, f'"{path}" is the root; see root.readonly')


def _is_root(path: str) -> bool:
    depth = 0
    for part in path.split("/"):
        if part == "..":
            depth = max(depth - 1, 0)
        elif part not in ("", "."):
            depth += 1
    return not depth


def propagation(config: Config) -> None:
    linux = _linux(config)
    word = linux.text("rootfsPropagation", "")
    if word and OPTIONS.get(word, (None,))[0] != PROPAGATION:
        raise linux.refuse("rootfsPropagation", f'"{word}" is not supported')


def devices(config: Config) -> None:
    for row in _linux(config).sections("devices"):
        kind = row.text("type")
        if kind not in _DEVICE_TYPES:
            raise row.refuse("type", f'invalid device type "{kind}": b, c, u or p')
        path = row.text("path")
        if path[:1] != "/":
            raise row.refuse("path", f'must be an absolute path, not "{path}"')
        row.integer("fileMode", 0, 0o177777, None)
        for key in ("uid", "gid"):
            row.integer(key, 0, ID_MAX, None)
        if kind != "p":
            row.integer("major", 0, _MAJOR_MAX)
            row.integer("minor", 0, _MINOR_MAX)


def same_devices(config: Config) -> list[str]:
    """Warnings of one device under several paths (SPEC-199)."""
    warnings = []
    seen: dict[tuple[str, int, int], str] = {}
    for row in _linux(config).sections("devices"):
        if row.text("type") != "p":
            device = (row.text("type"), row.integer("major", 0, _MAJOR_MAX), row.integer("minor", 0, _MINOR_MAX))
            path = row.text("path")
            other = seen.setdefault(device, path)
            if other != path:
                warnings.append(f"{row.pointer}: {path} is the same device as {other}")
    return warnings


def cgroups_path(config: Config) -> None:
    linux = _linux(config)
    path = linux.text("cgroupsPath", "")
    if not path.isprintable():
        raise linux.refuse("cgroupsPath", "must not have control characters")
    if ".." in path.split("/"):
        raise linux.refuse("cgroupsPath", 'must not have ".." in it')


def objects(config: Config) -> None:
    """What other packages read must be what they expect."""
    linux = _linux(config)
    for field in ("resources", "seccomp"):
        linux.section(field)


def time_offsets(config: Config) -> None:
    """Offsets are of a new time namespace: nobody may be in it when it gets them."""
    linux = _linux(config)
    offsets = linux.section("timeOffsets")
    if offsets is None or not offsets.data:
        return
    time = paths(config).get("time")
    if time is None:
        raise linux.refuse(
            "timeOffsets", "time namespace offsets specified, but time namespace isn't enabled in the config"
        )
    if time:
        raise linux.refuse(
            "timeOffsets",
            "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one",
        )


def sysctl(config: Config) -> None:
    """Only what belongs to a namespace that the container does not share with the host (SPEC-292)."""
    linux = _linux(config)
    values = linux.strings("sysctl")
    if not values:
        return
    own = paths(config)
    rows = Section({}, linux.at("sysctl"))
    for name, value in values.items():
        file = sysctls.path(name)
        if file is None:
            raise rows.refuse(name, "is not the name of a sysctl")
        if file == "kernel/hostname" and "uts" in own:
            raise rows.refuse(name, "is not allowed as it conflicts with the field hostname")
        owner = sysctls.namespace(file)
        if owner is None:
            raise rows.refuse(name, "is not in a separate kernel namespace")
        if owner not in own or (owner == "network" and own[owner] and is_ours(own[owner])):
            raise rows.refuse(name, f"is not allowed in the {owner} namespace of the host")
        if "\n" in value:
            raise rows.refuse(name, "must be one line")


def is_ours(path: str) -> bool:
    """Whether a path names the network namespace of the caller; a missing one fails when it is joined."""
    try:
        ours, theirs = posix.stat("/proc/self/ns/net"), posix.stat(path)
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
