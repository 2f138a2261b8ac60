# SPDX-License-Identifier: Apache-2.0
"""The tests of engines with each runtime, in one machine, and docs/engines/compatibility.md from what they say.

    python -m tests.bed.compare [TEST...]    as `make compatibility` does; without a TEST all engines

The reports stay in .vm/report, each as soon as its runtime is through. That a test fails is no error here: it is what
the table is for.
"""

import os
import shlex
import sys
from collections.abc import Sequence

from tests.bed import build
from tests.bed.machine import Machine, MachineError, running
from tests.bed.report import REPORT
from tests.vm.compatibility import engine_of, read, text

RUNTIMES = ("pyrunc", "runc", "crun")
PAGE = build.CHECKOUT / "docs/engines/compatibility.md"
VERSIONS = """\
. /etc/os-release; echo "$PRETTY_NAME with Linux $(uname -r | cut -d- -f1)"
dpkg-query -W -f '${Package} ${Version}\\n' \\
    docker.io podman buildah containerd runc crun criu systemd | sed 's/[+~].*//'
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
    words += ["-p", "no:cacheprovider", "--basetemp=/var/tmp/pytest", *(tests or _engines())]
    with build.step(f"engines with {runtime}"):
        done = machine.call(f". /root/.profile; rm -f /root/junit.xml; ENGINE_RUNTIME={runtime} {shlex.join(words)}")
    print(done.stdout.decode(errors="replace").rstrip().rpartition("\n")[2], flush=True)
    file = REPORT / f"engines-{runtime}.xml"
    file.write_text(machine.ok("cat /root/junit.xml"))
    return str(file)


def _engines() -> list[str]:
    """The files that the table has rows of: no other takes another runtime."""
    found = [path for path in sorted((build.CHECKOUT / "tests/vm").glob("test_*.py")) if engine_of(path.stem)]
    return [str(path.relative_to(build.CHECKOUT)) for path in found]


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (build.BuildError, MachineError) as error:
        sys.exit(f"vm: {error}")
