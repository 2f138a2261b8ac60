# SPDX-License-Identifier: Apache-2.0
"""The rich half of the command line: a Typer app built from the same table gives help, completion and better words.

Cold: loaded for help and completion, and when the fast parser refused argv; importing Typer takes 44 ms.
"""

import inspect
import io
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from typing import Any

import typer
import typer.core
from typer import _completion_classes, _completion_shared

from pyrunc.cli.parse import Call, RefusedError, number, place
from pyrunc.cli.table import COMMANDS, CONTAINER, GLOBAL, NUMBER, NUMBERS, SWITCH, TEXTS, Command, Flag
from pyrunc.commands import output
from pyrunc.errors import UsageError

_COMPLETE_VARIABLE = "_PYRUNC_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")
_HELP = "pyrunc, an OCI container runtime: makes a container from a bundle, a directory with config.json and a root."

# Typer carries its own Click since 0.20, and uses the package click before that: the class of both, found by its heir.
_Wrong: type[Any] = typer.BadParameter.__mro__[1]


def explain(argv: list[str], refusal: RefusedError | None) -> int:
    """Print the help or the completion that argv or the environment asks for; else raise a UsageError in Typer's words.

    When Typer takes what the fast parser refused (`-bDIR`), the words of `refusal` stand.
    """
    try:
        call, text = collect(argv)
    except _Wrong as error:
        raise UsageError(_words(error, refusal)) from None
    if call is not None:
        raise refusal or UsageError("the command line cannot be taken")
    output(text)
    return 0


def answer(call: Call) -> int:
    """Do the commands `help [COMMAND]` and `completion SHELL`."""
    if call.command.name == "help":
        topic = call.values["topic"]
        return explain([*filter(None, [topic]), "--help"], None)
    shell = call.values["shell"]
    if shell not in _SHELLS:
        raise UsageError(f"no completion for {shell!r}: it is there for {', '.join(_SHELLS)}")
    output(
        _completion_shared.get_completion_script(prog_name="pyrunc", complete_var=_COMPLETE_VARIABLE, shell=shell)
        + "\n"
    )
    return 0


def collect(argv: list[str]) -> tuple[Call | None, str]:
    """The Call that Typer makes of argv, or None, and the text that it prints; raises Typer's own errors."""
    calls: list[Call] = []
    text = io.StringIO()
    _completion_classes.completion_init()
    root = typer.main.get_command(_app(calls))
    with redirect_stdout(text), suppress(SystemExit):  # with which a completion ends
        root.main(argv, prog_name="pyrunc", complete_var=_COMPLETE_VARIABLE, standalone_mode=False)
    return (calls[0] if calls else None), text.getvalue()


def _words(error: Any, refusal: RefusedError | None) -> str:
    """Typer's message as one line in our form; names with one dash are understood, but not proposed."""
    name = getattr(error, "option_name", "")
    if hasattr(error, "possibilities") and name.startswith("--"):
        near = sorted(option for option in error.possibilities or () if option.startswith("--"))
        return f"no such option: {name}" + (f"; did you mean {' or '.join(near)}?" if near else "")
    if hasattr(error, "possibilities") and refusal is not None:
        return str(refusal)  # Typer names the first letter only
    message = " ".join(str(error.format_message()).split()).replace(". Did you mean", "; did you mean")
    return (message[:1].lower() + message[1:]).removesuffix(".")


class _GoFlags:
    """The fast parser's grammar, that of Go's flag package: `-flag`, `-flag=value`, `-f=value`, but not `-fvalue`."""

    def make_parser(self, ctx: Any) -> Any:
        parser = super().make_parser(ctx)  # type: ignore[misc]
        # The public add_option() takes a name of one letter for a short option, with getopt's grammar.
        longs, shorts = parser._long_opt, parser._short_opt  # noqa: SLF001
        longs.update({name[1:]: option for name, option in longs.items()})
        for name in [name for name, option in shorts.items() if option.takes_value]:
            longs[name] = shorts.pop(name)
        return parser


class _Command(_GoFlags, typer.core.TyperCommand):
    def collect_usage_pieces(self, _: Any) -> list[str]:
        row = COMMANDS[self.name or ""]
        names = [name.upper() for name in row.arguments]
        optional = [f"[{name}]" for name in names[row.required :]] + ([f"[{row.tail}]"] if row.tail else [])
        return ["[OPTIONS]", *names[: row.required], *optional]


class _Group(_GoFlags, typer.core.TyperGroup):
    pass


