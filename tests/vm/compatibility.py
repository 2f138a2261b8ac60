# SPDX-License-Identifier: Apache-2.0
"""Writes the table of docs/engines/compatibility.md from reports of pytest: engine, feature, and how each runtime did.

    python -m tests.vm.compatibility 'Debian 13' pyrunc=pyrunc.xml runc=runc.xml crun=crun.xml

writes it to stdout; `make compatibility` runs the tests, too. The first word says where they ran. The reports are those
of `ENGINE_RUNTIME=runc pytest --junitxml=runc.xml tests/vm`. There may be several for a runtime; of a test that is in
two of them the later counts.
"""

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping

ENGINES = {
    "test_docker_": "Docker",
    "test_podman_": "Podman",
    "test_checkpoint": "Podman",
    "test_containerd_": "containerd (ctr)",
    "test_cri_": "Kubernetes (CRI of containerd)",
}
WORDS = {"passed": "yes", "failed": "**no**"}
HEAD = """\
# What works with which engine

Written from the reports of `tests/vm`, whose tests drive each engine, once with each runtime; here on
{place}.

A cell is a test that ran: yes, it passed; **no**, it failed. An empty cell was not run. The name of a row is its
test's. `make compatibility` runs all of them in the virtual machine of `make vm`, and writes this page anew.
"""

Table = dict[str, dict[str, dict[str, str]]]


def read(reports: Iterable[tuple[str, str]]) -> Table:
    """Engine -> feature -> runtime -> a word, from pairs of runtime and file."""
    table: Table = {}
    for runtime, file in reports:
        failed: set[tuple[str, str]] = set()
        for case in ET.parse(file).iter("testcase"):
            engine = engine_of(case.get("classname", "").rpartition(".")[2])
            outcome = {child.tag for child in case}
            if not engine or "skipped" in outcome:
                continue
            name = feature(case.get("name", ""))
            if outcome & {"failure", "error"}:  # an error of a tear-down is a second row of its test
                failed.add((engine, name))
            row = table.setdefault(engine, {}).setdefault(name, {})
            row[runtime] = WORDS["failed" if (engine, name) in failed else "passed"]
    return table


def engine_of(module: str) -> str:
    """The engine that a module of tests drives; "" for one that drives none."""
    return next((name for start, name in ENGINES.items() if module.startswith(start)), "")


def feature(name: str) -> str:
    """test_exec_as_user[rootless] -> "exec as user (rootless)"."""
    words, _, parameter = name.removeprefix("test_").partition("[")
    return words.replace("_", " ") + (f" ({parameter[:-1]})" if parameter else "")


def text(table: Table, runtimes: list[str], place: str) -> str:
    lines = [HEAD.format(place=place)]
    for engine in dict.fromkeys(ENGINES.values()):
        if rows := table.get(engine):
            lines += [f"## {engine}", "", f"| feature | {' | '.join(runtimes)} |", "|---" * (len(runtimes) + 1) + "|"]
            lines += [
                f"| {name} | {' | '.join(row.get(word, '') for word in runtimes)} |" for name, row in rows.items()
            ]
            lines += [f"| *of these* | {' | '.join(total(rows, word) for word in runtimes)} |", ""]
    return "\n".join(lines).rstrip() + "\n"


def total(rows: Mapping[str, Mapping[str, str]], runtime: str) -> str:
    """How many of those that ran passed."""
    seen = [row[runtime] for row in rows.values() if runtime in row]
    return f"{seen.count(WORDS['passed'])} of {len(seen)}"


if __name__ == "__main__":
    pairs = [(word.partition("=")[0], word.partition("=")[2]) for word in sys.argv[2:]]
    sys.stdout.write(text(read(pairs), list(dict(pairs)), sys.argv[1]))
