# SPDX-License-Identifier: Apache-2.0
"""The fast parser: every shape that an engine was seen to use, the forms of a flag, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest

from pyrunc.cli.parse import Call, RefusedError, number, parse, split
from pyrunc.cli.table import COMMANDS, GLOBAL, NUMBERS, SWITCH, TEXTS
from pyrunc.errors import UsageError

SHAPES = Path(__file__).with_name("fixtures") / "engine_shapes.tsv"


def call(*argv: str) -> Call:
    return parse(*split(list(argv)))


def given(*argv: str) -> dict[str, Any]:
    """The values that argv changes, of globals and command."""
    made = call(*argv)
    rows = {flag.name: [] if flag.kind in (TEXTS, NUMBERS) else flag.default for flag in (*GLOBAL, *made.command.flags)}
    return {
        name: value for name, value in (made.options | made.values).items() if name not in rows or value != rows[name]
    }


def shapes() -> list[list[str]]:
    """What engines were recorded with; `checkpoint --help`, which Podman asks for, is for Typer (test_cli_typer.py)."""
    found = [line.split("\t")[1].split() for line in SHAPES.read_text("utf-8").splitlines()[1:]]
    return [argv for argv in found if "--help" not in argv]


def verb_of(argv: list[str]) -> str:
    return split(argv)[1][0] if split(argv)[1] else "version"


@pytest.mark.parametrize("argv", shapes(), ids=" ".join)
def test_shapes_of_engines(argv: list[str]) -> None:
    """Docker, containerd, CRI and Podman: the command line that they were recorded with is taken."""
    made = parse(*split(argv))
    assert made.command.name == verb_of(argv)
    if made.command.arguments:
        assert made.values["container"] == "ID"


def test_values_of_a_containerd_create() -> None:
    argv = (
        "--root /r --log /l --log-format json --systemd-cgroup create --bundle /b --pid-file /p --console-socket /s ID"
    )
    assert given(*argv.split()) == {
        "root": "/r",
        "log": "/l",
        "log-format": "json",
        "systemd-cgroup": True,
        "bundle": "/b",
        "pid-file": "/p",
        "console-socket": "/s",
        "container": "ID",
    }


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("run --bundle /b c", {"bundle": "/b"}),
        ("run --bundle=/b c", {"bundle": "/b"}),
        ("run -bundle /b c", {"bundle": "/b"}),
        ("run -bundle=/b c", {"bundle": "/b"}),
        ("run -b /b c", {"bundle": "/b"}),
        ("run -b=/b c", {"bundle": "/b"}),
        ("run --bundle= c", {"bundle": ""}),
        ("run --bundle --keep c", {"bundle": "--keep"}),
        ("run --bundle=a=b c", {"bundle": "a=b"}),
        ("run -no-subreaper c", {"no-subreaper": True}),
        ("run --keep=false c", {}),
        ("run --keep=true c", {"keep": True}),
        ("run --keep --keep=false c", {}),
        ("run c --keep", {"keep": True}),
        ("run --preserve-fds 2 c", {"preserve-fds": 2}),
        ("run -- c", {}),
    ],
    ids=str,
)
def test_forms_of_a_flag(argv: str, expected: dict[str, Any]) -> None:
    assert given(*argv.split()) == {"container": "c"} | expected


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        ("exec c ls -t --cwd x", ["ls", "-t", "--cwd", "x"]),
        ("exec c -- ls", ["ls"]),
        ("exec -- c ls --", ["ls", "--"]),
        ("exec c -t", ["-t"]),
        ("exec c", []),
    ],
    ids=str,
)
def test_exec_leaves_the_command_alone(argv: str, command: list[str]) -> None:
    """Words after the container are the command's, as runc has it; one -- between them is nobody's."""
    made = call(*argv.split())
    assert made.values["command"] == command
    assert made.values["container"] == "c"
    assert made.values["tty"] is False


def test_repeatable_and_clustered_flags() -> None:
    values = call("exec", "-e", "A=1", "--env=B=2", "-g", "5", "-g=6", "-td", "-c", "CAP_KILL", "c", "sh").values
    assert values["env"] == ["A=1", "B=2"]
    assert values["additional-gids"] == [5, 6]
    assert values["cap"] == ["CAP_KILL"]
    assert values["tty"]
    assert values["detach"]


def test_an_unset_switch_can_differ_from_false() -> None:
    """`exec` without --no-new-privs leaves what config.json says."""
    assert call("exec", "c", "sh").values["no-new-privs"] is None
    assert call("exec", "--no-new-privs", "c", "sh").values["no-new-privs"] is True
    assert call("exec", "--no-new-privs=false", "c", "sh").values["no-new-privs"] is False


def test_a_call_does_not_change_the_next() -> None:
    call("exec", "-e", "A=1", "c", "sh")
    assert call("exec", "c", "sh").values["env"] == []


def test_the_version_wins_over_a_command() -> None:
    assert call("--version", "nonsense").command.name == "version"
    assert call("-v").command.name == "version"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("start", '"start" requires exactly 1 argument(s)'),
        ("start a b", '"start" requires exactly 1 argument(s)'),
        ("kill", '"kill" requires a minimum of 1 argument(s)'),
        ("kill a 9 b", '"kill" requires a maximum of 2 argument(s)'),
        ("exec -t", '"exec" requires a minimum of 1 argument(s)'),
        ("list c", '"list" requires exactly 0 argument(s)'),
        ("help a b", '"help" requires a maximum of 1 argument(s)'),
    ],
    ids=str,
)
def test_too_few_and_too_many_words(argv: str, words: str) -> None:
    """In runc's words, for which Typer is not loaded."""
    with pytest.raises(UsageError) as caught:
        call(*argv.split())
    assert str(caught.value) == words
    assert type(caught.value) is UsageError


@pytest.mark.parametrize(
    "argv",
    [
        "",
        "nonsense",
        "--help",
        "create -h",
        "create --help x",
        "state --root /r c",  # a global flag after the command
        "--bundle /b create c",  # a flag of the command before it
        "create --bundel /b c",
        "create --bundle",
        "create --b /b c",  # no abbreviations, and no short name with two dashes
        "create -b/b c",
        "create ---bundle /b c",
        "create --=x c",
        "create -=x c",
        "create --no-pivot=maybe c",
        "create --preserve-fds x c",
        "exec -tx c sh",
        "exec -tu 1 c sh",
        "--rootless maybe list",
        "list --format xml",
    ],
)
def test_refused(argv: str) -> None:
    """What the fast parser leaves to Typer."""
    with pytest.raises(RefusedError):
        call(*argv.split())


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1 ", "1_0", "0x1", "1.0", "٣", "²", "4294967295", "9" * 30])
def test_no_number(text: str) -> None:
    """int() would take some of them (CVE-2024-40635 and its kin)."""
    with pytest.raises(ValueError, match="is not a number"):
        number(text)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("007", 7), ("4294967294", 4294967294)])
def test_number(text: str, value: int) -> None:
    assert number(text) == value


def test_rows_are_sound() -> None:
    """Names and letters of one command are unique, and none is -h or --help, which Typer gives to each."""
    for flags in (GLOBAL, *(row.flags for row in COMMANDS.values())):
        names = [flag.name for flag in flags] + [flag.short for flag in flags if flag.short]
        assert len(names) == len(set(names))
        assert not {"h", "help"} & set(names)
        assert all(flag.kind is SWITCH or flag.metavar or flag.choices for flag in flags)
