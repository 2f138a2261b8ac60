# SPDX-License-Identifier: Apache-2.0
"""Durations in the grammar of Go's time.ParseDuration: "5s", "100ms", "1m30s", "1.5h"."""

_UNITS = (("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0))


def seconds(text: str) -> float:
    """Seconds; ValueError for anything else, a number without a unit and one below 0 among it."""
    total, rest = 0.0, text
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        word, rest = rest[:digits], rest[digits:]
        unit, factor = next((row for row in _UNITS if rest.startswith(row[0])), ("", 0.0))
        if not unit or word.count(".") > 1 or not word.strip(".") or len(word) > 18:
            raise ValueError(f"{text!r} is not a duration such as 5s, 100ms or 1m30s")
        total += float(word) * factor
        rest = rest[len(unit) :]
    if not text:
        raise ValueError("a duration must not be empty")
    return total
