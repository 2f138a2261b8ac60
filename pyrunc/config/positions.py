# SPDX-License-Identifier: Apache-2.0
"""Where in its text each value of a config.json stands, and all that is wrong with the text itself. Cold: `validate`.

config/load.py reads the same language faster and stops at the first mistake; what it takes, this takes.
"""

from pyrunc.config.load import DEPTH_MAX

_DIGITS_MAX = 20
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}
_LIKELY = {
    "\ufeff": "remove the byte order mark",
    "'": 'strings stand between double quotes: "',
    "/": "JSON has no comments: remove it",
    "#": "JSON has no comments: remove it",
    "}": 'remove the comma before "}"',
    "]": 'remove the comma before "]"',
    "T": "write true, in lower case",
    "F": "write false, in lower case",
    "N": "write null, or remove the member",
    "+": "a number has no plus sign",
    ".": "a number begins with a digit",
}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class Mistake(Exception):  # noqa: N818 - it is what a reader is shown, also without being raised
    """Something that is wrong with the text: offset in characters, pointer of the value, cause, requirement."""

    def __init__(self, offset: int, pointer: str, cause: str, requirement: str = "") -> None:
        super().__init__(cause)
        self.offset = offset
        self.pointer = pointer
        self.cause = cause
        self.requirement = requirement


