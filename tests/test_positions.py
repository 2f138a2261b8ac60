# SPDX-License-Identifier: Apache-2.0
"""config/positions.py: it takes the JSON that config/load.py takes, and says of the rest where and what to write."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyrunc.config.load import parse
from pyrunc.config.positions import Text
from pyrunc.errors import ConfigError

LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
NOISE = st.sampled_from(
    ["", ",", '"', "}", "]", "0", "-", ".", "e", "\\", "\\u0000", "\\ud83d", "\n", "//", "\x01", "1e999"]
)


@settings(max_examples=150, derandomize=True)
@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3), st.integers(0, 100), NOISE, st.booleans())
@example({}, 1, '"a":1,"a":2', False)
@example({}, 1, '"a":"\\ud83d\\ude00"', False)
@example({}, 1, '"a":01', False)
@example({}, 1, '"a":-', False)
@example({}, 1, '"a":1.', False)
@example({}, 1, '"a":1e', False)
@example({}, 1, '"a":"\x7f"', False)
@example({}, 1, '"a":' + "[" * 64 + "]" * 64, False)
def test_both_readers_agree(value: object, at: int, noise: str, ascii: bool) -> None:
    """On valid texts, and on texts with something put in somewhere: the values, too."""
    text = json.dumps(value, ensure_ascii=ascii)
    text = text[: at % (len(text) + 1)] + noise + text[at % (len(text) + 1) :]
    found, expected = Text(text), parsed(text)
    if isinstance(expected, str):
        assert found.mistakes or "must be a JSON object" in expected, (text, expected)
    else:
        assert not found.mistakes, (text, found.mistakes[0].cause)
        assert json.dumps(found.value) == json.dumps(expected)


def parsed(text: str) -> "dict[str, object] | str":
    """What config/load.py makes of it: the value, or the text of its refusal."""
    try:
        return parse(text.encode("utf-8", "surrogatepass"))
    except ConfigError as error:
        return str(error)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('{\n "a": 1,\n}', (3, 1), 'remove the comma before "}"'),
        ('{"a": [1, ]}', (1, 11), 'remove the comma before "]"'),
        ('{"a": 1\n "b": 2}', (1, 8), 'a "," is missing here'),
        ("{'a': 1}", (1, 2), "double quotes"),
        ('{"a": True}', (1, 7), "write true, in lower case"),
        ('{"a": None}', (1, 7), "write null"),
        ('{"a": 0666}', (1, 7), "octal 0666 is 438"),
        ('{"a": 1} // done', (1, 10), "text after the end"),
        ('{"a": 1, // one\n "b": 2}', (1, 10), "JSON has no comments"),
        ('{"a": 1 // one\n}', (1, 8), "JSON has no comments"),
        ('{"a": "b}', (1, 7), 'is the closing " missing?'),
        ('{"a": "C:\\dir"}', (1, 10), "a backslash is written \\\\"),
        ('{"a" 1}', (1, 6), 'expecting ":"'),
        ('{"a": {"b": 1}', (1, 15), '"}" is missing'),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', (1, 24), '"b" is given twice, first on line 1'),
        ('{"a": "x\\u0000"}', (1, 7), "NUL"),
        ('{"a": "\\ud800"}', (1, 7), "surrogate"),
        ('{"a": ' + "1" * 40 + "}", (1, 7), "1111111111111111… of 40 characters is out of any range"),
        ('{"a": 1e999}', (1, 7), "1e999 is out of any range"),
        ("", (1, 1), "the text ends where a value is expected"),
        ("\ufeff{}", (1, 1), "remove the byte order mark"),
        ("[" * 65, (1, 65), "nested more than 64 deep"),
    ],
)
def test_a_mistake_has_its_place(text: str, place: tuple[int, int], words: str) -> None:
    found = Text(text)
    assert [words in mistake.cause for mistake in found.mistakes] == [True], [one.cause for one in found.mistakes]
    assert found.position(found.mistakes[0].offset) == place


def test_all_that_can_be_read_on() -> None:
    """Names given twice, NUL and numbers out of range are no end: what is right around them is read."""
    found = Text('{"a": 1, "a": 2, "b": "\\u0000", "c": [1e999, 3], "d": "é"}')
    assert [mistake.pointer for mistake in found.mistakes] == ["/a", "/b", "/c/0"]
    assert found.value == {"a": 2, "b": None, "c": [None, 3], "d": "é"}
    assert not found.broken


def test_places() -> None:
    """Of each value, and of the nearest around one that is missing."""
    found = Text('{\n  "a/b": [10, {"c": 2}]\n}')
    assert found.position(found.place("/a~1b/1/c")) == (2, 21)
    assert found.position(found.place("/a~1b/1/missing")) == (2, 15)
    assert found.position(found.place("/missing")) == (1, 1)
