# SPDX-License-Identifier: Apache-2.0
"""Resource limits: config.md#posix-process, prlimit(2).

A hard limit is raised by the rights of the initial user namespace, which a process in another one has left: there the
runtime sets the limits from outside (`outside`), when the program has reached the point READY.
"""

from pyrunc.config.fields import Config
from pyrunc.config.namespaces import paths
from pyrunc.linux.host import Host
from pyrunc.linux.rlimits import RLIM_INFINITY, RLIMITS
from pyrunc.plan.program import Program, Struct


def compile(config: Config, host: Host, program: Program) -> None:
    """Set the limits of the process itself."""
    if not _outside(config, host):
        for number, soft, hard, pointer in _limits(config):
            limit = Struct("2Q", soft, hard, text=f"soft={_text(soft)}, hard={_text(hard)}")
            program.call("prlimit64", 0, number, limit, None, origin=pointer)


def outside(config: Config, host: Host) -> list[tuple[int, int, int, str]]:
    """The limits that the program leaves to the runtime: number, soft, hard (2**64 - 1 is none), pointer."""
    return _limits(config) if _outside(config, host) else []


def _outside(config: Config, host: Host) -> bool:
    return not host.rootless and "user" in paths(config)


def _limits(config: Config) -> list[tuple[int, int, int, str]]:
    process = config.section("process")
    rows = process.sections("rlimits") if process is not None else []
    return [
        (
            RLIMITS[row.text("type")],
            row.integer("soft", 0, RLIM_INFINITY),
            row.integer("hard", 0, RLIM_INFINITY),
            row.pointer,
        )
        for row in rows
    ]


def _text(limit: int) -> str:
    return "unlimited" if limit == RLIM_INFINITY else str(limit)
