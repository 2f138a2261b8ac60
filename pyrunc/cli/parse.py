# SPDX-License-Identifier: Apache-2.0
"""The fast parser: argv to values by the table, without an import; what it cannot take, Typer explains.

The grammar is that of Go's flag package, which engines rely on: `--flag value`, `--flag=value`, both with one dash;
and one of getopt: `-td` for `-t -d`. Global flags stand before the command.
"""

from pyrunc.cli.table import COMMANDS, GLOBAL, NUMBER, NUMBERS, SWITCH, TEXTS, Command, Flag
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Values = dict[str, Any]

# strconv.ParseBool of Go, as far as people write it.
_SWITCH_WORDS = {"true": True, "false": False, "1": True, "0": False}
_NUMBER_MAX = 2**32 - 2  # of ids; 2^32-1 is "no change" to setresuid(2)


class RefusedError(UsageError):
    """The fast parser cannot take argv; Typer may know better words (or it is a call for help)."""


class Call:
    """What argv asks for: the values of the global flags, the command, and the values of its flags and arguments."""

    __slots__ = ("command", "options", "values")

    def __init__(self, options: "Values", command: Command, values: "Values") -> None:
        self.options = options
        self.command = command
        self.values = values


def split(argv: list[str]) -> "tuple[Values, list[str]]":
    """The values of the global flags in `argv` (without the program's name), and the words from the command on."""
    return _take(GLOBAL, argv, in_order=True)


def parse(options: "Values", words: list[str]) -> Call:
    """The Call of what split() gave.

    RefusedError for unknown flags and commands, and for help; UsageError, in runc's words, for too few or many words.
    """
    if options["version"]:
        return Call(options, COMMANDS["version"], {})
    if not words:
        raise RefusedError("no command")
    command = COMMANDS.get(words[0])
    if command is None:
        raise RefusedError(f'unknown command "{words[0]}"')
    values, words = _take(command.flags, words[1:], in_order=bool(command.tail))
    place(command, words, values)
    return Call(options, command, values)


def place(command: Command, words: list[str], values: "Values") -> None:
    """Give the positional `words` their names in `values`; UsageError when there are too few or too many."""
    names = command.arguments
    least, most = command.required, len(names)
    if len(words) < least or (len(words) > most and not command.tail):
        bound = "exactly" if least == most and not command.tail else "a minimum of"
        if len(words) > most:
            bound, least = (bound, most) if bound == "exactly" else ("a maximum of", most)
        raise UsageError(f'"{command.name}" requires {bound} {least} argument(s)')
    for index, name in enumerate(names):
        values[name] = words[index] if index < len(words) else None
    if command.tail:
        rest = words[most:]
        values["command"] = rest[1:] if rest[:1] == ["--"] else rest


def number(text: str) -> int:
    """A decimal number from 0 to 2^32-2; int() would take "1_0", " 1", "+1" and the digits of other scripts."""
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _NUMBER_MAX:
        return int(text)
    raise ValueError(f"{text!r} is not a number from 0 to {_NUMBER_MAX}")


def _take(flags: tuple[Flag, ...], argv: list[str], *, in_order: bool) -> tuple["Values", list[str]]:
    """The values of `flags` in `argv`, and the other words; `in_order` ends at the first of these."""
    values: Values = {flag.name: [] if flag.kind in (TEXTS, NUMBERS) else flag.default for flag in flags}
    names = {flag.name: flag for flag in flags}
    shorts = {flag.short: flag for flag in flags if flag.short}
    words: list[str] = []
    index, end = 0, len(argv)
    while index < end:
        word = argv[index]
        index += 1
        if word == "--":
            return values, words + argv[index:]
        if word[:1] != "-" or word == "-":
            if in_order:
                return values, argv[index - 1 :]
            words.append(word)
            continue
        name, equals, text = word.partition("=")
        flag = names.get(name[2:]) if name[:2] == "--" else names.get(name[1:]) or shorts.get(name[1:])
        if flag is None:
            _cluster(word, shorts, values)
        elif flag.kind is SWITCH:
            values[flag.name] = _switch(word, text) if equals else True
        else:
            if not equals:
                if index == end:
                    raise RefusedError(f"flag needs an argument: {word}")
                text = argv[index]
                index += 1
            _store(flag, text, values)
    return values, words


def _cluster(word: str, shorts: dict[str, Flag], values: "Values") -> None:
    """`-td` sets the switches -t and -d; nothing else does."""
    found = [shorts.get(letter) for letter in word[1:]]
    if word[1] == "-" or any(flag is None or flag.kind is not SWITCH for flag in found):
        raise RefusedError(f"no such option: {word.partition('=')[0]}")
    for flag in found:
        if flag is not None:
            values[flag.name] = True


def _switch(word: str, text: str) -> bool:
    value = _SWITCH_WORDS.get(text)
    if value is None:
        raise RefusedError(f"{word}: the value can be true or false")
    return value


def _store(flag: Flag, text: str, values: "Values") -> None:
    if flag.choices and text not in flag.choices:
        raise RefusedError(f"--{flag.name}: {text!r} is none of {', '.join(flag.choices)}")
    if flag.kind is TEXTS:
        values[flag.name].append(text)
    elif flag.kind is NUMBER or flag.kind is NUMBERS:
        try:
            value = number(text)
        except ValueError as error:
            raise RefusedError(f"--{flag.name}: {error}") from None
        if flag.kind is NUMBER:
            values[flag.name] = value
        else:
            values[flag.name].append(value)
    else:
        values[flag.name] = text
