# SPDX-License-Identifier: Apache-2.0
"""--timings and --trace: where the time of one call goes, on the host and in the helper. Loaded for them only.

Nothing of the runtime knows of it: functions of the table are wrapped once they are loaded, so that a call without
these flags does not even ask. The helper's own clock is read by its program: before each part of the configuration it
calls clock_gettime and writes the time into a pipe. Traces are in the Trace Event format (Perfetto, chrome://tracing).
"""

import builtins
import posix
import sys
import time
from _struct import unpack_from

from pyrunc.errors import UsageError
from pyrunc.linux.errnos import reason
from pyrunc.plan import ops
from pyrunc.plan.program import Op, Program, Struct, Within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CGROUPS = (("driver", "Cgroup"), ("v1", "Legacy"), ("v2", "Unified"), ("scope", "Scope"))
PHASES = (
    ("config", "pyrunc.config.load", "load"),
    ("facts of the host", "pyrunc.linux.host", "probe"),
    ("checks", "pyrunc.config.validate", "validate"),
    ("seccomp filter", "pyrunc.container.launch", "seccomp_filter"),
    ("plan", "pyrunc.plan.compile", "container"),
    ("plan", "pyrunc.plan.compile", "process"),
    ("find the cgroup", "pyrunc.cgroups.driver", "open_cgroup"),
    ("state directory", "pyrunc.state.store", "claim"),
    ("state", "pyrunc.state.store", "open_entry"),
    ("state", "pyrunc.container.query", "status_of"),
    ("save the state", "pyrunc.state.status", "save"),
    ("cgroup", "pyrunc.cgroups.driver", "Cgroup.create"),
    ("cgroup", "pyrunc.cgroups.scope", "Scope.create"),
    *(("limits", f"pyrunc.cgroups.{name}", f"{kind}.apply") for name, kind in _CGROUPS),
    *(("remove the cgroup", f"pyrunc.cgroups.{name}", f"{kind}.remove") for name, kind in _CGROUPS),
    ("spawn", "pyrunc.process.spawn", "spawn"),
    ("encode the program", "pyrunc.plan.program", "Program.encode"),
    ("wait for the helper", "pyrunc.process.protocol", "Helper.report"),
    ("hooks", "pyrunc.process.hooks", "run_hooks"),
    ("hooks", "pyrunc.process.hooks", "run_poststop"),
    ("release the process", "pyrunc.container.start", "_release"),
    ("wait for the process", "pyrunc.process.supervise", "supervise"),
    ("wait for the lock", "pyrunc.state.store", "Entry.lock"),
    ("signal", "pyrunc.container.kill", "_one"),
    ("signal", "pyrunc.container.kill", "_all"),
    ("end of the process", "pyrunc.container.delete", "_end"),
    ("remove the state directory", "pyrunc.state.store", "Entry.remove"),
)
"""(name, module, function or Class.method); a module that the call does not load is no phase of it."""

_CLOCK = 0
"""CLOCK_REALTIME: a time namespace has its own CLOCK_MONOTONIC."""
_RECORD = 24
"""Number of the part, seconds, nanoseconds."""


class Span:
    """Something that took time: ns since the epoch; depth: how many others it is within; thread: 1 here, 2 helper."""

    __slots__ = ("depth", "end", "name", "start", "thread")

    def __init__(self, name: str, start: int, end: int, depth: int, thread: int) -> None:
        self.name = name
        self.start = start
        self.end = end
        self.depth = depth
        self.thread = thread


