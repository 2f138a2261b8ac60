# SPDX-License-Identifier: Apache-2.0
"""The writer of JSON (RFC 8259), as Go engines and runc lay it out: the json module costs 7 ms of import, this none."""

from _json import encode_basestring_ascii

_CONSTANTS = {None: "null", True: "true", False: "false"}


def dump(value: object, indent: int | None = None) -> str:
    r"""`value` (None, bool, int, float, str, list, tuple, dict with string keys) as ASCII JSON, no final newline.

    Without `indent` the text is one line without blanks; with it, each member has its line. A string of bytes that are
    not UTF-8 (surrogateescape) stays reversible as \\udcXX. TypeError for any other type, NaN and infinity.
    """
    return _text(value, indent, "\n")


def _text(value: object, indent: int | None, newline: str) -> str:
    kind = type(value)
    if kind is str:
        return encode_basestring_ascii(value)  # type: ignore[arg-type]
    if kind is int:
        return repr(value)
    if value is None or kind is bool:
        return _CONSTANTS[value]  # type: ignore[index]
    if isinstance(value, dict):
        colon = ":" if indent is None else ": "
        return _join(
            "{",
            [_key(k) + colon + _text(v, indent, _deeper(newline, indent)) for k, v in value.items()],
            "}",
            indent,
            newline,
        )
    if isinstance(value, list | tuple):
        return _join("[", [_text(v, indent, _deeper(newline, indent)) for v in value], "]", indent, newline)
    if isinstance(value, float) and value - value == 0.0:
        return repr(value)
    raise TypeError(f"{value!r} has no JSON form")


def _key(key: object) -> str:
    if type(key) is not str:
        raise TypeError(f"{key!r} cannot be a key in JSON")
    return encode_basestring_ascii(key)


def _deeper(newline: str, indent: int | None) -> str:
    return newline if indent is None else newline + " " * indent


def _join(opening: str, parts: list[str], closing: str, indent: int | None, newline: str) -> str:
    if not parts:
        return opening + closing
    if indent is None:
        return opening + ",".join(parts) + closing
    inner = _deeper(newline, indent)
    return opening + inner + ("," + inner).join(parts) + newline + closing
