# SPDX-License-Identifier: Apache-2.0
"""ID-mapped mounts: config.md#posix-platform-mounts (uidMappings), #linux-mount-options (idmap, ridmap)."""

from pyrunc.config.fields import Config, Section
from pyrunc.config.namespaces import paths
from pyrunc.linux.mount_flags import parse

FIELDS = ("uidMappings", "gidMappings")
_ID_MAX = 2**32 - 1
_OPTIONS = ("idmap", "ridmap")


def check(config: Config) -> None:
    """Refuse mappings that are half given, or given to what cannot have them."""
    for mount in config.sections("mounts"):
        users, groups = (bool(rows(mount, field)) for field in FIELDS)
        if users != groups:
            given, missing = FIELDS if users else FIELDS[::-1]
            raise mount.refuse(given, f"needs {missing} beside it")
        options = parse(mount.texts("options"))
        if not (users or options.idmap):
            continue
        pointer = mount.at("options")
        if options.remount:
            raise mount.refuse("options", "the mappings of a mount cannot be changed by remount")
        if mount.text("type", "") in ("cgroup", "cgroup2") and not options.bind:
            raise mount.refuse("type", "a cgroup filesystem cannot be ID-mapped")
        if not users and "user" not in paths(config):
            place = next(index for index, word in enumerate(mount.texts("options")) if word in _OPTIONS)
            word = mount.texts("options")[place]
            raise Section({}, pointer).refuse(
                place, f'"{word}" needs uidMappings and gidMappings of the mount, or a user namespace'
            )


def without_option(config: Config) -> list[str]:
    """Warnings of mappings without `idmap` or `ridmap`: done, but only by runtimes that look at them (SPEC-090)."""
    return [
        f"{mount.at('options')}: has neither idmap nor ridmap beside uidMappings; idmap is taken"
        for mount in config.sections("mounts")
        if mount.has(FIELDS[0]) and mount.array(FIELDS[0]) and not parse(mount.texts("options")).idmap
    ]


def rows(section: Section, field: str) -> list[tuple[int, int, int]]:
    """The rows (containerID, hostID, size) of uidMappings or gidMappings."""
    found = []
    for row in section.sections(field):
        size = row.integer("size", 1, _ID_MAX)
        for key in ("containerID", "hostID"):
            if row.integer(key, 0, _ID_MAX - 1) + size > _ID_MAX:
                raise row.refuse("size", f"{key} and size go beyond the last id")
        found.append((row.integer("containerID", 0, _ID_MAX), row.integer("hostID", 0, _ID_MAX), size))
    return found
