# SPDX-License-Identifier: Apache-2.0
"""Lists of CPUs and nodes."""

import pytest

from pyrunc.config.fields import Section
from pyrunc.config.number_list import bits, mask
from pyrunc.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", []),
        ("0", [0]),
        ("0-3,7", [0, 1, 2, 3, 7]),
        (" 1 - 2 ,, 5,", [1, 2, 5]),
        ("3,1,1-2", [1, 2, 3]),
        ("127", [127]),
    ],
)
def test_a_list(text: str, numbers: list[int]) -> None:
    assert bits(Section({"cpus": text}), "cpus", 127) == sum(1 << number for number in numbers)


def test_an_absent_list_is_empty() -> None:
    assert bits(Section({"cpus": None}), "cpus", 127) == 0


@pytest.mark.parametrize("text", ["a", "-", "1-", "-1", "2-1", "1 2", "+1", "1_0", "\u0661", "1-2-3", "0x1", "1\n"])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a list such as"):
        bits(Section({"cpus": text}), "cpus", 127)


@pytest.mark.parametrize("text", ["128", "0-128", "999999"])
def test_a_number_that_is_too_high(text: str) -> None:
    with pytest.raises(ConfigError, match=r"/cpus: .* is out of range: 0 to 127"):
        bits(Section({"cpus": text}), "cpus", 127)


@pytest.mark.parametrize(("number", "size"), [(0, 8), (63, 8), (64, 16), (8191, 1024)])
def test_the_mask_is_an_array_of_longs(number: int, size: int) -> None:
    raw = mask(1 << number)
    assert len(raw) == size
    assert raw[number // 8] == 1 << number % 8
    assert mask(0) == b""
