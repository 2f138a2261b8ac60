# SPDX-License-Identifier: Apache-2.0
"""The figures of docs/speed.md, between its two marks."""

from pathlib import Path
from typing import Any

from tests.bench.report import GOALS, Summary

BEGIN, END = "<!-- make bench BENCH=--write: begin -->", "<!-- end -->"
NAMES = {"pyrunc": "dist/pyrunc", "pyrunc-pip": "pip form"}
KINDS = {"small": "A small container", "engine": "An engine's container: Docker's seccomp profile, 30 mounts"}


def write(path: Path, results: list[dict[str, Any]]) -> None:
    """ValueError where the page has no marks."""
    text = path.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise ValueError(f"{path} has no line {BEGIN!r} with {END!r} behind it")
    path.write_text(f"{head}{BEGIN}\n{markdown(results)}\n{END}{tail}", "utf-8")


def markdown(results: list[dict[str, Any]]) -> str:
    """A section for each place where it was measured."""
    return "\n\n".join(part for result in results for part in _place(result))


def _place(result: dict[str, Any]) -> list[str]:
    machine = result["machine"]
    names = "; ".join(f"{NAMES.get(name, name)}: {version}" for name, version in result["versions"].items())
    missing = "".join(f"; without {name}: {cause}" for name, cause in result["missing"].items())
    facts = f"Linux {machine['kernel']}, {machine['cpus']} cpus, load {machine['load'][0]:.1f} before."
    parts = [f"### {machine['cgroups']}", f"{facts} {names}{missing}."]
    for kind, title in KINDS.items():
        if kind in result:
            rounds = next(iter(next(iter(result[kind].values())).values()))["rounds"]
            parts += [f"{title}, {rounds} rounds:", _times(result[kind])]
    if "list" in result:
        parts += ["100 containers alive:", _times(result["list"])]
    if "crowd" in result:
        parts += ["Memory, limits, many:", _crowd(result["crowd"])]
    return [*parts, f"Processes left behind: {len(result['left'])}."]


def _times(summary: Summary) -> str:
    """Verbs down, runtimes across, then the ratios; one that misses its goal is bold."""
    first, *others = list(summary)
    heads = [NAMES.get(name, name) for name in summary]
    pairs = [(first, name) for name in others if name in GOALS]
    if "pyrunc-pip" in summary and "runc" in summary:
        pairs.append(("pyrunc-pip", "runc"))
    heads += [f"{NAMES.get(one, one)} / {other}" for one, other in pairs]
    rows = [["ms: median (quartiles), CPU", *heads], ["---"] * (len(heads) + 1)]
    for verb in summary[first]:
        cells = [summary[name][verb] for name in summary]
        row = [f"{cell['ms']:.1f} ({cell['q1']:.1f} to {cell['q3']:.1f}), {cell['cpu']:.1f}" for cell in cells]
        rows.append([verb, *row, *(_ratio(summary, verb, one, other) for one, other in pairs)])
    return _lines(rows)


def _ratio(summary: Summary, verb: str, one: str, other: str) -> str:
    ratio = summary[one][verb]["ms"] / summary[other][verb]["ms"]
    goal = ({"life": 1.0} if one == "pyrunc-pip" else GOALS[other]).get(verb)
    return f"{ratio:.2f}" if goal is None or round(ratio, 2) <= goal else f"**{ratio:.2f}**"


def _crowd(crowd: dict[str, dict[str, float]]) -> str:
    things = next(iter(crowd.values()))
    rows = [["", *(NAMES.get(name, name) for name in crowd)], ["---"] * (len(crowd) + 1)]
    rows += [[thing, *(f"{crowd[name][thing]:,.{_digits(thing)}f}" for name in crowd)] for thing in things]
    return _lines(rows)


def _digits(thing: str) -> int:
    return 2 if thing.endswith(", s") else 1 if thing.endswith("ms") else 0


def _lines(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
