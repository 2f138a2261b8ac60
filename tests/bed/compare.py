# SPDX-License-Identifier: Apache-2.0
"""The tests of engines with each runtime, in one machine, and docs/engines/compatibility.md from what they say.

    python -m tests.bed.compare [TEST...]    as `make compatibility` does; tests/vm unless tests are named

The reports stay in .vm/report. That a test fails is no error here: it is what the table is for.
"""

import os
import shlex
import sys
from collections.abc import Sequence

from tests.bed import build
from tests.bed.machine import Machine, MachineError, running
from tests.bed.report import REPORT
from tests.vm.compatibility import read, text

RUNTIMES = ("pyrunc", "runc", "crun")
PAGE = build.CHECKOUT / "docs/engines/compatibility.md"
VERSIONS = """\
. /etc/os-release; echo "$PRETTY_NAME with Linux $(uname -r | cut -d- -f1)"
dpkg-query -W -f '${Package} ${Version}\\n' docker.io podman containerd runc crun | sed 's/[+~].*//'
"""


def main(tests: Sequence[str]) -> None:
    build.build()
    REPORT.mkdir(exist_ok=True)
    with running("compatibility", os.environ) as machine:
        place = ", ".join(machine.ok(VERSIONS).split("\n")[:-1])
        reports = [(runtime, _report(machine, runtime, tests)) for runtime in RUNTIMES]
    PAGE.write_text(text(read(reports), list(RUNTIMES), place))


def _report(machine: Machine, runtime: str, tests: Sequence[str]) -> str:
    """The file of one runtime's report."""
    words = [f"{build.PREFIX}/bin/python", "-m", "pytest", "--quiet", "--junitxml=/root/junit.xml"]
    words += ["-p", "no:cacheprovider", "--basetemp=/var/tmp/pytest", *(tests or ["tests/vm"])]
    with build.step(f"engines with {runtime}"):
        machine.call(f". /root/.profile; ENGINE_RUNTIME={runtime} {shlex.join(words)}")
    file = REPORT / f"engines-{runtime}.xml"
    file.write_text(machine.ok("cat /root/junit.xml && rm /root/junit.xml"))
    return str(file)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (build.BuildError, MachineError) as error:
        sys.exit(f"vm: {error}")
