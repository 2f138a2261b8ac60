# SPDX-License-Identifier: Apache-2.0
"""make bench without a container: medians, ratios, goals, the table, the picture, the page."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.bench import page, picture, report
from tests.bench.runtimes import Runtime, Sample

ROOT = Path(__file__).parent.parent
TIMES = {"pyrunc": 10.0, "pyrunc-pip": 46.0, "runc": 39.0, "crun": 5.0}
VERBS = ("run", "create", "start", "state", "exec", "kill", "delete", "life")


@pytest.fixture
def summary() -> report.Summary:
    """Each verb of each runtime took a tenth less, the time above, and twice as much: the middle one is the median."""
    return report.summary(
        {
            name: {verb: [Sample(ms * factor, ms / 2, 0) for factor in (0.9, 1.0, 2.0)] for verb in VERBS}
            for name, ms in TIMES.items()
        }
    )


@pytest.fixture
def result(summary: report.Summary) -> dict[str, Any]:
    machine = {"cgroups": "cgroup2", "kernel": "6.1", "cpus": 2, "load": [0.25, 0, 0]}
    crowd = {name: {"100 runs one after another, s": 1.234, "least pids limit": 1} for name in TIMES}
    versions = dict.fromkeys(TIMES, "1.0")
    return {"machine": machine, "versions": versions, "missing": {}, "small": summary, "crowd": crowd, "left": []}


def test_medians_quartiles_and_ratios(summary: report.Summary) -> None:
    """One slow round moves no median."""
    cell = summary["pyrunc"]["create"]
    assert (cell["ms"], cell["rounds"], cell["cpu"]) == (10.0, 3, 5.0)
    assert cell["q1"] < cell["ms"] < cell["q3"]
    assert report.ratios(summary)["runc"]["create"] == 0.256
    assert report.ratios(summary)["crun"]["create"] == 2.0


def test_a_goal_that_is_not_met_is_marked(summary: report.Summary) -> None:
    (line,) = [line for line in report.lines("title", summary) if line.startswith("create") and "(" in line]
    assert line.split()[-3:] == ["0.22", "0.26", "2.00!"]


def test_the_goals_are_for_verbs_that_are_measured() -> None:
    assert {verb for goals in report.GOALS.values() for verb in goals} <= set(VERBS)


def test_the_page_has_each_verb_with_its_spread_and_the_ratios(result: dict[str, Any]) -> None:
    """Bold: dist/pyrunc is twice crun, and the pip form's life is longer than runc's."""
    lines = page.markdown([result]).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert rows[0][-3:] == ["dist/pyrunc / runc", "dist/pyrunc / crun", "pip form / runc"]
    assert [row[0] for row in rows[2:10]] == list(VERBS)
    assert rows[3] == [
        "create",
        *(f"{ms:.1f} ({0.9 * ms:.1f} to {2 * ms:.1f}), {ms / 2:.1f}" for ms in TIMES.values()),
        *("0.26", "**2.00**", "1.18"),
    ]
    assert rows[9][-1] == "**1.18**"
    assert rows[12:] == [["100 runs one after another, s", *["1.23"] * 4], ["least pids limit", *["1"] * 4]]
    assert lines[-1] == "Processes left behind: 0."


def test_a_peer_that_is_missing_is_named(result: dict[str, Any]) -> None:
    """And has no column."""
    for part in ("small", "versions", "crowd"):
        del result[part]["crun"]
    result["missing"]["crun"] = "it is not here"
    text = page.markdown([result])
    assert "without crun: it is not here." in text
    assert "/ crun" not in text


def test_only_what_is_between_the_marks_is_written(tmp_path: Path, result: dict[str, Any]) -> None:
    path = tmp_path / "speed.md"
    path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nbehind\n", "utf-8")
    page.write(path, [result])
    once = path.read_text("utf-8")
    page.write(path, [result])
    assert path.read_text("utf-8") == once
    assert once.startswith(f"before\n{page.BEGIN}\n### cgroup2\n")
    assert once.endswith(f"Processes left behind: 0.\n{page.END}\nbehind\n")
    path.write_text("without marks", "utf-8")
    with pytest.raises(ValueError, match="has no line"):
        page.write(path, [result])
    assert path.read_text("utf-8") == "without marks"


def test_our_page_has_the_marks() -> None:
    text = (ROOT / "docs/speed.md").read_text("utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1


def test_the_picture_is_for_black_and_white(summary: report.Summary) -> None:
    """A bar, its spread and its figure for each verb of each runtime; greys and patterns, no colour."""
    text = picture.svg("a < b", summary)
    root = ET.fromstring(text)
    name = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{name}title") == "a < b"
    assert len([path for path in root.iter(f"{name}path") if path.get("stroke") == "#888"]) == len(VERBS) * len(TIMES)
    fills = {rect.get("fill") for rect in root.iter(f"{name}rect") if rect.get("stroke") == "#222"}
    assert len(fills) == len(TIMES)
    for colour in re.findall(r'(?:fill|stroke)="(#\w+)"', text):
        assert len(set(colour[1:])) == 1, colour
    width = float(root.get("width", "0"))
    assert all(
        float(rect.get("x", "0")) + float(rect.get("width", "0")) <= width
        for rect in root.iter(f"{name}rect")
        if "%" not in rect.get("width", "")
    )


def test_a_call_that_fails_says_why(tmp_path: Path) -> None:
    """In the runtime's own words: figures of calls that did nothing would be good ones."""
    program = tmp_path / "runtime"
    program.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n", "ascii")
    program.chmod(0o755)
    with pytest.raises(SystemExit, match="other state x: status 3: no such thing"):
        Runtime("other", str(program), tmp_path).must("state", "x")
