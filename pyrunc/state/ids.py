# SPDX-License-Identifier: Apache-2.0
"""The rule of container ids, checked before any path is made of one: `/` or `..` as id has removed real roots."""

from pyrunc.errors import IdError

_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
_MAXIMUM = 255  # NAME_MAX: an id is the name of a directory


def is_valid(text: str) -> bool:
    """Whether it is `[A-Za-z0-9_+-][A-Za-z0-9_+.-]*` of at most 255 characters; no dot first, as crun since 1.28."""
    return 0 < len(text) <= _MAXIMUM and text[0] != "." and _ALLOWED.issuperset(text)


def validate_id(text: str) -> str:
    """The id, or IdError in runc's words."""
    if not is_valid(text):
        wrong = next((character for character in text if character not in _ALLOWED), "")
        why = f': invalid character "{wrong}"' if wrong else ""
        raise IdError(f'invalid container ID format: "{text[:_MAXIMUM]}"{why}')
    return text
