# SPDX-License-Identifier: Apache-2.0
"""The writer of JSON (RFC 8259), as Go engines and runc lay it out: the json module costs 7 ms of import, this none."""

from _json import encode_basestring_ascii, make_encoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

_TEXT = frozenset((str,))
_CONSTANTS = {None: "null", True: "true", False: "false"}


def dump(value: object, indent: int | None = None) -> str:
    r"""`value` (None, bool, int, float, str, list, tuple, dict with string keys) as ASCII JSON, no final newline.

    Without `indent` the text is one line without blanks; with it, each member has its line. A string of bytes that are
    not UTF-8 (surrogateescape) stays reversible as \\udcXX. TypeError for any other type, NaN and infinity.
    """
    if indent is not None:
        return _text(value, indent, "\n")
    _check_keys((value,))
    try:
        return "".join(_compact(value, 0))
    except ValueError as error:
        raise TypeError(f"NaN and infinity have no JSON form: {error}") from error


def _check_keys(values: "Iterable[object]") -> None:
    """The encoder would write a number as the key that it is not."""
    for value in values:
        if type(value) is dict:
            if not _TEXT.issuperset(map(type, value)):
                raise TypeError(f"{value!r} has a key that cannot be one in JSON")
            _check_keys(value.values())
        elif type(value) is list:
            _check_keys(value)


def _refuse(value: object) -> "NoReturn":
    raise TypeError(f"{value!r} has no JSON form")


_compact = make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, False)
"""The json module's encoder in C, as json.encoder makes it."""


def _text(value: object, indent: int, newline: str) -> str:
    kind = type(value)
    if kind is str:
        return encode_basestring_ascii(value)  # type: ignore[arg-type]
    if kind is int:
        return repr(value)
    if value is None or kind is bool:
        return _CONSTANTS[value]  # type: ignore[index]
    inner = newline + " " * indent
    if isinstance(value, dict):
        members = [f"{_key(key)}: {_text(member, indent, inner)}" for key, member in value.items()]
        return _join("{", members, "}", newline, inner)
    if isinstance(value, list | tuple):
        return _join("[", [_text(member, indent, inner) for member in value], "]", newline, inner)
    if isinstance(value, float) and value - value == 0.0:
        return repr(value)
    raise TypeError(f"{value!r} has no JSON form")


def _key(key: object) -> str:
    if type(key) is not str:
        raise TypeError(f"{key!r} cannot be a key in JSON")
    return encode_basestring_ascii(key)


def _join(opening: str, parts: list[str], closing: str, newline: str, inner: str) -> str:
    if not parts:
        return opening + closing
    return opening + inner + ("," + inner).join(parts) + newline + closing
