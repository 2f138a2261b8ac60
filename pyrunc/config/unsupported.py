# SPDX-License-Identifier: Apache-2.0
"""Properties of the specification that are refused, never ignored: config.md#valid-values."""

from pyrunc.config.fields import Config, Section
from pyrunc.errors import ConfigError

_SELINUX = "selinux label is specified in config, but selinux is disabled or not supported"

UNSUPPORTED: tuple[tuple[str, str, tuple[object, ...]], ...] = (
    ("/linux/mountLabel", _SELINUX, ()),
    ("/linux/intelRdt", "", ()),
    ("/linux/netDevices", "", ({},)),
)
"""Pointer, why ("": not made yet), and the values that ask for nothing, beside null, "", 0 and []."""

MOUNT_FIELDS = ("uidMappings", "gidMappings")
MOUNT_OPTIONS = ("idmap", "ridmap")
_NOTHING: tuple[object, ...] = (None, "", 0, [])
_NOT_MADE = "is not supported yet"


def check(config: Config) -> None:
    """Refuse the first such property that is there."""
    for pointer, why, harmless in UNSUPPORTED:
        value = _at(config.data, pointer)
        if value not in _NOTHING and value not in harmless:
            raise ConfigError(why or _NOT_MADE, pointer)
    for mount in config.sections("mounts"):
        _mount(mount)


def _at(value: object, pointer: str) -> object:
    for key in pointer[1:].split("/"):
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value


def _mount(mount: Section) -> None:
    for field in MOUNT_FIELDS:
        if mount.has(field):
            raise mount.refuse(field, _NOT_MADE)
    for index, option in enumerate(mount.texts("options")):
        if option in MOUNT_OPTIONS:
            raise Section({}, mount.at("options")).refuse(index, f'the option "{option}" {_NOT_MADE}')
