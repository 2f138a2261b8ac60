# SPDX-License-Identifier: Apache-2.0
"""The installed program: it finds its package in each layout, and nothing of the caller's reaches the interpreter."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
LAUNCHER = ROOT / "pyrunc/launcher/pyrunc"
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
VERSION = "pyrunc version 0.1.0\n"


def start(program: Path | str, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *argv], capture_output=True, text=True, check=False, timeout=30, **options)


def install(prefix: Path, lib: str = f"lib/{PYTHON}/site-packages", *, editable: bool = False) -> Path:
    """The launcher and the package in `prefix`, as pip lays them out; the path of the launcher."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / lib).mkdir(parents=True)
    (prefix / "bin/python3").symlink_to(Path(sys.executable).resolve())
    shutil.copy(LAUNCHER, prefix / "bin/pyrunc")
    if editable:
        (prefix / lib / "_pyrunc.pth").write_text(str(ROOT), "utf-8")
    else:
        (prefix / lib / "pyrunc").symlink_to(ROOT / "pyrunc")
    return prefix / "bin/pyrunc"


@pytest.mark.parametrize(
    "lib",
    [
        f"lib/{PYTHON}/site-packages",
        f"lib/{PYTHON}/dist-packages",
        f"local/lib/{PYTHON}/dist-packages",
        "lib/python3/dist-packages",
    ],
)
def test_layouts(tmp_path: Path, lib: str) -> None:
    done = start(install(tmp_path / "pre fix", lib), "--version")
    assert done.stdout.startswith(VERSION), done.stderr


def test_editable(tmp_path: Path) -> None:
    assert start(install(tmp_path, editable=True), "--version").stdout.startswith(VERSION)


def test_from_the_sources() -> None:
    assert start(LAUNCHER, "--version").stdout.startswith(VERSION)


def test_by_symbolic_links_and_relative_paths(tmp_path: Path) -> None:
    program = install(tmp_path / "opt")
    (tmp_path / "one").symlink_to("opt/bin/pyrunc")
    (tmp_path / "two").symlink_to("one")
    assert start(tmp_path / "two", "--version").stdout.startswith(VERSION)
    assert start("./two", "--version", cwd=tmp_path).stdout.startswith(VERSION)
    assert start("sh", "pyrunc", "--version", cwd=program.parent).stdout.startswith(VERSION)
    found = start("sh", "-c", "PATH=opt/bin; pyrunc --version", cwd=tmp_path)
    assert found.stdout.startswith(VERSION)


def test_without_its_package(tmp_path: Path) -> None:
    program = install(tmp_path)
    (tmp_path / f"lib/{PYTHON}/site-packages/pyrunc").unlink()
    done = start(program, "--version")
    assert done.returncode == 1
    assert done.stderr == f"pyrunc: no Python package pyrunc in {tmp_path}/lib\n"


def test_the_interpreter_is_isolated_and_gets_the_words_unchanged(tmp_path: Path) -> None:
    """Words with blanks, quotes, patterns and nothing in them; the options that isolate stand first."""
    program = install(tmp_path)
    python = tmp_path / "bin" / PYTHON
    python.write_text('#!/bin/sh\nprintf "%s|" "$@"\n', "utf-8")
    python.chmod(0o755)
    words = ["", "a b", "*", "'", '"$HOME"', "`id`", "--", "-c", "\\n"]
    shown = start(program, *words).stdout.split("|")[:-1]
    lib = f"{tmp_path}/lib/{PYTHON}/site-packages"
    assert shown == ["-I", "-S", "-B", "-X", "utf8", str(program), lib, "", *words]


HOSTILE = "import posix\nposix._exit(99)\n"
NAMES = ("json", "os", "typing", "re", "io", "pyrunc", "typer", "sitecustomize", "usercustomize", "_json", "posixpath")


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["nonsense"], ["--root", "/nonexistent", "list"]], ids=str)
def test_nothing_of_the_caller_is_loaded(tmp_path: Path, argv: list[str]) -> None:
    """Neither the current directory, nor a variable of Python's, nor one that the launcher itself uses."""
    program = install(tmp_path / "prefix")
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in NAMES:
        (hostile / f"{name}.py").write_text(HOSTILE, "utf-8")
    (hostile / "python3").write_text("#!/bin/sh\nexit 98\n", "utf-8")
    (hostile / "python3").chmod(0o755)
    variables = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX", "PATH")
    shell = ("self", "bin", "prefix", "lib", "source", "folder", "name", "python", "IFS", "CDPATH", "ENV")
    environment = {name: str(hostile) for name in variables + shell}
    environment |= {"PYTHONINSPECT": "1", "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = start(program, *argv, cwd=hostile, env=environment, stdin=subprocess.DEVNULL)
    assert done.returncode in {0, 1}
    assert "Traceback" not in done.stderr
    if argv == ["--version"]:
        assert done.stdout.startswith(VERSION)


def test_packages_do_not_hide_modules_of_python(tmp_path: Path) -> None:
    """A json.py among the packages is somebody's mistake; the standard library comes first."""
    program = install(tmp_path)
    for name in NAMES:
        if name not in {"pyrunc", "typer"}:
            (tmp_path / f"lib/{PYTHON}/site-packages/{name}.py").write_text(HOSTILE, "utf-8")
    assert start(program, "--version").stdout.startswith(VERSION)
    assert start(program, "nonsense").stderr == 'pyrunc: unknown command "nonsense"\n'


def test_without_typer_the_fast_parser_explains(tmp_path: Path) -> None:
    program = install(tmp_path)
    assert start(program, "create", "--bundel", "x", "c").stderr == "pyrunc: no such option: --bundel\n"
    done = start(program, "help")
    assert done.returncode == 1
    assert done.stderr.startswith("pyrunc: help and completion need the Python package typer: ")


def test_no_bytecode_is_written(tmp_path: Path) -> None:
    """A runtime that writes beside its own code as root is a way to change that code."""
    folder = tmp_path / "prefix" / "lib" / PYTHON / "site-packages"
    program = install(tmp_path / "prefix")
    (folder / "pyrunc").unlink()
    shutil.copytree(ROOT / "pyrunc", folder / "pyrunc", ignore=shutil.ignore_patterns("__pycache__"))
    assert start(program, "--version").stdout.startswith(VERSION)
    assert not list(folder.rglob("*.pyc"))
    assert os.access(program, os.X_OK)
