# SPDX-License-Identifier: Apache-2.0
"""Whatever config.json or the command line is: an exit status and one line, never a traceback, never a defect."""

import copy
import json
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cli import main
from pyrunc.cli.table import COMMANDS
from tests.containers.box import CONFIG

JUNK: list[Any] = [
    *(None, True, 0, -1, 1 << 70, 1.5, "", "x", "/", "\n\0", "\ud800", [], {}, [[]], [{}], {"": {}}, "a" * 5000),
    *(["x", 1], {"x": None}, [None], "0", "../..", "SCMP_ACT_ALLOW", "bind", ["bind", "tmpcopyup"]),
]
FULL: dict[str, Any] = CONFIG | {
    "hostname": "box",
    "annotations": {"a": "b"},
    "hooks": {"prestart": [{"path": "/bin/true", "timeout": 1, "env": ["A=b"], "args": ["true"]}]},
    "linux": CONFIG["linux"]
    | {
        "devices": [{"type": "c", "path": "/dev/x", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0}],
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "cgroupsPath": "/x",
        "resources": {"memory": {"limit": 1 << 30}, "cpu": {"shares": 2}, "devices": [{"allow": False}]},
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1}]}],
        },
    },
}
SEEDS = range(8)
EACH = 40


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every member of a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in pairs:
        yield (*path, key)
        yield from places(member, (*path, key))


def broken(chance: random.Random) -> str:
    """A config with one to three members that are something else, or the text itself cut or changed."""
    config = copy.deepcopy(FULL)
    for _ in range(chance.randint(1, 3)):
        *path, key = chance.choice(list(places(config)))
        parent: Any = config
        for step in path:
            parent = parent[step]
        parent[key] = chance.choice(JUNK)
    text = json.dumps(config)
    if chance.random() < 0.2:
        cut = chance.randrange(len(text))
        text = text[:cut] + chance.choice(["", "{", '"', "\\", "\x00", "1e999", "[" * 100]) + text[cut + 1 :]
    return text


def check(argv: list[str], capfd: pytest.CaptureFixture[str], about: str) -> None:
    status = main.run(argv)
    err = capfd.readouterr().err
    assert status in (0, 1, 255), about
    assert "internal error" not in err, f"{err}\n{about}"
    assert "Traceback" not in err
    if status:
        assert err.startswith("pyrunc: "), about
        assert err.count("\n") == 1
        assert err[:-1].isprintable()


@pytest.mark.parametrize("seed", SEEDS)
def test_config(tmp_path: Path, capfd: pytest.CaptureFixture[str], seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(EACH):
        text = broken(chance)
        (tmp_path / "config.json").write_text(text, "utf-8", "surrogatepass")
        check(["--root", str(tmp_path / "root"), "plan", "--bundle", str(tmp_path)], capfd, text)


@pytest.mark.parametrize("seed", SEEDS)
def test_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str], seed: int) -> None:
    """No container is made: there is no bundle."""
    chance = random.Random(seed)
    words = ["--root", "--log", "--log-format", "json", "-b", "--", "-", "", "x", "--pid-file", "a=b", "-h1", "--x=\n"]
    for _ in range(EACH):
        argv = [chance.choice([*COMMANDS, *words]) for _ in range(chance.randint(1, 5))]
        argv += ["".join(chance.choices(string.printable, k=3)) for _ in range(chance.randint(0, 2))]
        if {"spec", "help", "completion", "--log"} & set(argv):
            continue  # writes a file, or prints what was asked for
        check(["--root", str(tmp_path / "root"), *argv], capfd, repr(argv))
