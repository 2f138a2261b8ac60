# SPDX-License-Identifier: Apache-2.0
"""The conformance suite itself, without a container: its table, its sums, its forms."""

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance import host, report, requirements
from conformance.__main__ import selection
from conformance.compare import document
from conformance.patch import combine, merge
from conformance.requirements import FAIL, PASS, SKIP
from conformance.worker import Finding

TABLE = requirements.table()
CASES = requirements.load()
FOLDER = Path(requirements.__file__).parent
ABOUT = {"runtime": "/usr/bin/x", "version": "x 1", "host": "Linux", "seconds": 1.5}


def outcome(*said: tuple[str, str], claimed: tuple[int, ...] = (), id: str = "SPEC-011") -> report.Outcome:
    findings = [Finding(f"case{number}", [(id, *one)], 0.1) for number, one in enumerate(said)]
    return report.outcomes({id: TABLE[id]}, findings, claimed)[0]


def test_every_requirement_is_there_once() -> None:
    """398 rows in order, each with a level, a section and a text."""
    assert list(TABLE) == [f"SPEC-{number:03}" for number in range(1, 399)]
    assert {row.level for row in TABLE.values()} == {"MUST", "SHOULD", "MAY"}
    assert {row.since for row in TABLE.values()} == {"1.0", "1.1", "1.2", "1.2.1", "1.3"}
    assert all(row.text and re.fullmatch(r"[a-z-]+\.md(#.+)?", row.section) for row in TABLE.values())


def test_each_has_a_case_or_a_reason() -> None:
    """Never both, never neither."""
    shown = {id for case in CASES.values() for id in case.ids}
    assert shown <= set(TABLE)
    assert {id for id, row in TABLE.items() if row.reason} == set(TABLE) - shown


def test_needs_the_standard_library_only() -> None:
    """Other projects run it from a checkout: no package, and nothing of pyrunc."""
    imported = {
        name.split(".")[0]
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - {"conformance"} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ([(PASS, ""), (PASS, "")], PASS),
        ([(PASS, ""), (FAIL, "no")], FAIL),
        ([(SKIP, "no swap"), (PASS, "")], PASS),
        ([(SKIP, "no swap")], SKIP),
        ([], SKIP),
    ],
    ids=str,
)
def test_one_failure_outweighs_all(said: list[tuple[str, str]], verdict: str) -> None:
    assert outcome(*said).verdict == verdict


def test_a_requirement_newer_than_the_claim_is_not_held_against_it() -> None:
    newer = "SPEC-288"
    assert outcome((FAIL, "no"), claimed=(1, 2), id=newer).verdict == SKIP
    assert outcome((PASS, ""), claimed=(1, 2), id=newer).verdict == PASS
    assert outcome((FAIL, "no"), claimed=(1, 3), id=newer).verdict == FAIL
    assert outcome((FAIL, "no"), id=newer).verdict == FAIL


def test_an_untestable_one_says_why() -> None:
    found = outcome(id="SPEC-107")
    assert (found.verdict, found.detail) == ("-", TABLE["SPEC-107"].reason)


@pytest.mark.parametrize(
    ("text", "expected"), [("1.3.0", (1, 3)), ("1.1.0+dev", (1, 1)), ("1.0.2-dev", (1, 0)), ("", ()), ("None", ())]
)
def test_version(text: str, expected: tuple[int, ...]) -> None:
    assert report.version(text) == expected


def test_forms() -> None:
    """Each form names the requirement, its verdict and the reason."""
    rows = [outcome((PASS, "")), outcome((FAIL, "a | b")), outcome((SKIP, "no swap"))]
    assert report.tap(rows, ABOUT).splitlines()[3].startswith("ok 1 - SPEC-011 MUST")
    assert 'message: "a | b"' in report.tap(rows, ABOUT)
    assert "# SKIP no swap" in report.tap(rows, ABOUT)
    assert json.loads(report.as_json(rows, ABOUT))["counts"]["MUST"] == {"pass": 1, "fail": 1, "skip": 1, "-": 0}
    assert "fail: a \\| b" in report.md(rows, ABOUT)
    assert "      a | b" in report.table(rows, ABOUT)
    assert all(len(line.split(" | ")) == 4 for line in report.md(rows, ABOUT).splitlines() if "SPEC-" in line)


def test_selection() -> None:
    """An id, a number, a range; all without any; nothing that is not there."""
    assert list(selection(["SPEC-011", "21-23", "7"], TABLE)) == [f"SPEC-{n:03}" for n in (7, 11, 21, 22, 23)]
    assert len(selection([], TABLE)) == 398
    for wrong in ("399", "x", "SPEC-"):
        with pytest.raises(SystemExit):
            selection([wrong], TABLE)


def test_patches() -> None:
    """Merged object by object; a list is replaced or appended to; None removes."""
    base = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert merge(base, {"a": {"+c": [2]}, "d": None}) == {"a": {"b": 1, "c": [1, 2]}}
    assert base == {"a": {"b": 1, "c": [1]}, "d": 2}
    assert merge({"a": [1]}, {"a": {"b": 2}}) == {"a": {"b": 2}}
    assert combine({"a": {"+c": [1]}}, {"a": {"+c": [2], "b": 3}}) == {"a": {"+c": [1, 2], "b": 3}}


def test_runs_side_by_side() -> None:
    """A document with a column for each run, and what failed in its own words."""
    run = json.loads(
        report.as_json(report.outcomes(TABLE, [Finding("x", [("SPEC-011", FAIL, "writable")], 0)], ()), ABOUT)
    )
    text = document([("one, v1", run), ("two, v1", run)])
    assert "- SPEC-011 MUST: `writable`" in text
    assert text.count("`writable`") == 2
    assert "| SPEC-011 | MUST | " in text
    assert text.count("**fail** | **fail** |") == 1


def test_runs_of_one_runtime_are_told_together() -> None:
    """What failed in some of them names them; what was skipped has its reason, and neighbours are a range."""

    def run(*said: tuple[str, str, str]) -> dict[str, Any]:
        findings = [Finding("x", [one], 0) for one in said]
        made: dict[str, Any] = json.loads(report.as_json(report.outcomes(TABLE, findings, ()), ABOUT))
        return made

    wrong = ("SPEC-011", FAIL, 'time="2026-01-01T00:00:00Z" level=error msg="writable"')
    skipped = [(f"SPEC-{number:03}", SKIP, "needs root") for number in (12, 13, 15)]
    text = document([("x, v1", run(wrong, ("SPEC-001", FAIL, "a"))), ("x, v2", run(*skipped, ("SPEC-001", FAIL, "b")))])
    assert '- SPEC-011 MUST (v1): `msg="writable"`' in text
    assert "- SPEC-001 MUST: `a`" in text
    assert "- needs root: SPEC-012 to SPEC-013, SPEC-015" in text


def test_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit of time is longer on a slow machine."""
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    assert host.deadline(5) == 105
    monkeypatch.setattr(host, "patience", 10.0)
    assert host.deadline(5) == 150
    limits = [
        path.name for path in FOLDER.glob("*.py") if re.search(r"monotonic\(\) \+ (?!seconds)", path.read_text("utf-8"))
    ]
    assert limits == []
