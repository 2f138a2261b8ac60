# SPDX-License-Identifier: Apache-2.0
"""config/load.py: what passes the border between JSON and Python, and what does not."""

import json
import os
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyrunc.config.load import DEPTH_MAX, SIZE_MAX, deeper_than, load, parse
from pyrunc.errors import ConfigError

ROOT = Path(__file__).parent.parent


def bundle(folder: Path, text: str = '{"ociVersion": "1.0.0"}') -> Path:
    (folder / "config.json").write_text(text, "utf-8")
    return folder


def test_load_gives_the_object_and_the_absolute_bundle(tmp_path: Path) -> None:
    """The bundle's path is the kernel's: absolute, without links, as runc has it after chdir."""
    folder = bundle(tmp_path)
    (tmp_path / "link").symlink_to(folder)
    config = load(f"{tmp_path}/link/../{tmp_path.name}/.")
    assert config.data == {"ociVersion": "1.0.0"}
    assert config.bundle == str(tmp_path.resolve())


def test_load_takes_a_relative_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle(tmp_path).parent)
    assert load(tmp_path.name).bundle == str(tmp_path.resolve())


def test_load_takes_another_file(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"hostname": "x"}')
    config = load(str(tmp_path), str(other))
    assert config.data == {"hostname": "x"}
    assert config.bundle == str(tmp_path.resolve())


def test_a_missing_config_is_not_a_missing_command(tmp_path: Path) -> None:
    """Docker takes "no such file or directory" for a command that is not there (contracts.md 1.4)."""
    with pytest.raises(ConfigError, match=r"^JSON specification file config\.json not found$"):
        load(str(tmp_path))
    with pytest.raises(ConfigError, match=r"not found$"):
        load(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="not a bundle"):
        load(str(bundle(tmp_path) / "config.json"))


@pytest.mark.parametrize("kind", ["fifo", "directory", "device"])
def test_only_a_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    """None of them blocks: [config-huge], a FIFO in place of config.json."""
    path = tmp_path / "config.json"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="is not a regular file"):
        load(str(tmp_path))


def test_size_has_a_limit(tmp_path: Path) -> None:
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(SIZE_MAX + 1)
    with pytest.raises(ConfigError, match="larger than 16 MiB"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "line 1, column 1: expecting a value"),
        (b" \n ", "line 2, column 2: expecting a value"),
        (b'{"a": }', "line 1, column 7: expecting a value"),
        (b'{"a": 1,\n "b": ?}', "line 2, column 7: expecting a value"),
        (b'{"a" 1}', "line 1, column 6: expecting ':' delimiter"),
        (b'{"a": 1', "expecting ',' delimiter"),
        (b'{"a": "b', "unterminated string"),
        (b'{"a": "\t"}', "invalid control character"),
        (b'{"a": "\\x"}', "invalid \\escape"),
        (b'{"a": 1} {}', "line 1, column 10: text after the end"),
        (b"\xef\xbb\xbf{}", "line 1, column 1: expecting a value"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "byte 7 is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8"),
        (b"null", "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b'"a"', "must be a JSON object"),
        (b'{"a": NaN}', "NaN is no number of JSON"),
        (b'{"a": [-Infinity]}', "-Infinity is no number of JSON"),
        (b'{"a": 1e999999999}', "is out of any range"),
        (b'{"a": 123456789012345678901}', "21 characters is out of any range"),
        (b'{"a": ' + b"9" * 100_000 + b"}", "100000 characters is out of any range"),
        (b"[" * 200_000, "nested more than 64 deep"),
        (b'{"a":' * 200_000, "nested more than 64 deep"),
        (b"[" * 65 + b"]" * 65, "nested more than 64 deep"),
    ],
    ids=lambda value: f"{repr(value)[:30]} {len(value)}",
)
def test_what_is_no_json_is_refused(data: bytes, words: str) -> None:
    """One line that says where, and never another exception: [config-malformed]."""
    with pytest.raises(ConfigError) as caught:
        parse(data)
    assert words in str(caught.value)
    assert str(caught.value).startswith("config.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"a": 1, "a": 1}', "/a: is given twice"),
        (b'{"a": [1, {"b": {"c/d": 1, "c/d": 2}}]}', "/a/1/b/c~1d: is given twice"),
        (b'{"a": {"b": 1, "b": 2}, "a": 3}', "/a: is given twice"),
        (b'{"a": {"b": "x\\u0000y"}}', "/a/b: a NUL character cannot be in a string"),
        (b'{"a": ["x", "\\ud800"]}', "/a/1: half of a surrogate pair (character 0) is no text"),
        (b'{"a": ["x\\uDFff"]}', "/a/0: half of a surrogate pair (character 1) is no text"),
        (b'{"a": {"\\u0000": 1}}', "/a: a NUL character cannot be in a string"),
    ],
)
def test_what_readers_would_take_differently_is_refused(data: bytes, text: str) -> None:
    """Duplicate names (SPEC-004), NUL and lone surrogates, with their pointer: [config-nul-bytes]."""
    with pytest.raises(ConfigError) as caught:
        parse(data)
    assert str(caught.value) == text


