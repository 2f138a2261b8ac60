# SPDX-License-Identifier: Apache-2.0
"""Where the error of a real container goes: one entry in the log, one line on stderr, and the exit status."""

import datetime as dt
import json
import re
from pathlib import Path

import pytest

from tests.containers.box import Box

# time.RFC3339 of Go, as containerd's and podman's decoders take it
GO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
FAILING = {"linux": {"sysctl": {"net.ipv4.ip_forward": "abc"}}, "process": {"capabilities": {"bounding": ["CAP_NOPE"]}}}
REASON = 'invalid argument (EINVAL): the kernel refuses the value "abc"'


def check_entry(entry: dict[str, str], **expected: str) -> None:
    assert list(entry) == ["level", "msg", "time", *expected]
    assert entry["level"] == "error"
    assert GO_TIME.fullmatch(entry["time"])
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(entry["time"])
    assert abs(age) < dt.timedelta(seconds=60)
    assert {key: entry[key] for key in expected} == expected


@pytest.mark.parametrize("verb", ["create", "run"])
def test_json(box: Box, tmp_path: Path, verb: str) -> None:
    """One object, though there is a warning too: podman reads the file as one."""
    log = tmp_path / "log.json"
    box.write(FAILING, "true", "x")
    result = box.pyrunc("--log", log, "--log-format", "json", verb, "--bundle", box.bundle, box.id, status=1)
    entry = json.loads(log.read_text())
    call = 'write(sysctl, "abc", 3)'
    check_entry(entry, pointer="/linux/sysctl/net.ipv4.ip_forward", call=call)
    assert entry["msg"] == f"{entry['pointer']}: {call}: {REASON}"
    assert result.err == f"pyrunc: {entry['msg']}"
    box.check_clean()


def test_text(box: Box, tmp_path: Path) -> None:
    log = tmp_path / "log"
    box.write(FAILING, "true", "x")
    result = box.pyrunc("--log", log, "run", "--bundle", box.bundle, box.id, status=1)
    message = result.err.removeprefix("pyrunc: ")
    time, _, rest = log.read_text().removeprefix('time="').partition('" ')
    assert GO_TIME.fullmatch(time)
    assert rest == f"level=error msg={json.dumps(message)}\n"


def test_a_program_that_cannot_be_executed(box: Box, tmp_path: Path) -> None:
    """It has a field, but no call: the words are the program's."""
    log = tmp_path / "log.json"
    box.start({}, "sleep 100")
    flags = ("--log", log, "--log-format", "json", "exec", box.id)
    result = box.pyrunc(*flags, "nope", status=255)
    entry = json.loads(log.read_text())
    check_entry(entry, pointer="/process/args/0")
    assert entry["msg"].endswith('exec: "nope": executable file not found in $PATH ("/bin")')
    assert result.err == f"pyrunc: {entry['msg']}"
    assert box.exec("exit 7", status=7).err == ""
    assert box.exec("kill -9 $$", status=137).err == ""
    box.delete("--force")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/nope/log", "its directory is missing"),
        ("/etc", "it is a folder"),
        ("/etc/passwd/x", "its directory is a file"),
    ],
)
def test_a_log_that_cannot_be_written(box: Box, path: str, reason: str) -> None:
    """Nothing is done without the log that was asked for."""
    box.write({}, "true", "x")
    result = box.pyrunc("--log", path, "run", "--bundle", box.bundle, box.id, status=1)
    assert result.err == f"pyrunc: --log: cannot open '{path}': {reason}"
    box.check_clean()


def test_a_full_log_does_not_hide_the_error(box: Box) -> None:
    box.write(FAILING, "true", "x")
    result = box.pyrunc("--log", "/dev/full", "run", "--bundle", box.bundle, box.id, status=1)
    assert result.err.endswith(REASON)
    box.check_clean()


def test_what_a_container_names_cannot_make_a_second_line(box: Box) -> None:
    error = box.refused({}, "no\nlevel=error msg=forged\x1b[2J", "x")
    assert error.count("\n") == 0
    assert error.isprintable()
