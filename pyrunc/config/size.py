# SPDX-License-Identifier: Apache-2.0
"""Sizes as people write them, in the grammar of Docker's units.RAMInBytes: "512", "64M", "1.5 GiB"."""

_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}


def size(text: str) -> int:
    """Bytes; all units are powers of 1024. "-1" is -1, unlimited. ValueError for anything else."""
    if text == "-1":
        return -1
    word = text.lower().removesuffix("b")
    if word[-2:-1] in _UNITS and word[-1:] == "i":
        word = word[:-1]
    unit = word[-1:] if word[-1:] in _UNITS else ""
    whole, point, part = word.removesuffix(unit).removesuffix(" ").partition(".")
    if not _is_digits(whole) or (point and not _is_digits(part)):
        raise ValueError(f"{text!r} is not a size such as 512, 64M or 1.5GiB")
    # Integers only: a float has 53 bits
    factor = 1 << _UNITS[unit]
    return int(whole) * factor + (int(part) * factor // 10 ** len(part) if part else 0)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 19


def number(text: str) -> int:
    """A decimal integer, also below 0. ValueError for anything else, "1_0" and "+1" among it."""
    if not _is_digits(text.removeprefix("-")):
        raise ValueError(f"{text!r} is not a number")
    return int(text)
