# SPDX-License-Identifier: Apache-2.0
"""The tests in the machine, and what they said: shown while they run, and brought back as one report."""

import shlex
import subprocess
import sys
from collections.abc import Sequence

from tests.bed import build
from tests.bed.machine import Machine

REPORT = build.FOLDER / "report"
TIMEOUT = 300
"""Seconds for a test that says nothing else: ten times slower than where 60 are enough, but for its waits."""
DEFAULT = ("tests/vm", "tests/containers")
"""What runs when no test is named."""


def run_tests(machine: Machine, tests: Sequence[str]) -> int:
    """The exit status of pytest."""
    words = [
        *(f"{build.PREFIX}/bin/python", "-m", "pytest", "--junitxml=/root/junit.xml", "-o", "junit_family=xunit2"),
        *("-p", "no:cacheprovider", "--durations=40", "--durations-min=5", "-o", f"timeout={TIMEOUT}"),
        *(tests or DEFAULT),
    ]
    shutil_free = f". /root/.profile; export PYRUNC=/usr/local/bin/pyrunc; exec {shlex.join(words)} 2>&1"
    REPORT.mkdir(exist_ok=True)
    command = machine.argv(shutil_free)
    with (
        (REPORT / "pytest.txt").open("wb") as text,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
            text.write(line)
        status = process.wait()
    (REPORT / "junit.xml").write_text(machine.ok("cat /root/junit.xml"))
    print(f"vm: the report is {REPORT}/junit.xml and pytest.txt")
    return status
