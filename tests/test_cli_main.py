# SPDX-License-Identifier: Apache-2.0
"""What a caller sees of an error: one line, in the right place and form, an exit status, and nothing else."""

import datetime as dt
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyrunc.cli import main
from pyrunc.cli.log import Log, start
from pyrunc.errors import ConfigError, NotFoundError, SetupError, UsageError

ROOT = Path(__file__).parent.parent
PROGRAM = [
    *(sys.executable, "-I", "-S", "-B", "-X", "utf8", str(ROOT / "pyrunc/launcher/pyrunc")),
    *(sysconfig.get_path("purelib"), str(ROOT)),
]

Verb = Callable[[BaseException], None]


def pyrunc(*argv: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    words = [*PROGRAM, *map(str, argv)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=30, **options)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Verb:
    """The verbs state and exec raise what they are told to."""

    def set_error(error: BaseException) -> None:
        def run(_: object, __: object) -> int:
            raise error

        for verb in ("state", "exec"):
            monkeypatch.setitem(sys.modules, f"pyrunc.commands.{verb}", SimpleNamespace(run=run))

    return set_error


def test_error_in_log_and_on_stderr(tmp_path: Path) -> None:
    """Containerd and podman read the file, people and conmon the stream: one entry, one line."""
    log = tmp_path / "log.json"
    done = pyrunc("--root", tmp_path / "root", "--log", log, "--log-format=json", "state", "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    entry = json.loads(log.read_text("utf-8"))
    assert list(entry) == ["level", "msg", "time"]
    assert entry["level"] == "error"
    assert "does not exist" in entry["msg"]
    assert dt.datetime.fromisoformat(entry["time"]).tzinfo is not None
    assert done.stderr == f"pyrunc: {entry['msg']}\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_error_in_a_text_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pyrunc("--root", tmp_path / "root", "--log", log, "state", "nobody")
    text = log.read_text("utf-8")
    assert text.startswith('time="20')
    assert '" level=error msg="' in text
    assert text.count("\n") == 1


def test_json_on_stderr_without_a_log(tmp_path: Path) -> None:
    """As runc: the stream is the log."""
    done = pyrunc("--root", tmp_path, "--log-format", "json", "state", "nobody")
    assert json.loads(done.stderr)["level"] == "error"


def test_a_wrong_command_line_is_logged_too(tmp_path: Path) -> None:
    done = pyrunc("--log", tmp_path / "log", "--log-format", "json", "create", "--bundel", "x", "c")
    entry = json.loads((tmp_path / "log").read_text("utf-8"))
    assert entry["msg"] == "no such option: --bundel; did you mean --bundle?"
    assert done.stderr == f"pyrunc: {entry['msg']}\n"
    assert done.returncode == 1


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n", "utf-8")
    pyrunc("--log", log, "start")
    assert log.read_text("utf-8").startswith("before\ntime=")


@pytest.mark.parametrize("kind", ["link", "missing", "folder"])
def test_a_log_that_cannot_be(tmp_path: Path, kind: str) -> None:
    """A symbolic link is not followed; the error has none of the words that engines take for the command's."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "folder").mkdir()
    done = pyrunc("--log", tmp_path / {"missing": "missing/log"}.get(kind, kind), "list")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert not any(words in done.stderr.lower() for words in ("no such file", "is a directory", "permission denied"))
    assert not (tmp_path / "target").exists()


def test_details_of_an_error_are_in_json(capfd: pytest.CaptureFixture[str], failing: Verb) -> None:
    failing(SetupError("/mounts/3", 'move_mount("/data")', 20, "not a directory", "source is a file"))
    assert main.run(["--log-format", "json", "state", "c"]) == 1
    entry = json.loads(capfd.readouterr().err)
    assert entry["pointer"] == "/mounts/3"
    assert entry["call"] == 'move_mount("/data")'
    assert entry["msg"] == '/mounts/3: move_mount("/data"): not a directory: source is a file'


def test_exec_has_its_own_status(failing: Verb) -> None:
    """255, as runc: other values are those of the process."""
    failing(NotFoundError("container does not exist"))
    assert main.run(["exec", "c", "ls"]) == 255
    assert main.run(["state", "c"]) == 1
    assert main.run(["exec"]) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RecursionError("deep"), "internal error: RecursionError: deep"),
        (MemoryError(), "internal error: MemoryError"),
        (ZeroDivisionError("a\nb\x1b[31m"), "internal error: ZeroDivisionError: a\\nb\\x1b[31m"),
        (FileNotFoundError(2, "No such file or directory", "/x"), "internal error: FileNotFoundError: ENOENT /x"),
        (SystemExit(0), "internal error: SystemExit: 0"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_defect_is_one_line(
    error: BaseException, words: str, capfd: pytest.CaptureFixture[str], failing: Verb
) -> None:
    """No traceback, no control characters, and not the words of strerror(3)."""
    failing(error)
    assert main.run(["state", "c"]) == 1
    text = capfd.readouterr().err
    assert text.startswith(f"pyrunc: {words}")
    assert text.count("\n") == 1


def test_debug_adds_the_traceback_to_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str], failing: Verb) -> None:
    failing(ZeroDivisionError("x"))
    assert main.run(["--debug", "--log", str(tmp_path / "log"), "state", "c"]) == 1
    assert capfd.readouterr().err.count("\n") == 1
    assert "Traceback" in (tmp_path / "log").read_text("utf-8")


def test_interrupt(failing: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    failing(KeyboardInterrupt())
    assert main.run(["state", "c"]) == 130
    assert capfd.readouterr().err == ""


def test_an_error_of_image_text_is_one_line(capfd: pytest.CaptureFixture[str], failing: Verb) -> None:
    """A new line in a message would be a second entry of the log."""
    failing(ConfigError('"a\nb" is wrong \udc80', "/process/cwd"))
    main.run(["state", "c"])
    assert capfd.readouterr().err == 'pyrunc: /process/cwd: "a\\nb" is wrong \\udc80\n'


def test_version() -> None:
    """Docker takes the words round "version" of the last line that has it."""
    done = pyrunc("--version")
    lines = done.stdout.splitlines()
    assert lines[0] == "pyrunc version 0.1.0"
    assert "spec: 1.3.0" in lines[1:]
    assert not any("version" in line for line in lines[1:])
    assert pyrunc("version").stdout == done.stdout


def test_a_reader_that_is_gone_ends_it_quietly() -> None:
    """As SIGPIPE ends other programs; nothing about ignored exceptions."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, "version"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-13, b"")


def test_a_full_disk_is_an_error() -> None:
    with Path("/dev/full").open("w", encoding="ascii") as full:
        done = subprocess.run([*PROGRAM, "version"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr == b"pyrunc: cannot write to standard output: no space left on device (ENOSPC)\n"


def test_closed_standard_descriptors(tmp_path: Path) -> None:
    """/dev/null stands in for them: the log does not become standard error, which would double its entries."""
    log = tmp_path / "log"
    words = [*PROGRAM, "--log", str(log), "--log-format", "json", "--root", str(tmp_path), "state", "nobody"]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], check=False)
    assert done.returncode == 1
    assert json.loads(log.read_text("utf-8"))["level"] == "error"


def test_warnings_wait_to_be_asked_for(tmp_path: Path) -> None:
    """Podman takes the whole log for one JSON object: a warning before the error would hide it."""
    for level, count in (("error", 0), ("warning", 1), ("info", 1), ("debug", 1)):
        path = tmp_path / level
        log = start(str(path), "json", level)
        log.warning("an unknown capability")
        os.close(log.fd)
        assert path.read_text("utf-8").count("\n") == count


def test_warnings_on_a_stream_say_so(capfd: pytest.CaptureFixture[str]) -> None:
    Log(level="warning").warning("odd")
    assert capfd.readouterr().err == "pyrunc: warning: odd\n"


def test_log_to_a_standard_stream(capfd: pytest.CaptureFixture[str]) -> None:
    """These are symbolic links, and used as files by hand."""
    start("/dev/stdout", "json", "error").fail(UsageError("x"))
    seen = capfd.readouterr()
    assert json.loads(seen.out)["msg"] == "x"
    assert seen.err == "pyrunc: x\n"
    start("/dev/stderr", "text", "error").fail(UsageError("x"))
    assert capfd.readouterr().err == "pyrunc: x\n"
