# SPDX-License-Identifier: Apache-2.0
"""What the runtime prints and logs: no traceback, no second line, no escape sequence of the image's."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.containers.box import Box, runtime
from tests.security.test_python import told


def test_traceback_leak(box: Box, tmp_path: Path) -> None:
    """B10. A defect of the runtime itself, here a damaged module, is told in one line, in --log as JSON too; no
    traceback, no source, no value of the environment.
    """
    tree = tmp_path / "tree"
    source = Path(runtime()).resolve()
    while not (source / "pyrunc/cli").is_dir():
        source = source.parent
    shutil.copytree(source / "pyrunc", tree / "pyrunc")
    module = tree / "pyrunc/container/create.py"
    module.write_text(
        module.read_text().replace(
            "    options = Options(", "    secret = {}['hunter2\\x1b[2J\\n'] = [][7]\n    options = Options(", 1
        )
    )
    log = tmp_path / "log"
    box.write({}, "true")
    result = subprocess.run(
        [
            tree / "pyrunc/launcher/pyrunc",
            "--root",
            box.root,
            "--log",
            log,
            "--log-format",
            "json",
            "create",
            "-b",
            box.bundle,
            box.id,
        ],
        check=False,
        capture_output=True,
        text=True,
        env={"SECRET": "hunter3"},
    )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "internal error: IndexError" in result.stderr
    assert "Traceback" not in result.stderr + log.read_text()
    assert "hunter" not in result.stderr + log.read_text()
    (entry,) = (json.loads(line) for line in log.read_text().splitlines())
    assert entry["level"] == "error"


@pytest.mark.parametrize(
    "verb", [("list",), ("list", "--format", "json"), ("--help",), ("--version",), ("spec",), ("plan",)]
)
@pytest.mark.parametrize("end", ["closed", "full", "broken"])
def test_traceback_leak_output(box: Box, verb: tuple[str, ...], end: str) -> None:
    """B10. stdout is closed, full, or its reader is gone: at most one line, no traceback, no "Exception ignored"."""
    box.write({}, "true")
    read, write = os.pipe()
    os.close(read)
    try:
        options: dict[str, Any] = {"stdout": write}
        if end == "closed":
            options = {"preexec_fn": lambda: os.close(1)}
        elif end == "full":
            options = {"stdout": os.open("/dev/full", os.O_WRONLY)}
        result = subprocess.run(
            [runtime(), "--root", box.root, *verb],
            check=False,
            stderr=subprocess.PIPE,
            text=True,
            cwd=box.bundle,
            **options,
        )
        if end == "full":
            os.close(options["stdout"])
    finally:
        os.close(write)
    assert len(result.stderr.splitlines()) <= 1
    assert "Traceback" not in result.stderr
    assert "ignored" not in result.stderr


HOSTILE_TEXT = 'x\n{"level":"error","msg":"forged"}\r\x1b[2J\x1b]0;title\x07\u202e\u2028y'


@pytest.mark.parametrize("form", ["text", "json"])
def test_log_injection(box: Box, form: str) -> None:
    """B13. Strings of the image are in errors and warnings: in args[0], in the output of a hook, in an annotation.
    They make no second line and no escape sequence, neither in the log nor on standard error.
    """
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"printf '%s' '{HOSTILE_TEXT}'; exit 3"]}
    for patch, argv in (
        ({}, ("/" + HOSTILE_TEXT, "x")),
        ({"process": {"cwd": "/proc/" + HOSTILE_TEXT}}, ("true", "x")),
        ({"hooks": {"createRuntime": [hook]}}, ("true", "x")),
        ({"hooks": {"startContainer": [hook]}}, ("true", "x")),
        ({"linux": {"sysctl": {HOSTILE_TEXT: "1"}}}, ("true", "x")),
        ({"process": {"capabilities": {"bounding": [HOSTILE_TEXT]}}}, ("/missing", "x")),
    ):
        log = box.folder / "log"
        log.unlink(missing_ok=True)
        box.write(patch, *argv)
        flags = ("--log", log, "--log-format", form, "--log-level", "debug")
        error = box.pyrunc(*flags, "run", "--bundle", box.bundle, box.id, status=1).err
        told(error)
        lines = log.read_text().removesuffix("\n").split("\n")
        assert not any(c in error + "".join(lines) for c in "\r\x1b\x07\u202e\u2028")
        assert sum("level=error" in line or '"level":"error"' in line.replace(" ", "")[:20] for line in lines) <= 2
        if form == "json":
            assert [entry["msg"] != "forged" for entry in map(json.loads, lines)]


def test_log_file_symlink(box: Box, canary: Path) -> None:
    """B13. --log names a symlink: not followed."""
    log = box.folder / "log"
    log.symlink_to(canary / "file")
    box.write({}, "true")
    assert "--log" in box.pyrunc("--log", log, "run", "--bundle", box.bundle, box.id, status=1).err
