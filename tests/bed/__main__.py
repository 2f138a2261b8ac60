# SPDX-License-Identifier: Apache-2.0
"""The virtual machine from the command line; `make vm`, `make vm-shell` and `make test-vm` call it.

python -m tests.bed build                   the disk
python -m tests.bed start [NAME]            a machine of its own overlay, with pyrunc from the checkout
python -m tests.bed run [NAME] -- COMMAND   a line of shell in it, as root in /opt/pyrunc
python -m tests.bed shell [NAME]            a shell in it; without a NAME of one that runs, one that ends with the shell
python -m tests.bed install [NAME]          the checkout as it is now, again
python -m tests.bed test [TEST...|GROUP...] tests in fresh ones: .vm/report/junit.xml and pytest.txt
python -m tests.bed stop [NAME]             at once, and its overlay is gone
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence

from tests.bed import build
from tests.bed.machine import Machine, MachineError, running
from tests.bed.report import run_all


def start(name: str) -> int:
    build.build()
    machine = Machine(name)
    with build.step(f"start of {name}"):
        machine.start(os.environ.get("MEMORY", "4G"), int(os.environ.get("PROCESSORS", "2")))
    with build.step("pyrunc from the checkout"):
        machine.install()
    return 0


def run(name: str, command: Sequence[str]) -> int:
    """Several words are a command and its arguments, one is a line of shell."""
    line = command[0] if len(command) == 1 else shlex.join(command)
    return subprocess.run(Machine(name).argv(f". /root/.profile; {line}"), check=False).returncode


def shell(name: str) -> int:
    if Machine(name).pid:
        return subprocess.run(Machine(name).argv("", terminal=True), check=False).returncode
    build.build()
    with running(name, os.environ) as machine:
        return subprocess.run(machine.argv("", terminal=True), check=False).returncode


def test(tests: Sequence[str]) -> int:
    build.build()
    return run_all(tests, os.environ)


def main(words: Sequence[str]) -> int:
    verb, *rest = words or ["help"]
    name = rest[0] if rest and rest[0] != "--" else "default"
    if verb == "build":
        build.build()
        return 0
    if verb == "test":
        return test(rest)
    if verb == "run" and "--" in rest[:2]:
        return run(name, rest[rest.index("--") + 1 :])
    if verb in {"start", "shell"}:
        return {"start": start, "shell": shell}[verb](name)
    if verb == "install":
        Machine(name).install()
        return 0
    if verb == "stop":
        Machine(name).stop()
        return 0
    print(__doc__.strip(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (build.BuildError, MachineError) as error:
        sys.exit(f"vm: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