class Text:
    """A text as read. value: without what is wrong in itself; places: the offset of each value by its pointer.

    mistakes: all of them in order. broken: the last is one of the grammar, the rest of the text has not been read, and
    value is None.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.mistakes: list[Mistake] = []
        self.places: dict[str, int] = {}
        self.value: object = None
        self.broken = True
        try:
            value, end = self._value(self._blanks(0), "", 0)
            end = self._blanks(end)
            if end < len(text):
                self._wrong(end, "", "text after the end of the object: remove it")
            self.value = value
            self.broken = False
        except Mistake as mistake:
            self.mistakes.append(mistake)

    def position(self, offset: int) -> tuple[int, int]:
        """(line, column), from 1."""
        return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)

    def place(self, pointer: str) -> int:
        """The offset of the value at a pointer, or of the nearest that is there around it."""
        while pointer not in self.places and pointer:
            pointer = pointer.rpartition("/")[0]
        return self.places.get(pointer, 0)

    def _wrong(self, offset: int, pointer: str, cause: str) -> "NoReturn":
        raise Mistake(offset, pointer, cause)

    def _blanks(self, at: int) -> int:
        text, end = self.text, len(self.text)
        while at < end and text[at] in " \t\n\r":
            at += 1
        return at

    def _value(self, at: int, pointer: str, depth: int) -> tuple[object, int]:
        first = self.text[at : at + 1]
        self.places[pointer] = at
        if first in ("{", "["):
            if depth == DEPTH_MAX:
                self._wrong(at, pointer, f"nested more than {DEPTH_MAX} deep")
            return (self._object if first == "{" else self._array)(at, pointer, depth + 1)
        if first == '"':
            text, end = self._string(at, pointer)
            return text, end
        if first and first in "-0123456789":
            return self._number(at, pointer)
        for word, value in _WORDS.items():
            if self.text.startswith(word, at):
                return value, at + len(word)
        if not first:
            self._wrong(at, pointer, "the text ends where a value is expected")
        return self._wrong(at, pointer, f"expecting a value, not {first!r}" + self._advice(first))

    def _advice(self, first: str) -> str:
        return f": {_LIKELY[first]}" if first in _LIKELY else ""

    def _object(self, at: int, pointer: str, depth: int) -> tuple[object, int]:
        found: dict[str, object] = {}
        at = self._blanks(at + 1)
        if self.text[at : at + 1] == "}":
            return found, at + 1
        while True:
            if self.text[at : at + 1] != '"':
                first = self.text[at : at + 1]
                cause = f"expecting a name in double quotes, not {first!r}" if first else "the text ends in an object"
                self._wrong(at, pointer, cause + self._advice(first))
            name_at = at
            name, at = self._string(at, pointer)
            key = (name or "").replace("~", "~0").replace("/", "~1")
            if name is not None and name in found:
                cause = f'"{name}" is given twice, first on line {self.position(self.places[f"{pointer}/{key}"])[0]}'
                self.mistakes.append(Mistake(name_at, f"{pointer}/{key}", f"{cause}: remove one", "SPEC-004"))
            at = self._blanks(at)
            if self.text[at : at + 1] != ":":
                self._wrong(at, pointer, 'expecting ":" and a value after the name')
            value, at = self._value(self._blanks(at + 1), f"{pointer}/{key}", depth)
            if name is not None and value is not self:
                found[name] = value
            at, ended = self._after(at, pointer, "}")
            if ended:
                return found, at

    def _array(self, at: int, pointer: str, depth: int) -> tuple[object, int]:
        found: list[object] = []
        at = self._blanks(at + 1)
        if self.text[at : at + 1] == "]":
            return found, at + 1
        while True:
            value, at = self._value(at, f"{pointer}/{len(found)}", depth)
            found.append(None if value is self else value)
            at, ended = self._after(at, pointer, "]")
            if ended:
                return found, at

    def _after(self, at: int, pointer: str, end: str) -> tuple[int, bool]:
        """The place behind a comma, or behind the end."""
        value_end = at
        at = self._blanks(at)
        first = self.text[at : at + 1]
        if first == end:
            return at + 1, True
        if first == ",":
            return self._blanks(at + 1), False
        kind = "object" if end == "}" else "array"
        if not first:
            self._wrong(at, pointer, f'the text ends in an {kind}: "{end}" is missing')
        likely = _LIKELY[first] if first in "/#" else 'a "," is missing here'
        return self._wrong(value_end, pointer, f'expecting "," or "{end}" after a value: {likely}')

    def _number(self, at: int, pointer: str) -> tuple[object, int]:
        end = at
        while self.text[end : end + 1] and self.text[end] in "+-.0123456789eE":
            end += 1
        word = self.text[at:end]
        digits = word.removeprefix("-")
        whole = digits.isdigit() and digits.isascii()
        if not whole:
            self._check_float(at, pointer, word)
        if digits[:1] == "0" and digits[1:2].isdigit():
            # 0o666 would be another number than 0666
            octal = f": octal {digits} is {int(digits, 8)}" if whole and not set(digits) & set("89") else ""
            self._wrong(at, pointer, f"a number has no zero before it{octal}")
        if not digits:
            self._wrong(at, pointer, "a minus without a number")
        if whole and len(word) <= _DIGITS_MAX:
            return int(word), end
        value = float(word) if not whole else float("inf")
        if value - value != 0.0:
            shown = word if len(word) <= 32 else f"{word[:16]}… of {len(word)} characters"
            self.mistakes.append(Mistake(at, pointer, f"the number {shown} is out of any range"))
            return self, end
        return value, end

    def _check_float(self, at: int, pointer: str, word: str) -> None:
        mantissa, _, exponent = word.lower().partition("e")
        whole, point, part = mantissa.removeprefix("-").partition(".")
        power = exponent[1:] if exponent[:1] in ("+", "-") else exponent
        good = whole.isdigit() and (not point or part.isdigit()) and ("e" not in word.lower() or power.isdigit())
        if not good:
            self._wrong(at, pointer, f"{word} is no number of JSON")

    def _string(self, at: int, pointer: str) -> tuple[str | None, int]:
        """The string; None when there is something in it that no string for the kernel can have."""
        text, start = self.text, at
        parts: list[str] = []
        at += 1
        while True:
            stop = at
            while stop < len(text) and text[stop] not in '"\\' and text[stop] >= " ":
                stop += 1
            parts.append(text[at:stop])
            char = text[stop : stop + 1]
            if char == '"':
                return self._checked("".join(parts), start, pointer), stop + 1
            if char != "\\":
                cause = (
                    "the text ends in a string" if not char else f"a string goes over its line, or has a raw {char!r}"
                )
                self._wrong(stop if char else start, pointer, f'{cause}: is the closing " missing?')
            letter = text[stop + 1 : stop + 2]
            if letter in _ESCAPES and letter:
                parts.append(_ESCAPES[letter])
                at = stop + 2
            else:
                at = self._unicode(stop, pointer, letter, parts)

    def _unicode(self, at: int, pointer: str, letter: str, parts: list[str]) -> int:
        digits = self.text[at + 2 : at + 6]
        if letter != "u" or len(digits) != 4 or set(digits) - set("0123456789abcdefABCDEF"):
            self._wrong(at, pointer, f'"\\{letter}" is no escape: a backslash is written \\\\')
        parts.append(chr(int(digits, 16)))
        return at + 6

    def _checked(self, text: str, at: int, pointer: str) -> str | None:
        if "\0" in text:
            self.mistakes.append(Mistake(at, pointer, "a NUL character (\\u0000) cannot be in a string: remove it"))
            return None
        if text.isascii():
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            cause = "half of a surrogate pair (\\ud800 to \\udfff) is no text: write the character itself"
            self.mistakes.append(Mistake(at, pointer, cause))
            return None
