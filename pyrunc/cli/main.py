# SPDX-License-Identifier: Apache-2.0
"""From argv to an exit status; the only place that prints errors and ends the process.

Exit status: that of the process for run and exec, else 0; 1 for errors, 255 for those of exec (as runc has it), 130
after an interrupt, 128 + N after another signal that was heeded.
"""

import posix
import sys

from pyrunc.cli.log import LEVELS, Log, start
from pyrunc.cli.options import settings
from pyrunc.cli.parse import Call, RefusedError, parse, split
from pyrunc.commands import OutputClosedError
from pyrunc.errors import PyruncError, UsageError, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, NoReturn

EXEC_ERROR = 255
INTERRUPTED = 130
_COMPLETION = b"_PYRUNC_COMPLETE"


def main() -> "NoReturn":
    """The program `pyrunc`."""
    sys.excepthook = _last_words
    sys.unraisablehook = lambda _: None
    posix.umask(0o077)  # state, sockets and logs are nobody else's; what others read gets its mode by fchmod(2)
    _open_standard_fds()
    _leave(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """Do what `argv` asks for, and give the exit status; errors are written, none is raised."""
    session = _Session()
    try:
        return session.answer(argv)
    except OutputClosedError:
        return _die_of_sigpipe()
    except KeyboardInterrupt as stop:
        return 128 + stop.args[0] if stop.args else INTERRUPTED
    except BaseException as error:  # noqa: BLE001 - a defect, too, is told in one line: an engine shows this line
        session.log.fail(error if isinstance(error, PyruncError) else _internal(error))
        if session.debug:
            _traceback(session.log)
        return session.error_status


class _Session:
    """One call: its log, whether it debugs, and the exit status of an error, as far as argv was understood."""

    __slots__ = ("debug", "error_status", "log")

    def __init__(self) -> None:
        # A person at a terminal sees warnings; in the log and the pipe of an engine they would stand before the error.
        self.log = Log(level="warning" if posix.isatty(2) else "error")
        self.debug = False
        self.error_status = 1

    def answer(self, argv: list[str]) -> int:
        if _COMPLETION in posix.environ:
            return _explain(argv, None)
        try:
            options, words = split(argv)
            self.debug = options["debug"]
            self.log = start(options["log"], options["log-format"], self._level(options))
            call = parse(options, words)
        except RefusedError as refusal:
            return _explain(argv, refusal)
        if not call.command.module:
            return _answer(call)
        if call.command.name == "exec":
            self.error_status = EXEC_ERROR
        if options["timings"] or options["trace"] is not None:
            from pyrunc.cli.timings import measured

            return measured(options["trace"], lambda: self._do(call, options))
        return self._do(call, options)

    def _do(self, call: Call, options: "dict[str, Any]") -> int:
        verb = __import__(f"pyrunc.commands.{call.command.module}", None, None, ("run",))
        return int(verb.run(settings(options, self.log.warning, self.log.notice), call.values))

    def _level(self, options: "dict[str, Any]") -> str:
        if options["debug"]:
            return "debug"
        level: str | None = options["log-level"]
        return level or ("error" if options["log"] else LEVELS[self.log.level])


def _explain(argv: list[str], refusal: RefusedError | None) -> int:
    """Let Typer give the help or the completion that was asked for, or raise a UsageError in its words.

    Where Typer is not there, or not one that typer_app knows, the words of the fast parser must do.
    """
    try:
        from pyrunc.cli.typer_app import explain

        return explain(argv, refusal)
    except (ImportError, AttributeError) as error:
        raise refusal or _without_typer(error) from error


def _answer(call: Call) -> int:
    """Do the commands help and completion."""
    try:
        from pyrunc.cli.typer_app import answer

        return answer(call)
    except ImportError as error:
        raise _without_typer(error) from error


def _without_typer(error: Exception) -> UsageError:
    return UsageError(f"help and completion need the Python package typer: {error}")


def _open_standard_fds() -> None:
    """Open /dev/null for each of 0, 1, 2 that is closed: else a file of the state would get its number."""
    for fd in range(3):
        try:
            posix.fstat(fd)
        except OSError:
            # The lowest free number, so `fd`; posix.open makes it close-on-exec (PEP 446).
            posix.set_inheritable(posix.open("/dev/null", posix.O_RDWR), True)


def _internal(error: BaseException) -> str:
    """A defect in one line, and where it is; errno by name: engines take strerror(3)'s words for the command's."""
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        from errno import errorcode

        text = f"{errorcode.get(error.errno, error.errno)} {error.filename or ''}".strip()
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ""
    if trace is not None:
        file = trace.tb_frame.f_code.co_filename.rpartition("/pyrunc/")[2]
        place = f" ({file}:{trace.tb_lineno})"
    return one_line(f"internal error: {type(error).__name__}: {text}{place}")


def _traceback(log: Log) -> None:
    """With --debug, the traceback of the error that ended the call, a debug entry for each of its lines."""
    import traceback

    for line in traceback.format_exc().splitlines():
        log.write("debug", line.rstrip())


def _last_words(_: "type[BaseException]", error: BaseException, __: "TracebackType | None") -> None:
    Log().fail(_internal(error))


def _die_of_sigpipe() -> int:
    """End as other programs do when the reader of their output is gone (Python ignores SIGPIPE at its start)."""
    import _signal

    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.raise_signal(_signal.SIGPIPE)
    return 128 + 13


def _leave(status: int) -> "NoReturn":
    """Exit without taking the interpreter down piece by piece (1 ms): nothing is left to flush or to close."""
    posix._exit(status & 0xFF)  # noqa: SLF001 - it has no other name