class Timings:
    """The spans of one call. Its program, if there is one, tells the time through the pipe `_clock`."""

    def __init__(self) -> None:
        # What the kernel, the C library and the interpreter took before there was a clock: this process's CPU time.
        now = time.time_ns()
        self.spans = [Span("interpreter, argv", now - time.process_time_ns(), now, 0, 1)]
        self._depth = 0
        self._importing = False
        self._clock = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        self._names: list[str] = []

    def wrap(self, name: str, function: "Callable[..., Any]") -> "Callable[..., Any]":
        """The function, with a span for each call."""

        def timed(*arguments: "Any", **options: "Any") -> "Any":
            span = Span(name, time.time_ns(), 0, self._depth, 1)
            self.spans.append(span)
            self._depth += 1
            try:
                return function(*arguments, **options)
            finally:
                self._depth -= 1
                span.end = time.time_ns()
                if name.startswith("import "):
                    self.install()

        return timed

    def install(self) -> None:
        """Wrap what is loaded by now, wherever its name went by `from … import`."""
        for name, module, path in PHASES:
            owner = sys.modules.get(module)
            *names, last = path.split(".")
            for part in names:
                owner = getattr(owner, part, None)
            function = getattr(owner, last, None)
            if function is None or function.__name__ == "timed":
                continue
            wrapped = self.wrap(name, self._with_clock(function) if path == "spawn" else function)
            if names:
                setattr(owner, last, wrapped)
            else:
                _replace(function, wrapped)
        if "pyrunc.plan.compile" in sys.modules and not self._names:
            _replace(Program, self._program())

    def watch_imports(self) -> None:
        """A span for each import that loads something, but for those within one."""
        real = builtins.__import__

        def watched(name: str, *arguments: "Any", **options: "Any") -> "Any":
            if self._importing or name in sys.modules:
                return real(name, *arguments, **options)
            self._importing = True
            try:
                return self.wrap(f"import {name}", real)(name, *arguments, **options)
            finally:
                self._importing = False

        setattr(builtins, "__import__", watched)  # noqa: B010 mypy knows its type

    def _with_clock(self, spawn: "Callable[..., Any]") -> "Callable[..., Any]":
        def spawn_with_clock(program: Program, descriptors: "dict[str, int]", preserve: int) -> "Any":
            if "clock" in program.inputs:
                descriptors = {**descriptors, "clock": self._clock[1]}
            return spawn(program, descriptors, preserve)

        return spawn_with_clock

    def _program(self) -> "type[Program]":
        names = self._names

        class Timed(_Timed):
            __slots__ = ()

            def __init__(self, machine: str = "x86_64") -> None:
                super().__init__(machine, names)

        return Timed

    def read(self) -> None:
        """The helper's times become spans, each until the next; the last is until the helper's end."""
        raw = b""
        try:
            while more := posix.read(self._clock[0], 65536):
                raw += more
        except BlockingIOError:
            pass
        records = [unpack_from("=3Q", raw, at) for at in range(0, len(raw) - _RECORD + 1, _RECORD)]
        times = [(self._names[part], seconds * 10**9 + nanoseconds) for part, seconds, nanoseconds in records]
        # The end of one is the start of the next; itertools would be a module more.
        for place, (name, start) in enumerate(times[:-1]):
            self.spans.append(Span(name, start, times[place + 1][1], 0, 2))


class _Timed(Program):
    """A program that tells the time before each part of the configuration, until it is ready."""

    __slots__ = ("_names", "_part", "_telling")

    def __init__(self, machine: str, names: "list[str]") -> None:
        super().__init__(machine)
        self._names = names
        self._part = ""
        self._telling = True

    def _add(self, code: int, name: str, operands: "tuple[Any, ...]", origin: str, to: "str | None") -> Op:
        if self._telling:
            self._tell(code, name, operands, origin)
        return super()._add(code, name, operands, origin, to)

    def call(self, name: str, *operands: "Any", origin: str = "", to: "str | None" = None, **options: "Any") -> Op:
        if self._telling:
            self._tell(ops.SYSCALL, name, operands, origin)
        return super().call(name, *operands, origin=origin, to=to, **options)

    def _tell(self, code: int, name: str, operands: "tuple[Any, ...]", origin: str) -> None:
        # Behind these nobody reads the pipe any more, or the filter may refuse the calls.
        last = name == "seccomp" or (code == ops.SYNC and operands[0] == ops.READY)
        part = "end" if last else _part(code, name, origin) or self._part or "descriptors"
        if part == self._part:
            return
        self._part = part
        self._telling = False
        clock = self.input("clock")
        struct = Struct("3Q", len(self._names), 0, 0, text="time")
        self._names.append(part)
        self.call("clock_gettime", _CLOCK, Within(struct, 8))
        self.call("write", clock, struct, _RECORD, accept=(11,))  # EAGAIN: the pipe is full
        if last:
            self.call("close", clock)
        self._telling = not last


