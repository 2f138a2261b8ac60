# SPDX-License-Identifier: Apache-2.0
"""Medians with their spread, and the ratios, which say more than milliseconds on a machine that others use too."""

import statistics
from typing import Any

from tests.bench.verbs import Table

Summary = dict[str, dict[str, dict[str, float]]]
"""runtime → verb → {"ms", "q1", "q3", "cpu", "rounds"}."""

GOALS = {
    "runc": {
        "run": 0.5,
        "create": 0.5,
        "exec": 0.5,
        "state": 0.6,
        "start": 0.6,
        "kill": 0.6,
        "delete": 0.6,
        "life": 0.5,
    },
    "crun": {"life": 1.0, "run": 1.0, "create": 1.2, "exec": 1.3},
}
"""Of the one-file binary: at most this times the other's median."""


def summary(table: Table) -> Summary:
    """Medians and quartiles."""
    result: Summary = {}
    for name, verbs in table.items():
        for verb, samples in verbs.items():
            times = [sample.ms for sample in samples]
            q1, middle, q3 = statistics.quantiles(times, n=4) if len(times) > 1 else (times * 3)
            result.setdefault(name, {})[verb] = {
                "ms": middle,
                "q1": q1,
                "q3": q3,
                "rounds": len(times),
                "cpu": statistics.median(sample.cpu for sample in samples),
            }
    return result


def lines(title: str, result: Summary) -> list[str]:
    """A table of the terminal."""
    names = list(result)
    verbs = list(result[names[0]])
    text = ["", title, f"{'ms: median (quartiles)':24}" + "".join(f"{name:>24}" for name in names) + _heads(names)]
    for verb in verbs:
        row = f"{verb:24}"
        for name in names:
            cell = result[name][verb]
            row += f"{cell['ms']:9.1f} ({cell['q1']:.1f} to {cell['q3']:.1f})".rjust(24)
        text.append(row + _ratios(result, verb))
    text.append("CPU ms")
    for verb in verbs:
        cells = [result[name][verb] for name in names]
        text.append(f"{verb:24}" + "".join(f"{cell['cpu']:24.1f}" for cell in cells))
    return text


def _heads(names: list[str]) -> str:
    return "".join(f"{'/' + name:>13}" for name in names[1:])


def _ratios(result: Summary, verb: str) -> str:
    """The first runtime's median by those of the others, with a mark where a goal is not met."""
    first, *others = result
    row = ""
    for name in others:
        ratio = result[first][verb]["ms"] / result[name][verb]["ms"]
        goal = GOALS.get(name, {}).get(verb)
        row += f"{ratio:.2f}{' ' if goal is None or ratio <= goal else '!'}".rjust(13)
    return row


def ratios(result: Summary) -> dict[str, dict[str, float]]:
    """The same as data."""
    first, *others = result
    return {
        name: {verb: round(result[first][verb]["ms"] / cell["ms"], 3) for verb, cell in result[name].items()}
        for name in others
    }


def crowd_lines(crowd: dict[str, dict[str, Any]]) -> list[str]:
    """What crowd.py found, a row for each thing."""
    names = list(crowd)
    text = ["", f"{'':44}" + "".join(f"{name:>14}" for name in names)]
    rows = [f"{thing:44}" + "".join(f"{crowd[name][thing]:14.1f}" for name in names) for thing in crowd[names[0]]]
    return text + rows