def _app(calls: list[Call]) -> typer.Typer:
    """The app; each command that it runs adds its Call to `calls`."""
    settings = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(
        cls=_Group,
        add_completion=False,
        rich_markup_mode=None,
        context_settings=settings,
        pretty_exceptions_enable=False,
    )
    options: dict[str, Any] = {}

    def globals_of(ctx: typer.Context, **values: Any) -> None:
        options.update(_named(GLOBAL, values))
        if options["version"]:
            calls.append(Call(options, COMMANDS["version"], {}))
            raise typer.Exit
        if ctx.invoked_subcommand is None:
            typer.echo(ctx.get_help())

    _describe(globals_of, {"ctx": (inspect.Parameter.empty, typer.Context)} | _options(GLOBAL))
    app.callback(invoke_without_command=True, help=_HELP)(globals_of)
    for row in COMMANDS.values():
        app.command(
            row.name,
            cls=_Command,
            help=row.help,
            context_settings={"allow_interspersed_args": not row.tail},
        )(_verb(row, options, calls))
    return app


def _verb(row: Command, options: dict[str, Any], calls: list[Call]) -> Callable[..., None]:
    def verb(**values: Any) -> None:
        words = [values[name] for name in row.arguments if values[name] is not None]
        named = _named(row.flags, values)
        place(row, words + list(values.get("command") or ()), named)
        calls.append(Call(options, row, named))

    _describe(verb, _options(row.flags) | _arguments(row))
    return verb


def _describe(function: Callable[..., None], parameters: dict[str, tuple[Any, Any]]) -> None:
    """Give `function` the signature that Typer reads: name -> (default, type)."""
    kind = inspect.Parameter.KEYWORD_ONLY
    rows = [inspect.Parameter(n, kind, default=d, annotation=t) for n, (d, t) in parameters.items()]
    function.__signature__ = inspect.Signature(rows)  # type: ignore[attr-defined]
    function.__annotations__ = {name: annotation for name, (_, annotation) in parameters.items()}


def _named(flags: tuple[Flag, ...], values: dict[str, Any]) -> dict[str, Any]:
    return {flag.name: values[flag.name.replace("-", "_")] for flag in flags}


def _options(flags: tuple[Flag, ...]) -> dict[str, tuple[Any, Any]]:
    return {flag.name.replace("-", "_"): (_option(flag), _type(flag)) for flag in flags}


def _option(flag: Flag) -> Any:
    names = [f"--{flag.name}"] + ([f"-{flag.short}"] if flag.short else [])
    repeatable = flag.kind in (TEXTS, NUMBERS)
    extra: dict[str, Any] = {}
    if flag.choices:
        extra = {"parser": _choice(flag.choices), "autocompletion": _proposals(flag.choices)}
    elif flag.kind in (NUMBER, NUMBERS):
        extra = {"parser": _number}
    if flag.kind is not SWITCH:
        extra["metavar"] = flag.metavar or "|".join(flag.choices)
    return typer.Option(
        [] if repeatable else flag.default,
        *names,
        help=flag.help,
        hidden=flag.hidden,
        show_default=flag.kind is not SWITCH and bool(flag.default),
        **extra,
    )


def _type(flag: Flag) -> Any:
    kinds: dict[str, Any] = {SWITCH: bool, NUMBER: int, TEXTS: list[str], NUMBERS: list[int]}
    kind = kinds.get(flag.kind, str)
    return kind | None if flag.default is None and flag.kind not in (TEXTS, NUMBERS) else kind


def _arguments(row: Command) -> dict[str, tuple[Any, Any]]:
    proposals = {CONTAINER: _containers, "topic": _proposals(tuple(COMMANDS)), "shell": _proposals(_SHELLS)}
    found: dict[str, tuple[Any, Any]] = {}
    for index, name in enumerate(row.arguments):
        default, kind = (..., str) if index < row.required else (None, str | None)
        complete: Any = proposals.get(name)
        found[name] = typer.Argument(default, autocompletion=complete, hidden=True), kind  # the usage line has it
    if row.tail:
        found["command"] = (typer.Argument(None, hidden=True), list[str] | None)
    return found


def _number(text: str | int) -> int:
    try:
        return number(str(text))  # Typer converts a default, too
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _choice(choices: tuple[str, ...]) -> Callable[[str], str]:
    def choice(text: str) -> str:
        if text not in choices:
            raise typer.BadParameter(f"{text!r} is none of {', '.join(choices)}")
        return text

    return choice


def _proposals(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    def proposals(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return proposals


def _containers(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of --root that begin so; none when it cannot be read: a shell's prompt is no place to say why."""
    from pyrunc.cli.options import settings
    from pyrunc.container.query import containers
    from pyrunc.errors import PyruncError

    options = _named(GLOBAL, ctx.find_root().params)
    try:
        rows = containers(settings(options, lambda _: None))
    except PyruncError:
        return []
    return [name for row in rows if (name := str(row["id"])).startswith(incomplete)]
