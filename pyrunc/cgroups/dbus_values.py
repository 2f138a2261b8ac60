# SPDX-License-Identifier: Apache-2.0
"""Values as D-Bus has them on the wire (D-Bus Specification 0.43, "Marshaling").

Plain values: int, bool, float, str; a list for an array, where bytes will do for "ay"; a tuple for a struct or dict
entry; (signature, value) for a variant.
"""

from _struct import pack, unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from struct import error as StructError  # noqa: N812
else:
    from _struct import error as StructError  # noqa: N812

_NUMBERS = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "b": "I"}
_SIZES = {"y": 1, "n": 2, "q": 2, "i": 4, "u": 4, "x": 8, "t": 8, "d": 8, "b": 4}
_ALIGN = {**_SIZES, "s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8}
_CLOSING = {"(": ")", "{": "}"}


def types(signature: str) -> list[str]:
    """The complete types that a signature is made of; ValueError for one that is none."""
    found, at = [], 0
    while at < len(signature):
        end = _end(signature, at)
        found.append(signature[at:end])
        at = end
    return found


def _end(signature: str, at: int) -> int:
    char = signature[at : at + 1]
    if char == "a":
        return _end(signature, at + 1)
    if char in _CLOSING:
        at += 1
        while signature[at : at + 1] != _CLOSING[char]:
            at = _end(signature, at)
    elif not char or char not in _ALIGN:
        raise ValueError(f'"{signature}" is no signature of D-Bus')
    return at + 1


def marshal(signature: str, *values: object) -> bytes:
    """The values, little-endian; ValueError for one that is not of its type."""
    out = bytearray()
    try:
        for kind, value in zip(types(signature), values, strict=True):
            _write(out, kind, value)
    except (StructError, TypeError, OverflowError) as error:
        raise ValueError(str(error)) from error
    return bytes(out)


def _write(out: bytearray, kind: str, value: "object") -> None:
    out += b"\0" * (-len(out) % _ALIGN[kind[0]])
    if kind in _NUMBERS:
        out += pack("<" + _NUMBERS[kind], value)
    elif kind in {"s", "o", "g"}:
        raw = str(value).encode("utf-8")
        if b"\0" in raw:
            raise ValueError("a string of D-Bus has no NUL")
        out += pack("<B" if kind == "g" else "<I", len(raw)) + raw + b"\0"
    elif kind == "v":
        variant: tuple[str, object] = value  # type: ignore[assignment]
        _write(out, "g", variant[0])
        _write(out, *variant)
    elif kind[0] == "a":
        place = len(out)
        out += bytes(4)
        out += b"\0" * (-len(out) % _ALIGN[kind[1]])
        start = len(out)
        for one in value:  # type: ignore[attr-defined]
            _write(out, kind[1:], one)
        out[place : place + 4] = pack("<I", len(out) - start)
    else:
        for inner, one in zip(types(kind[1:-1]), value, strict=True):  # type: ignore[call-overload]
            _write(out, inner, one)


def unmarshal(data: bytes, signature: str, at: int = 0, order: str = "<") -> list[object]:
    """The values of a signature, from the byte `at` on, to which alignment does not refer."""
    found = []
    for kind in types(signature):
        value, at = read(data, kind, at, order)
        found.append(value)
    return found


def read(data: bytes, kind: str, at: int, order: str) -> tuple[object, int]:
    """(value, where it ends) of one complete type."""
    at += -at % _ALIGN[kind[0]]
    if kind in _NUMBERS:
        value = unpack_from(order + _NUMBERS[kind], data, at)[0]
        return (bool(value) if kind == "b" else value), at + _SIZES[kind]
    if kind in {"s", "o", "g"}:
        head = 1 if kind == "g" else 4
        size = unpack_from(order + ("B" if kind == "g" else "I"), data, at)[0]
        return data[at + head : at + head + size].decode("utf-8", "replace"), at + head + size + 1
    if kind == "v":
        inner, at = read(data, "g", at, order)
        content, at = read(data, str(inner), at, order)
        return (inner, content), at
    values = []
    if kind[0] == "a":
        size = unpack_from(order + "I", data, at)[0]
        at += 4 + (-(at + 4) % _ALIGN[kind[1]])
        end = at + size
        while at < end:
            value, at = read(data, kind[1:], at, order)
            values.append(value)
        return values, at
    for inner in types(kind[1:-1]):
        value, at = read(data, inner, at, order)
        values.append(value)
    return tuple(values), at
