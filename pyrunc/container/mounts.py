# SPDX-License-Identifier: Apache-2.0
"""`mounts add` and `mounts remove`: what is mounted in a container that is there, as crun has it.

FILE is a JSON array of objects as in `mounts` of config.json; the errors name its rows /mounts/0, /mounts/1 …
"""

import posix

from pyrunc.config.crun_words import spell_out
from pyrunc.config.fields import Config
from pyrunc.config.load import parse_rows, read, read_all
from pyrunc.config.validate import validate
from pyrunc.container.exec import foreign_namespaces
from pyrunc.container.query import status_of
from pyrunc.container.start import saved_config
from pyrunc.errors import HostError, StatusError
from pyrunc.linux.host import probe
from pyrunc.linux.uapi import CLONE_NEWNS
from pyrunc.plan import attach, ops
from pyrunc.process.rights import Rights
from pyrunc.process.spawn import spawn
from pyrunc.state import status
from pyrunc.state.store import open_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from pyrunc.container.settings import Settings
    from pyrunc.linux.host import Host
    from pyrunc.plan.program import Program
    from pyrunc.process.protocol import Helper
    from pyrunc.state.record import Record

    Build: TypeAlias = "Callable[[Config, Host, int], Program]"

LOCK_SECONDS = 10.0
_GONE = "container not running"


def add(settings: "Settings", container_id: str, file: str) -> None:
    """Make the mounts of `file` ("-" is standard input) in a created, running or paused container: all, or none.

    Sources are paths of the host, relative ones below the bundle. ConfigError for the file, SetupError for a mount,
    StatusError when the container has stopped, or has the host's mount namespace.
    """
    _change(settings, container_id, file, attach.add)


def remove(settings: "Settings", container_id: str, file: str) -> None:
    """Unmount what is at the destinations of `file`, the last first; what else its rows say does not matter.

    Destinations are looked up before the first is unmounted. At a failure those behind it are gone.
    """
    _change(settings, container_id, file, attach.remove)


def _change(settings: "Settings", container_id: str, file: str, build: "Build") -> None:
    name = "standard input" if file == "-" else file
    rows = parse_rows(read_all(0, name) if file == "-" else read(file), name, "/mounts")
    entry = open_entry(settings.root, container_id)
    try:
        entry.lock(LOCK_SECONDS)
        record = status.load(entry)
        status.require("mounts", record.id, status_of(entry, record))
        config = saved_config(entry, record)
        config = Config({**config.data, "mounts": rows}, config.bundle)
        spell_out(config)
        host = probe()
        for warning in validate(config, host):
            settings.warn(warning)
        _Change(config, host, record).make(build)
    finally:
        entry.close()


class _Change:
    """One change of a container's mounts; `config` has the rows, and else what the container was created with."""

    __slots__ = ("_config", "_flags", "_host", "_init", "_record")

    def __init__(self, config: Config, host: "Host", record: "Record") -> None:
        self._config = config
        self._host = host
        self._record = record
        self._flags = 0
        self._init = -1

    def make(self, build: "Build") -> None:
        self._init = status.open_process(self._record)
        if self._init < 0:
            raise StatusError(_GONE)
        try:
            self._flags = foreign_namespaces(self._record.pid, _GONE)
            if not status.is_alive(self._record):
                raise StatusError(_GONE)  # else the number may have been another's when its namespaces were looked at
            if not self._flags & CLONE_NEWNS:
                raise StatusError("the container has the mount namespace of the host, whose mounts these would be")
            self._run(self._config, build)
        finally:
            posix.close(self._init)

    def _run(self, config: Config, build: "Build") -> None:
        program = build(config, self._host, self._flags)
        maps: dict[str, int] = {}
        rights = Rights(sends="rights" in program.inputs)
        try:
            if any(name.startswith("idmap ") for name in program.inputs):
                from pyrunc.process.user_namespace import open_all

                maps = open_all(config, self._host)
            helper = spawn(program, {"init": self._init, "rights": rights.theirs, **maps}, 0)
            try:
                self._answer(program, helper, rights, config)
            finally:
                helper.close()
                helper.reap()
        finally:
            rights.close()
            for fd in maps.values():
                posix.close(fd)

    def _answer(self, program: "Program", helper: "Helper", rights: Rights, config: Config) -> None:
        """Answer the helper until all is made; when something fails, take away what it has made by then."""
        while True:
            report = helper.report()
            if report is None:
                raise HostError("pyrunc-init was killed while it changed the mounts")
            if report.kind == ops.REPORT_SYNC and report.value & 0xFFFF == ops.READY:
                return
            try:
                if report.kind == ops.REPORT_ERROR:
                    from pyrunc.process.explain import failure

                    raise failure(program, report, helper.pid, None, self._record.rootfs)
                from pyrunc.process.copy_up import copy_up

                numbers = report.value >> 16 & 0xFFFF, report.value >> 32 & 0xFFFF
                source, target = rights.paths(helper.pid, *numbers)
                copy_up(source, target, program.ops[report.index].origin)
            except BaseException:
                self._undo(attach.made(program, report.index), config)
                raise
            helper.answer()

    def _undo(self, made: list[int], config: Config) -> None:
        if made:
            rows = config.array("mounts")
            self._run(Config({**config.data, "mounts": [rows[index] for index in made]}, config.bundle), attach.remove)
