# SPDX-License-Identifier: Apache-2.0
"""What `validate` finds in a config.json: one Finding for each mistake, and how values and suggestions are written."""

from pyrunc.config.dump import dump
from pyrunc.errors import one_line

ERROR, WARNING = "error", "warning"
_SHOWN = 60
"""Characters of a value in a line."""


class Finding:
    """A mistake. pointer: of the value, or of the missing one. requirement: its row of the specification, or "".

    text: the line, without the pointer. expected: what to write; found: what is there, as JSON (both may be "").
    level: ERROR, or WARNING for what a runtime takes all the same. host: it is this machine that cannot do it.
    """

    __slots__ = ("expected", "found", "host", "level", "pointer", "requirement", "text")

    def __init__(
        self,
        pointer: str,
        text: str,
        requirement: str = "",
        *,
        expected: str = "",
        found: str = "",
        level: str = ERROR,
        host: bool = False,
    ) -> None:
        self.pointer = pointer
        self.text = text
        self.requirement = requirement
        self.expected = expected
        self.found = found
        self.level = level
        self.host = host

    @property
    def line(self) -> str:
        """All of it on one line."""
        level = "warning: " if self.level == WARNING else ""
        place = f"{self.pointer}: " if self.pointer else ""
        requirement = f" ({self.requirement})" if self.requirement else ""
        return one_line(f"{level}{place}{self.text}{requirement}")


def unlike(pointer: str, requirement: str, expected: str, value: object, words: "list[str] | None" = None) -> Finding:
    """A value that is not what is expected; `words`: those that it could have been meant to be."""
    found = shown(value)
    meant = closest(value, words or []) if type(value) is str else ""
    # Who meant one of them needs no list of all
    text = f"write {dump(meant)}, not {found}" if meant else f"write {expected}, not {found}"
    return Finding(pointer, text, requirement, expected=expected, found=found)


def shown(value: object) -> str:
    """A value as JSON, cut where it is long."""
    text = dump(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 20]} … {text[-10:]}"


def closest(word: str, words: "list[str]") -> str:
    """The one of `words` that is most like `word`, in whatever case; "" when none is."""
    from difflib import get_close_matches

    lower = {one.lower(): one for one in words}
    found = get_close_matches(word.lower(), list(lower), 1, 0.8)
    if not found:
        # RLIMIT_NOFILE of NOFILE, network of net
        ends = [one for one in lower if one.endswith(f"_{word.lower()}") or (word[2:] and one.startswith(word.lower()))]
        found = ends if len(ends) == 1 else []
    return lower[found[0]] if found else ""


def member(pointer: str, key: "str | int") -> str:
    """The pointer of a member (RFC 6901)."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def keys(pointer: str) -> list[str]:
    """The keys on the way to a pointer."""
    return [word.replace("~1", "/").replace("~0", "~") for word in pointer.split("/")[1:]]
