# SPDX-License-Identifier: Apache-2.0
"""The outcome of a run, by requirement, and its four forms: table, TAP version 13, JSON, Markdown."""

import json
from typing import Any

from conformance.requirements import FAIL, PASS, SKIP, Requirement
from conformance.worker import Finding

UNTESTABLE = "-"
LEVELS = ("MUST", "SHOULD", "MAY")
_WORSE = {FAIL: 2, PASS: 1, SKIP: 0}


class Outcome:
    """One requirement. verdict: pass, fail, skip or - (no test can show it); detail: why it is not pass."""

    def __init__(self, requirement: Requirement, verdict: str, detail: str, cases: list[str]) -> None:
        self.requirement = requirement
        self.verdict = verdict
        self.detail = detail
        self.cases = cases


def outcomes(table: dict[str, Requirement], findings: list[Finding], claimed: tuple[int, ...]) -> list[Outcome]:
    """What all cases together say of each requirement: one failure fails it, one success outweighs what was skipped.

    A requirement newer than the version of the spec that the runtime claims is skipped when it is not met.
    """
    return [_outcome(table[id], findings, claimed) for id in table]


def _outcome(row: Requirement, findings: list[Finding], claimed: tuple[int, ...]) -> Outcome:
    if row.reason:
        return Outcome(row, UNTESTABLE, row.reason, [])
    said = [(v, text, finding.case) for finding in findings for id, v, text in finding.verdicts if id == row.id]
    if not said:
        return Outcome(row, SKIP, "no case came to it", [])
    worst = max(said, key=lambda one: _WORSE[one[0]])[0]
    details = list(dict.fromkeys(text for verdict, text, _ in said if verdict == worst and text))
    detail = "; ".join(details[:3]) + (f" … and {len(details) - 3} more" if len(details) > 3 else "")
    cases = list(dict.fromkeys(case for verdict, _, case in said if verdict == worst))
    if worst == FAIL and claimed and version(row.since) > claimed:
        claim = ".".join(map(str, claimed))
        return Outcome(row, SKIP, f"new in {row.since}, the runtime claims {claim}: {detail}", cases)
    return Outcome(row, worst, detail, cases)


def version(text: str) -> tuple[int, ...]:
    """(1, 1) of "1.1.0+dev": only the minor release says what a runtime can know; () of nothing."""
    parts = text.split("-", maxsplit=1)[0].split("+", maxsplit=1)[0].split(".")[:2]
    return tuple(int(part) for part in parts if part.isdecimal())


def counts(rows: list[Outcome]) -> dict[str, dict[str, int]]:
    """How many of each level have each verdict."""
    return {
        level: {
            verdict: sum(row.requirement.level == level and row.verdict == verdict for row in rows)
            for verdict in (PASS, FAIL, SKIP, UNTESTABLE)
        }
        for level in LEVELS
    }


def summary(rows: list[Outcome]) -> str:
    """One line for each level."""
    lines = []
    for level, by in counts(rows).items():
        lines.append(
            f"{level:6} {by[PASS]:4} passed {by[FAIL]:4} failed {by[SKIP]:4} skipped {by[UNTESTABLE]:4} untestable"
        )
    return "\n".join(lines)


def table(rows: list[Outcome], about: dict[str, Any]) -> str:
    """What is not passed, with its reason, and the sums."""
    lines = [f"{about['runtime']}: {about['version']}", f"{about['host']}", ""]
    for row in rows:
        if row.verdict != PASS:
            one = row.requirement
            lines.append(f"{row.verdict:4}  {one.id} {one.level:6} {one.text}")
            lines.append(f"      {row.detail}")
    return "\n".join([*lines, "", summary(rows), f"{about['seconds']:.1f} s"])


def tap(rows: list[Outcome], about: dict[str, Any]) -> str:
    """TAP version 13."""
    lines = ["TAP version 13", f"1..{len(rows)}", f"# {about['runtime']}: {about['version']}; {about['host']}"]
    for number, row in enumerate(rows, 1):
        word = "not ok" if row.verdict == FAIL else "ok"
        skip = f" # SKIP {row.detail}" if row.verdict in {SKIP, UNTESTABLE} else ""
        text = row.requirement.text.replace("#", "\\#")
        lines.append(f"{word} {number} - {row.requirement.id} {row.requirement.level} {text}{skip}")
        if row.verdict == FAIL:
            lines += ["  ---", f"  message: {json.dumps(row.detail)}", f"  cases: {json.dumps(row.cases)}", "  ..."]
    return "\n".join(lines)


def as_json(rows: list[Outcome], about: dict[str, Any]) -> str:
    """One object: what was tested, the sums, and every requirement; read by conformance.compare."""
    results = [
        {
            "id": row.requirement.id,
            "section": row.requirement.section,
            "level": row.requirement.level,
            "verdict": row.verdict,
            "detail": row.detail,
            "cases": row.cases,
        }
        for row in rows
    ]
    return json.dumps({**about, "counts": counts(rows), "results": results}, indent=1, ensure_ascii=False)


def md(rows: list[Outcome], about: dict[str, Any]) -> str:
    """A table of every requirement."""
    lines = [
        f"{about['version']} on {about['host']}",
        "",
        "| id | level | requirement | verdict |",
        "|---|---|---|---|",
    ]
    for row in rows:
        detail = f": {row.detail}" if row.verdict != PASS else ""
        cells = (row.requirement.id, row.requirement.level, row.requirement.text, f"{row.verdict}{detail}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join([*lines, "", "```", summary(rows), "```"])


FORMS = {"table": table, "tap": tap, "json": as_json, "md": md}
