# SPDX-License-Identifier: Apache-2.0
"""The picture of the README: bars with their quartiles, told apart by pattern and not by colour alone."""

from html import escape

from tests.bench.report import Summary

_VERBS = ("run", "create", "start", "state", "exec", "kill", "delete", "life")
_LEFT, _WIDTH, _BAR, _GAP, _TOP = 74, 640, 13, 14, 58
_FILLS = ("#222", "url(#hatch)", "#fff", "url(#dots)")
_PATTERNS = (
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" fill="#fff"/><rect width="2.5" height="6" fill="#222"/></pattern>'
    '<pattern id="dots" width="5" height="5" patternUnits="userSpaceOnUse"><rect width="5" height="5" fill="#fff"/>'
    '<circle cx="2.5" cy="2.5" r="1.1" fill="#222"/></pattern>'
)


def svg(title: str, result: Summary) -> str:
    """An SVG file: a group of bars for each verb, the median beside each bar, a whisker from quartile to quartile."""
    names = list(result)
    verbs = [verb for verb in _VERBS if all(verb in result[name] for name in names)]
    scale = _WIDTH / max(result[name][verb]["q3"] for name in names for verb in verbs)
    group = len(names) * _BAR + _GAP
    height = _TOP + len(verbs) * group + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 70}" height="{height}" role="img">',
        f"<title>{escape(title)}</title><defs>{_PATTERNS}</defs>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<g font-family="sans-serif" font-size="12"><text x="8" y="18" font-size="14">{escape(title)}</text>',
        *_legend(names),
    ]
    for row, verb in enumerate(verbs):
        top = _TOP + row * group
        parts.append(f'<text x="{_LEFT - 8}" y="{top + group / 2 - 2:.0f}" text-anchor="end">{verb}</text>')
        for number, name in enumerate(names):
            parts += _bar(result[name][verb], top + number * _BAR, scale, _FILLS[number % 4])
    return "\n".join([*parts, "</g></svg>", ""])


def _legend(names: list[str]) -> list[str]:
    parts = []
    for number, name in enumerate(names):
        x = _LEFT + number * 150
        parts.append(f'<rect x="{x}" y="30" width="24" height="{_BAR}" fill="{_FILLS[number % 4]}" stroke="#222"/>')
        parts.append(f'<text x="{x + 30}" y="41">{escape(name)}</text>')
    return parts


def _bar(cell: dict[str, float], y: float, scale: float, fill: str) -> list[str]:
    width, low, high = (cell[key] * scale for key in ("ms", "q1", "q3"))
    middle = y + _BAR / 2
    return [
        f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" fill="{fill}" stroke="#222"/>',
        f'<path d="M{_LEFT + low:.1f} {middle - 1:.1f}H{_LEFT + high:.1f}" stroke="#888" stroke-width="3"/>',
        f'<text x="{_LEFT + max(width, high) + 5:.1f}" y="{y + 10}" font-size="11">{cell["ms"]:.1f}</text>',
    ]
