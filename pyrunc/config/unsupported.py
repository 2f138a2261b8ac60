# SPDX-License-Identifier: Apache-2.0
"""Properties of the specification that are refused, never ignored: config.md#valid-values."""

from pyrunc.config.fields import Config
from pyrunc.errors import ConfigError

UNSUPPORTED: tuple[tuple[str, str, tuple[object, ...]], ...] = (
    ("/linux/intelRdt", "", ()),
)
"""Pointer, why ("": not made yet), and the values that ask for nothing, beside null, "", 0 and []."""

_NOTHING: tuple[object, ...] = (None, "", 0, [])
_NOT_MADE = "is not supported yet"


def check(config: Config) -> None:
    """Refuse the first such property that is there."""
    for pointer, why, harmless in UNSUPPORTED:
        value = _at(config.data, pointer)
        if value not in _NOTHING and value not in harmless:
            raise ConfigError(why or _NOT_MADE, pointer)


def _at(value: object, pointer: str) -> object:
    for key in pointer[1:].split("/"):
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value
