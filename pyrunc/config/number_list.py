# SPDX-License-Identifier: Apache-2.0
"""Lists of CPUs and memory nodes as config.json writes them, "0-3, 7": the list format of cpuset(7)."""

from pyrunc.config.fields import Section


def bits(section: Section, key: str, highest: int) -> int:
    """The numbers of a list as bits; 0 when it is absent or empty. ConfigError for one above `highest`."""
    text = section.text(key, "")
    found = 0
    for part in text.split(","):
        word = part.strip(" ")
        if not word:
            continue  # runc takes stray commas
        first, dash, last = word.partition("-")
        low = _number(first.strip(" "))
        high = _number(last.strip(" ")) if dash else low
        if low < 0 or high < low:
            raise section.refuse(key, f'"{text}" is not a list such as "0-3,7"')
        if high > highest:
            raise section.refuse(key, f"{high} is out of range: 0 to {highest}")
        found |= (1 << high + 1) - (1 << low)
    return found


def mask(bits: int) -> bytes:
    """The bits as the kernel takes them: an array of unsigned longs, on little-endian machines one row of bytes."""
    return bits.to_bytes((bits.bit_length() + 63) // 64 * 8, "little")


def _number(text: str) -> int:
    """-1 for anything but some ASCII digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else -1