def _part(code: int, name: str, origin: str) -> str:
    """`/mounts/3` of an origin below it, else its first two words; "" where it is part of what comes before."""
    if code == ops.CLONE:
        return "clone"
    if code == ops.SYNC:
        return f"wait for the runtime: {name}"
    return "/".join(origin.split("/")[:3])


def _replace(old: object, new: object) -> None:
    """In every module of pyrunc that has it under a name."""
    for name, module in list(sys.modules.items()):
        if name.startswith("pyrunc.") and name != __name__:
            for key, value in list(vars(module).items()):
                if value is old:
                    setattr(module, key, new)


def measured(path: "str | None", call: "Callable[[], int]") -> int:
    """Do `call`, then print the table to standard error and write the trace to `path`; its exit status."""
    trace = -1 if path is None else _open(path)
    timings = Timings()
    timings.watch_imports()
    timings.install()
    timings.spans.append(Span("--timings itself", timings.spans[0].end, time.time_ns(), 0, 1))
    try:
        status: int = timings.wrap("the command", call)()
        return status
    finally:
        timings.read()
        posix.write(2, table(timings.spans).encode("utf-8", "backslashreplace"))
        if trace >= 0:
            _write(trace, events(timings.spans))


def table(spans: "list[Span]") -> str:
    """A line for each name in the order of its first start: when it began, how long it took in all, how often."""
    rows: dict[tuple[int, str], list[Span]] = {}
    loaded = [span for span in spans if span.name.startswith("import ")]
    for span in spans:
        if span not in loaded:
            rows.setdefault((span.thread, span.name), []).append(span)
    begin = spans[0].start
    lines = ["      at    took  ms"]
    for thread, title in ((1, "pyrunc"), (2, "pyrunc-init")):
        mine = [(name, found) for (number, name), found in rows.items() if number == thread]
        lines += [f"{title:>20}"] if mine else []
        for name, found in mine:
            took = sum(span.end - span.start for span in found)
            times = f"  x{len(found)}" if len(found) > 1 else ""
            lines.append(f"{_ms(found[0].start - begin)}{_ms(took)}  {'  ' * found[0].depth}{name}{times}")
    took = sum(span.end - span.start for span in loaded)
    lines.append(f"{'':8}{_ms(took)}  of it imports ({len(loaded)})")
    return "\n".join(lines) + "\n"


def events(spans: "list[Span]") -> str:
    """The Trace Event format: complete events ("X"), times in microseconds."""
    from pyrunc.config.dump import dump

    begin = spans[0].start
    rows: list[object] = [
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": tid, "args": {"name": name}}
        for tid, name in ((1, "pyrunc"), (2, "pyrunc-init"))
    ]
    for span in spans:
        start, duration = (span.start - begin) // 1000, (span.end - span.start) // 1000
        rows.append({"name": span.name, "ph": "X", "ts": start, "dur": duration, "pid": 1, "tid": span.thread})
    return dump({"traceEvents": rows, "displayTimeUnit": "ms"}) + "\n"


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:8.2f}"


def _open(path: str) -> int:
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC | posix.O_NOCTTY
    try:
        return posix.open(path, flags, 0o600)
    except (OSError, ValueError) as error:
        why = reason(error.errno) if isinstance(error, OSError) else str(error)
        raise UsageError(f"--trace: cannot open {path!r}: {why}") from None


def _write(fd: int, text: str) -> None:
    raw = text.encode("utf-8", "backslashreplace")
    while raw:
        raw = raw[posix.write(fd, raw) :]
    posix.close(fd)
