# SPDX-License-Identifier: Apache-2.0
"""python -m conformance.compare NAME=RUN.json …: runs (`--format json`) side by side, for docs/conformance.md."""

import json
import pathlib
import sys
from typing import Any

from conformance import requirements
from conformance.report import LEVELS, UNTESTABLE
from conformance.requirements import FAIL, PASS, SKIP

INTRO = """\
# Conformance

`conformance/` is a suite of the 398 requirements that the [OCI runtime specification] (1.0 to 1.3) makes of a runtime
on Linux. Any runtime with runc's command line (`create`, `start`, `state`, `kill`, `delete`, `features`) can be tested:

    python3 -m conformance --runtime /usr/sbin/runc               # or make conformance RUNTIME=/usr/sbin/runc
    python3 -m conformance --runtime ./youki --only SPEC-011 21-79 --format tap
    python3 -m conformance --runtime 'crun --cgroup-manager=cgroupfs' --format json > crun.json

It needs Python 3.11, a static busybox, and no package; with a C compiler (or `--guest`, the program built elsewhere
from `conformance/guest.c`) it sees more. It runs as root or as an ordinary user, on cgroup v1 and v2; what a machine
lacks is named where a requirement is skipped. The exit status is 1 when a MUST fails.

- Each requirement is a row of `conformance/requirements.tsv`, in our words: level, the version of the specification
  that first says it, and why it cannot be tested from outside where that is so.
- What must be an error is tried as well, next to a good container that must run; after each, no process, mount, cgroup
  or state may be left.
- A requirement that is newer than the version a runtime claims (`features`, ociVersionMax) is passed when it is met and
  skipped when it is not.
- The text of the specification decides, even where all runtimes agree on something else: the umask of the caller
  (SPEC-130) and `delete` of a container that was never started (SPEC-365) are such cases.

[OCI runtime specification]: https://github.com/opencontainers/runtime-spec
"""

SIGNS = {PASS: "pass", FAIL: "**fail**", SKIP: "skip", UNTESTABLE: "-"}


def load(word: str) -> tuple[str, dict[str, Any]]:
    """("runc", the run) of "runc=runc.json"."""
    name, _, path = word.partition("=")
    return name, json.loads(pathlib.Path(path).read_text("utf-8"))


def row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def sums(runs: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """What each run counted."""
    lines = [row("run", "version", "host", *(f"{level} passed / failed / skipped" for level in LEVELS))]
    lines.append("|---" * (3 + len(LEVELS)) + "|")
    for name, run in runs:
        counts = [run["counts"][level] for level in LEVELS]
        lines.append(
            row(name, run["version"], run["host"], *(f"{one[PASS]} / {one[FAIL]} / {one[SKIP]}" for one in counts))
        )
    return lines


def side_by_side(runs: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """A row for each requirement, a column for each run."""
    found = [{one["id"]: one["verdict"] for one in run["results"]} for _, run in runs]
    lines = [row("id", "level", "requirement", *(name for name, _ in runs)), "|---" * (3 + len(runs)) + "|"]
    for id, one in requirements.table().items():
        lines.append(row(id, one.level, one.text, *(SIGNS[verdicts[id]] for verdicts in found)))
    return lines


def failures(runs: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """What each run found wrong."""
    lines = []
    for name, run in runs:
        lines += ["", f"### {name}", ""]
        wrong = [one for one in run["results"] if one["verdict"] == FAIL]
        lines += [f"- {one['id']} {one['level']}: `{plain(one['detail'])}`" for one in wrong] or ["Nothing."]
    return lines


def plain(text: str) -> str:
    """Without what differs from run to run, and what would end the code span."""
    words = ["…" if word.count("conformance-") and "/" in word else word for word in text.replace("`", "'").split()]
    return " ".join(words)[:300]


def document(runs: list[tuple[str, dict[str, Any]]]) -> str:
    parts = [INTRO, "## The runs", "", *sums(runs), "", "## What failed", *failures(runs), ""]
    untestable = [one for one in requirements.table().values() if one.reason]
    parts += ["## What no test can show", ""]
    parts += [f"- {one.id} {one.level} {one.text}: {one.reason}" for one in untestable]
    parts += ["", "## Each requirement", "", *side_by_side(runs)]
    return "\n".join(parts)


if __name__ == "__main__":
    print(document([load(word) for word in sys.argv[1:]]))
