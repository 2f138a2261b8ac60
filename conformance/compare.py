# SPDX-License-Identifier: Apache-2.0
"""python -m conformance.compare NAME=RUN.json …: runs (`--format json`) side by side, for docs/conformance.md."""

import json
import pathlib
import re
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
lacks is named where a requirement is skipped. The exit status is 1 when a MUST fails. From another directory:
`PYTHONPATH=/path/of/the/checkout`. In an emulated machine: `--patience 10`.

- Each requirement is a row of `conformance/requirements.tsv`, in our words: level, the version of the specification
  that first says it, and why it cannot be tested from outside where that is so.
- What must be an error is tried as well, next to a good container that must run; after each, no process, mount, cgroup
  or state may be left.
- A requirement that is newer than the version a runtime claims (`features`, ociVersionMax) is passed when it is met and
  skipped when it is not.
- The text of the specification decides, even where all runtimes agree on something else. Two such cases pyrunc fails on
  purpose. SPEC-365, a MUST: `delete` of a container that was created and never started is to be an error, but engines
  clean up with it, as runc ends such a container. SPEC-130, a SHOULD: the umask of the caller is to be left, but then
  the files of a container would depend on how an engine was started; it is 022 as with runc and crun.

[OCI runtime specification]: https://github.com/opencontainers/runtime-spec
"""

Run = tuple[str, dict[str, Any]]

PLACES = {
    "v1": 'a host with cgroup v1 and cgroup2 side by side, which crun refuses ("cgroups in hybrid mode not supported")',
    "cgroup2": "the same host where a mount namespace shows cgroup2 alone (`tests/v2view`), with few controllers",
    "VM": "Debian 13 with systemd and every controller of cgroup2 (`make vm`)",
    "rootless": "an ordinary user without cgroups of his own",
}
"""What the words of a run's name say."""

SIGNS = {PASS: "pass", FAIL: "**fail**", SKIP: "skip", UNTESTABLE: "-"}


def load(word: str) -> Run:
    """("runc, v1", the run) of "runc, v1=runc.json": the runtime, a comma, and where it ran."""
    name, _, path = word.partition("=")
    return name, json.loads(pathlib.Path(path).read_text("utf-8"))


def row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def places(runs: list[Run]) -> list[str]:
    """Where they were made."""
    words = {word for name, _ in runs for word in name.replace(",", "").split()}
    return [f"- {word}: {text}" for word, text in PLACES.items() if word in words]


def sums(runs: list[Run]) -> list[str]:
    """What each run counted."""
    lines = [row("run", "version", "host", *(f"{level} passed / failed / skipped" for level in LEVELS))]
    lines.append("|---" * (3 + len(LEVELS)) + "|")
    for name, run in runs:
        counts = [run["counts"][level] for level in LEVELS]
        lines.append(
            row(name, run["version"], run["host"], *(f"{one[PASS]} / {one[FAIL]} / {one[SKIP]}" for one in counts))
        )
    return lines


def side_by_side(runs: list[Run]) -> list[str]:
    """A row for each requirement, a column for each run."""
    found = [{one["id"]: one["verdict"] for one in run["results"]} for _, run in runs]
    lines = [row("id", "level", "requirement", *(name for name, _ in runs)), "|---" * (3 + len(runs)) + "|"]
    for id, one in requirements.table().items():
        lines.append(row(id, one.level, one.text, *(SIGNS[verdicts[id]] for verdicts in found)))
    return lines


def failures(runs: list[Run]) -> list[str]:
    """What each runtime did wrong, in which of its runs; the words are those of the first of them."""
    lines = []
    for runtime in dict.fromkeys(name.partition(",")[0] for name, _ in runs):
        own = [(name.partition(", ")[2], run) for name, run in runs if name.partition(",")[0] == runtime]
        lines += ["", f"### {runtime}", ""]
        before = len(lines)
        for id, one in requirements.table().items():
            wrong = {name: result["detail"] for name, run in own if (result := _of(run, id))["verdict"] == FAIL}
            if wrong:
                where = "" if len(wrong) == len(own) else f" ({'; '.join(wrong)})"
                lines.append(f"- {id} {one.level}{where}: `{plain(next(iter(wrong.values())))}`")
        if len(lines) == before:
            lines.append("Nothing.")
    return lines


def _of(run: dict[str, Any], id: str) -> dict[str, Any]:
    """What a run says of a requirement."""
    return next(one for one in run["results"] if one["id"] == id)


def skips(runs: list[Run]) -> list[str]:
    """Why something was skipped, run by run."""
    lines = []
    for name, run in runs:
        reasons: dict[str, list[int]] = {}
        for one in run["results"]:
            if one["verdict"] == SKIP:
                reason = one["detail"].partition(":")[0] if one["detail"].startswith("new in") else plain(one["detail"])
                reasons.setdefault(reason, []).append(int(one["id"][5:]))
        lines += ["", f"### {name}", "", *(f"- {reason}: {ranges(numbers)}" for reason, numbers in reasons.items())]
    return lines


def ranges(numbers: list[int]) -> str:
    """SPEC-021, SPEC-023 to SPEC-025."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    names = [[f"SPEC-{number:03}" for number in part] for part in parts]
    return ", ".join(one[0] if len(one) == 1 else f"{one[0]} to {one[-1]}" for one in names)


def plain(text: str) -> str:
    """Without what differs from run to run, and what would end the code span."""
    text = re.sub(r'time="[^"]*" (level=\w+ )?', "", text.replace("`", "'"))
    words = ["…" if word.count("conformance-") and "/" in word else word for word in text.split()]
    return " ".join(words)[:300]


def document(runs: list[Run]) -> str:
    parts = [INTRO, "## The runs", "", *places(runs), "", *sums(runs), "", "## What failed", *failures(runs), ""]
    parts += ["## What was skipped", *skips(runs), ""]
    untestable = [one for one in requirements.table().values() if one.reason]
    parts += ["## What no test can show", ""]
    parts += [f"- {one.id} {one.level} {one.text}: {one.reason}" for one in untestable]
    parts += ["", "## Each requirement", "", *side_by_side(runs)]
    return "\n".join(parts)


if __name__ == "__main__":
    print(document([load(word) for word in sys.argv[1:]]))
