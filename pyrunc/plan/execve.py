# SPDX-License-Identifier: Apache-2.0
"""The user's program: config.md#process (cwd, env, args), execvp(3), and the wait for `start`."""

import errno
from _struct import pack

from pyrunc.config.fields import Section
from pyrunc.linux.uapi import AT_EACCESS, AT_FDCWD
from pyrunc.plan import ops
from pyrunc.plan.program import Op, Program, Struct

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HOME_MAX = 4096
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)
_X_OK = 1


class Command:
    """What to execute. candidates: paths to try in order; environment: NAME=value; wants_home: it has no HOME."""

    __slots__ = ("args", "candidates", "environment", "origin", "wants_home")

    def __init__(self, process: Section) -> None:
        self.args = process.texts("args")
        if not self.args or not self.args[0]:
            raise process.refuse("args", "must name a program")
        self.environment = _last_of_each_name(process.texts("env"))
        self.origin = f"{process.at('args')}/0"
        self.wants_home = not any(text.startswith("HOME=") for text in self.environment)
        self.candidates = self._candidates()

    def _candidates(self) -> list[str]:
        name = self.args[0]
        if "/" in name:
            return [name]
        path = _DEFAULT_PATH
        for text in self.environment:
            if text.startswith("PATH="):
                path = text[5:]
        # An empty part of PATH is the working directory, which execvp(3) would take; runc runs no program found so.
        return [f"{folder}/{name}" for folder in path.split(":") if folder]


def _last_of_each_name(environment: list[str]) -> list[str]:
    """getenv(3) finds the first of a name, but who adds to a list, as `exec --env` does, means the last (as runc)."""
    places = {text.partition("=")[0]: place for place, text in enumerate(environment)}
    return [environment[place] for place in sorted(places.values())]


def prove_inside(program: Program, origin: str) -> None:
    """Fail with ENODEV unless the working directory lies in the container (CVE-2024-21626): getcwd(2) of a directory
    outside the root begins with "(unreachable)", and the first byte tells.
    """
    buffer = Struct(f"{_HOME_MAX}s", b"", text="cwd")
    program.call("getcwd", buffer, _HOME_MAX, origin=origin)
    program.check_byte(buffer, ord("/"), origin=origin)


def look_up(command: Command, program: Program) -> None:
    """Fail now when no candidate can be executed, so that it is an error of create, as engines expect of it."""
    found: list[Op] = []
    last = len(command.candidates) - 1
    for place, candidate in enumerate(command.candidates):
        accept = _MISSING if place < last else ()
        op = program.call("faccessat2", AT_FDCWD, candidate, _X_OK, AT_EACCESS, origin=command.origin, accept=accept)
        found.append(op)
    for op in found:
        program.here_on_success(op)


def wait_for_start(program: Program) -> None:
    """Block on the exec fifo until `start` writes a byte; from then on failures are told to `start`."""
    fifo = program.input("exec fifo")
    program.channel(program.input("exec result"), fifo)
    # The runtime's pipes end here: nothing of the host stays open in the created container but the two fifos.
    program.call("close", program.input("reports"))
    program.call("close", program.input("answers"))
    program.call("read", fifo, Struct("Q", 0, text="byte"), 1)


def announce(program: Program, reports: Op) -> None:
    """Tell that all went well so far: a process that was killed before is not taken for one that was executed."""
    report = pack(ops.REPORT, ops.REPORT_EXECUTING, 0, 0, 0, 0)
    program.call("write", reports, Struct(f"{len(report)}s", report, text="executing"), len(report))


def execute(command: Command, program: Program, home: "Struct | None") -> None:
    """execve(2) of the candidates. `home` is a buffer with HOME=… that was filled on the way."""
    environment: list[str | Struct] = [*command.environment]
    if home is not None:
        environment.append(home)
    program.exec(command.candidates, command.args, environment, origin=command.origin)


def home_buffer() -> Struct:
    """Room for HOME=…, which stays HOME=/ unless the passwd file of the container says better."""
    return Struct(f"{_HOME_MAX}s", b"HOME=/", text="HOME=/ or as the container's passwd has it")
