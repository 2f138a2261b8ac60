# SPDX-License-Identifier: Apache-2.0
"""The record: written, read back, and refused when it is not one of ours; the identity of a process."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyrunc.errors import StateError
from pyrunc.state import record as module
from pyrunc.state.record import Record, boot_id, from_bytes, now, process_stat


def a_record(**values: object) -> Record:
    given: dict[str, object] = {"id": "box", "bundle": "/b", "rootfs": "/b/rootfs", "oci_version": "1.2.0"}
    return Record(**{**given, **values})  # type: ignore[arg-type]


def test_a_record_reads_back_as_written() -> None:
    record = a_record(
        pid=4711,
        start=99,
        owner=1000,
        manager="systemd",
        cgroup={"paths": {"": "/sys/fs/cgroup/x"}, "unit": None},
        annotations={"a": "é\n"},
        own_pids=False,
        hooks=["poststop"],
        bundle="/b/é",
    )
    again = from_bytes(record.to_bytes())
    assert {name: getattr(again, name) for name in Record.__slots__} == {
        name: getattr(record, name) for name in Record.__slots__
    }


def test_a_bundle_that_json_cannot_name_is_refused() -> None:
    with pytest.raises(StateError, match="is not UTF-8"):
        a_record(bundle="/b\udcff").to_bytes()


def test_a_new_record_is_of_this_moment_user_and_boot() -> None:
    record = a_record()
    assert (record.owner, record.boot, record.status, record.pid) == (os.geteuid(), boot_id(), "creating", 0)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z", record.created)


def test_created_drops_the_zeros_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_120_000_000)
    assert now() == "2023-11-14T22:13:20.12Z"
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_000_000_000)
    assert now() == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pid", -1),
        ("pid", 1),
        ("pid", True),
        ("pid", "12"),
        ("pid", 12.0),
        ("pid", 2**31),
        ("start", 0),
        ("start", -5),
        ("start", None),
        ("boot", ""),
        ("boot", None),
        ("bundle", "relative"),
        ("format", 2),
        ("format", None),
        ("cgroup", []),
        ("cgroup", None),
        ("annotations", {"a": 1}),
        ("hooks", "poststop"),
        ("ownPids", 1),
        ("owner", -1),
        ("id", 5),
        ("status", None),
        ("created", 5),
    ],
)
def test_a_wrong_value_is_refused(key: str, value: object) -> None:
    """[state-hostile-pid] [state-corrupted]"""
    data = json.loads(a_record(pid=4711, start=99).to_bytes())
    data[key] = value
    with pytest.raises(StateError, match="not a record of this version"):
        from_bytes(json.dumps(data).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"id":', b"[" * 100_000, b"{}"])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(StateError, match=r"/run/box/state\.json"):
        from_bytes(data, "/run/box/state.json")


def test_the_name_of_a_process_cannot_lie_about_its_start(tmp_path: Path) -> None:
    """[state-pid-reuse] Field 22 is counted from the last `)`."""
    program = tmp_path / ") Z 1 (x"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([program, "30"]) as child:
        stat = process_stat(child.pid)
        own = process_stat(os.getpid())
        child.kill()
    assert stat is not None
    assert own is not None
    assert stat[0] in "RSD"
    assert stat[1] >= own[1]


def test_no_process_has_no_stat() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert process_stat(child.pid) is None


def test_bind_takes_a_live_process() -> None:
    record = a_record()
    record.bind(os.getpid())
    assert (record.pid, record.start) == (os.getpid(), (process_stat(os.getpid()) or ("", 0))[1])
    with pytest.raises(StateError, match="is gone"):
        record.bind(module._MOST_PIDS)
