# SPDX-License-Identifier: Apache-2.0
"""Fast parser and Typer app come from one table: they agree on what they take, and Typer explains what is refused."""

from itertools import chain
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from pyrunc.cli.parse import RefusedError, parse, split
from pyrunc.cli.table import COMMANDS, GLOBAL, NUMBER, NUMBERS, SWITCH, Flag
from pyrunc.cli.typer_app import answer, collect, explain
from pyrunc.errors import UsageError

# Also words that look like flags, and like nothing: they are values when a flag wants one.
WORDS = st.one_of(st.sampled_from(["", "-", "--", "-b", "--bundle", "a=b", "=", "c1", "-1", "1"]), st.text(max_size=4))
WORDS = WORDS.filter(lambda text: text.isprintable())
NAMES = st.text("abc019._", min_size=1, max_size=3)


@st.composite
def flag_words(draw: st.DrawFn, flag: Flag) -> list[str]:
    """One use of a flag, in each form that both halves take."""
    name = draw(st.sampled_from([f"--{flag.name}", f"-{flag.name}"] + ([f"-{flag.short}"] if flag.short else [])))
    if flag.kind is SWITCH:
        return [name]
    values: st.SearchStrategy[Any] = st.sampled_from(flag.choices) if flag.choices else WORDS
    if flag.kind in (NUMBER, NUMBERS):
        values = st.integers(0, 2**32 - 2)
    value = str(draw(values))
    return draw(st.sampled_from([[name, value], [f"{name}={value}"]]))


@st.composite
def valid_argv(draw: st.DrawFn) -> list[str]:
    """A command line of any command, its flags in any order and repeated."""
    flags = [flag for flag in GLOBAL if flag.name != "version"]
    argv = [word for flag in draw(st.lists(st.sampled_from(flags), max_size=3)) for word in draw(flag_words(flag))]
    command = draw(st.sampled_from(list(COMMANDS.values())))
    argv.append(command.name)
    parts = [
        draw(flag_words(flag)) for flag in draw(st.lists(st.sampled_from(command.flags or GLOBAL[:1]), max_size=4))
    ]
    if not command.flags:
        parts = []
    names = [[draw(NAMES)] for _ in range(draw(st.integers(command.required, len(command.arguments))))]
    if command.tail:
        # Behind the first word, a word that begins with a dash is no flag
        return argv + list(chain(*parts, *names)) + draw(st.lists(WORDS if names else NAMES, max_size=3))
    return argv + list(chain(*draw(st.permutations(parts + names))))


@hypothesis.settings(max_examples=300)
@hypothesis.given(valid_argv())
def test_both_halves_agree(argv: list[str]) -> None:
    """The same command with the same values."""
    fast = parse(*split(argv))
    rich, text = collect(argv)
    assert rich is not None, text
    assert rich.command is fast.command
    assert rich.options == fast.options
    assert rich.values == fast.values


def wrong_words(argv: str) -> str:
    with pytest.raises(UsageError) as caught:
        refused(argv.split())
    return str(caught.value)


def refused(argv: list[str]) -> Any:
    try:
        return parse(*split(argv))
    except RefusedError as refusal:
        return explain(argv, refusal)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("stat c", "no such command 'stat'; did you mean 'state', 'start'?"),
        ("create --bundel /b c", "no such option: --bundel; did you mean --bundle?"),
        ("create -bundel c", "no such option: -bundel"),
        ("create -b/b c", "no such option: -b/b"),
        ("state --root /r c", "no such option: --root"),
        ("create --bundle", "option '--bundle' requires an argument"),
        ("restore --lsm-mount-context", "option '--lsm-mount-context' requires an argument"),
        ("create --preserve-fds x c", "invalid value for '--preserve-fds': 'x' is not a number from 0 to 4294967294"),
        ("--log-format xml list", "invalid value for '--log-format': 'xml' is none of text, json"),
        ("create --no-pivot=maybe c", "--no-pivot=maybe: the value can be true or false"),
    ],
    ids=str,
)
def test_explained(argv: str, words: str) -> None:
    """One line, in lower case and without a full stop; podman looks for "requires an argument"."""
    found = wrong_words(argv)
    if "maybe" in argv:
        assert "no-pivot" in found
    else:
        assert found == words


@hypothesis.settings(max_examples=150)
@hypothesis.given(valid_argv(), st.integers(0, 8), st.sampled_from(["--nonsense", "-Z", "--x=1", "---", "-bx"]))
def test_a_wrong_word_is_told_in_one_line(argv: list[str], place: int, word: str) -> None:
    """A flag that no row has is a UsageError (or a flag's value, or the command's), and Typer never takes it."""
    argv.insert(place, word)
    message = ""
    try:
        assert refused(argv)
    except UsageError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["create", "--help"], ["checkpoint", "--help"]], ids=str)
def test_help(argv: list[str], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Help goes to standard output, and names each visible flag."""
    assert refused(argv) == 0
    text = capfdbinary.readouterr().out.decode()
    flags = COMMANDS[argv[0]].flags if argv and argv[0] in COMMANDS else GLOBAL
    assert all((f"--{flag.name}" in text) is not flag.hidden for flag in flags)


def test_help_command(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert answer(parse(*split(["help", "kill"]))) == 0
    assert b"Usage: pyrunc kill [OPTIONS] CONTAINER [SIGNAL]" in capfdbinary.readouterr().out
    with pytest.raises(UsageError, match="no such command 'kil'; did you mean 'kill'"):
        answer(parse(*split(["help", "kil"])))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert answer(parse(*split(["completion", shell]))) == 0
    assert b"_PYRUNC_COMPLETE=complete_" + shell.encode() in capfdbinary.readouterr().out


def test_completion_of_an_unknown_shell() -> None:
    with pytest.raises(UsageError, match="no completion for 'tcsh'"):
        answer(parse(*split(["completion", "tcsh"])))


@pytest.mark.parametrize(
    ("line", "proposals"),
    [
        ("pyrunc sta", ["start", "state"]),
        ("pyrunc --log-format j", ["json"]),
        ("pyrunc create --pid", ["--pid-file", "--pidfd-socket"]),
        ("pyrunc completion z", ["zsh"]),
        ("pyrunc --root /nonexistent kill x", []),
    ],
    ids=str,
)
def test_proposals(
    line: str, proposals: list[str], monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """What a shell asks for with Tab."""
    monkeypatch.setenv("_PYRUNC_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    assert explain([], None) == 0
    assert sorted(capfdbinary.readouterr().out.decode().split()) == sorted(proposals)
