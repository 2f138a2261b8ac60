# SPDX-License-Identifier: Apache-2.0
"""Values in the text format of GVariant, as annotations org.systemd.property.* have them: "uint64 5", "'a'", "[1, 2]".

Of that format what runc takes and a property of a unit can be: booleans, numbers, strings, byte strings, arrays, each
with its type before it ("uint64", "@as") or without: a number without is int32, or a double where it has a point.
"""

from pyrunc.cgroups.dbus_values import marshal, types

_WORDS = dict(
    zip(
        ("boolean", "byte", "int16", "uint16", "int32", "uint32", "int64", "uint64", "double", "string", "objectpath"),
        "bynqiuxtdso",
        strict=True,
    )
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_BASES = {"0x": 16, "0o": 8, "0b": 2}
_DEEPEST = 16


def parse(text: str) -> tuple[str, object]:
    """(signature, value); ValueError, with the cause, for what is not a value."""
    reader = _Reader(text)
    kind, value = reader.value("", 0)
    reader.blanks()
    if reader.at != len(text):
        raise ValueError(f'"{text[reader.at :]}" follows the value')
    try:
        marshal(kind, value)
    except ValueError as error:
        raise ValueError(f"{text} is no value of the type {kind}") from error
    return kind, value


class _Reader:
    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def blanks(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def value(self, wanted: str, depth: int) -> tuple[str, object]:
        """The next value; `wanted`: the signature that stands before it, or that of the array around it."""
        self.blanks()
        if depth > _DEEPEST:
            raise ValueError("too many brackets")
        char = self.text[self.at : self.at + 1]
        if char == "[":
            return self._array(wanted, depth)
        if char in {"'", '"'} and char:
            return self._checked(wanted or "s", "so", self._string())
        if char == "b" and self.text[self.at + 1 : self.at + 2] in {"'", '"'}:
            self.at += 1
            return self._checked(wanted or "ay", ("ay",), [*self._string().encode("utf-8"), 0])
        word = self._word()
        if word in _WORDS and not wanted:
            return self.value(_WORDS[word], depth)
        if word[:1] == "@" and not wanted:
            signature = word[1:]
            if len(types(signature)) != 1 or any(char in signature for char in "(){}v"):
                raise ValueError(f'the type "{signature}" is none that a property can have here')
            return self.value(signature, depth)
        if word in {"true", "false"}:
            return self._checked(wanted or "b", "b", word == "true")
        return self._number(wanted, word)

    def _word(self) -> str:
        start = self.at
        while self.at < len(self.text) and not self.text[self.at].isspace() and self.text[self.at] not in ",]'\"[":
            self.at += 1
        word = self.text[start : self.at]
        if not word:
            raise ValueError(f'"{self.text}" lacks a value')
        return word

    def _checked(self, kind: str, kinds: "str | tuple[str, ...]", value: object) -> tuple[str, object]:
        if kind not in kinds:
            raise ValueError(f'{value!r} is not of the type "{kind}"')
        return kind, value

    def _number(self, wanted: str, word: str) -> tuple[str, object]:
        digits = word.lstrip("+-").lower()
        try:
            if digits[:2] in _BASES:
                value: int | float = int(word.replace("_", "?"), 0)
            elif digits.isdigit():
                octal = len(digits) > 1 and digits[0] == "0"
                value = int(word, 8 if octal and wanted != "d" else 10)
            else:
                value = float(word.replace("_", "?"))
        except ValueError as error:
            raise ValueError(f'"{word}" is no value; a text has quotes') from error
        kind = wanted or ("d" if type(value) is float else "i")
        if kind == "d":
            return kind, float(value)
        if type(value) is float:
            raise ValueError(f'"{word}" is no whole number')
        return self._checked(kind, "ynqiuxt", value)

    def _string(self) -> str:
        quote = self.text[self.at]
        self.at += 1
        found = []
        while (char := self.text[self.at : self.at + 1]) != quote:
            if not char:
                raise ValueError(f'"{self.text}" has no end of its text')
            self.at += 1
            found.append(self._escaped() if char == "\\" else char)
        self.at += 1
        return "".join(found)

    def _escaped(self) -> str:
        char = self.text[self.at : self.at + 1]
        self.at += 1
        if char in {"u", "U"}:
            size = 4 if char == "u" else 8
            digits = self.text[self.at : self.at + size]
            self.at += size
            return chr(int(digits, 16)) if len(digits) == size else ""
        return _ESCAPES.get(char, char)

    def _array(self, wanted: str, depth: int) -> tuple[str, object]:
        if wanted and wanted[0] != "a":
            raise ValueError(f'an array is not of the type "{wanted}"')
        inner = wanted[1:]
        values: list[object] = []
        self.at += 1
        self.blanks()
        while self.text[self.at : self.at + 1] != "]":
            if values:
                if self.text[self.at : self.at + 1] != ",":
                    raise ValueError(f'"{self.text}" lacks a comma or the end of its array')
                self.at += 1
            inner, value = self.value(inner, depth + 1)
            values.append(value)
            self.blanks()
        self.at += 1
        if not inner:
            raise ValueError("an array without values needs its type, such as @as []")
        return f"a{inner}", values