def test_what_go_escapes_is_text() -> None:
    data = b'{"args": ["a\\u003cb\\u0026", "\\ud83d\\ude00", "\\\\u0000"], "n": [0, -1, 18446744073709551615, 1.5]}'
    assert parse(data) == {"args": ["a<b&", "\N{GRINNING FACE}", "\\u0000"], "n": [0, -1, (1 << 64) - 1, 1.5]}


def test_brackets_in_strings_are_not_depth() -> None:
    text = {"a": "[" * 100, '"{[': ["\\", '\\"[[', "]" * 100], "": '""'}
    data = json.dumps([text] * 30).encode()
    assert not deeper_than(data, 3)
    assert parse(b'{"x":' + data + b"}") == {"x": [text] * 30}
    deep = b'{"a":"]]]]",' * 1 + b'"b":' + b'["]",' * 70 + b"1" + b"]" * 70 + b"}"
    assert deeper_than(deep, DEPTH_MAX)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=40,
)


@given(st.dictionaries(st.text(string.printable), JSON, max_size=5), st.booleans(), st.sampled_from([None, 2]))
def test_agrees_with_the_json_module(value: dict[str, object], ascii_only: bool, indent: int | None) -> None:
    """Whatever json.dumps writes is read as json.loads reads it."""
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert parse(data) == json.loads(data)


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(JSON, st.integers(0, 6))
def test_depth_is_counted_as_it_is(value: object, limit: int) -> None:
    assert deeper_than(json.dumps(value).encode(), limit) is (depth(value) > limit)


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from(['{"', '"', "[", "]", "{", "}", ",", ":", "\\", "\\u00", "1e", "-", "tru", " "])).map(
        lambda parts: "".join(parts).encode()
    )
)
@example(b"-")
@example(b'{"a":1e')
def test_garbage_is_a_config_error(data: bytes) -> None:
    """Never a traceback, and nothing that json.loads refuses passes."""
    try:
        value = parse(data)
    except ConfigError:
        return
    assert value == json.loads(data)


@given(st.dictionaries(st.text("ab", min_size=1), JSON, min_size=1, max_size=3), st.data())
def test_a_cut_file_is_a_config_error(value: dict[str, object], data: st.DataObject) -> None:
    """[state-corrupted]: each proper beginning of an object is refused."""
    raw = json.dumps(value).encode()
    with pytest.raises(ConfigError):
        parse(raw[: data.draw(st.integers(0, len(raw) - 1))])


def test_the_json_module_is_not_imported(tmp_path: Path) -> None:
    """It costs 7 ms; only malformed text may ask for it."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pyrunc.config.load import load; load('.'); "
    code += "print([name for name in ('json', 're', 'enum', 'typing', 'os') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-ISc", code], cwd=bundle(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
