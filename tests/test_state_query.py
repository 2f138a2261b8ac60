# SPDX-License-Identifier: Apache-2.0
"""`state` and `list`: the object of runc in its order, whatever else lies in the state directory, with few imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyrunc.container.query import containers, frozen, hook_state, state
from pyrunc.container.settings import Settings
from pyrunc.errors import IdError, NotFoundError, StateError
from pyrunc.state import status, store
from pyrunc.state.record import Record

ROOT = Path(__file__).parent.parent


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def settings(tmp_path: Path, warnings: list[str]) -> Settings:
    return Settings(str(tmp_path / "root"), warnings.append)


def make(settings: Settings, container_id: str, **values: object) -> Record:
    """A container whose process is this one."""
    given: dict[str, object] = {"id": container_id, "bundle": "/b", "rootfs": "/b/rootfs", "oci_version": "1.2.0"}
    record = Record(**{**given, "status": "created", "created": "2026-01-02T03:04:05.6Z", **values})  # type: ignore[arg-type]
    record.bind(os.getpid())
    entry = store.claim(settings.root, container_id)
    status.save(entry, record)
    entry.close()
    return record


def test_the_state_has_the_members_of_runc_in_its_order(settings: Settings) -> None:
    make(settings, "box", annotations={"a": "b"})
    assert list(state(settings, "box").items()) == [
        ("ociVersion", "1.2.0"),
        ("id", "box"),
        ("pid", os.getpid()),
        ("status", "running"),
        ("bundle", "/b"),
        ("rootfs", "/b/rootfs"),
        ("created", "2026-01-02T03:04:05.6Z"),
        ("annotations", {"a": "b"}),
        ("owner", ""),
    ]


def test_a_stopped_container_has_pid_0_and_no_empty_annotations(settings: Settings) -> None:
    make(settings, "box", boot="another")
    found = state(settings, "box")
    assert (found["status"], found["pid"], "annotations" in found) == ("stopped", 0, False)


def test_one_in_a_unit_of_systemd_has_its_name_as_with_crun(settings: Settings) -> None:
    make(settings, "box", cgroup={"mode": "v2", "paths": {}, "made": [], "unit": "system docker-box.scope"})
    assert state(settings, "box")["systemd-scope"] == "docker-box.scope"
    assert "systemd-scope" not in containers(settings)[0]


def test_unknown_invalid_and_half_made_containers_are_errors(settings: Settings) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        state(settings, "box")
    with pytest.raises(IdError):
        state(settings, "../box")
    store.claim(settings.root, "box").close()
    with pytest.raises(StateError, match="create did not finish"):
        state(settings, "box")


def test_the_list_leaves_out_what_cannot_be_read(settings: Settings, warnings: list[str]) -> None:
    """[state-corrupted]"""
    for name in ("b", "a", "corrupt", "half", "foreign"):
        make(settings, name, owner=0)
    Path(settings.root, "corrupt", "state.json").write_bytes(b'{"pid": -1')
    Path(settings.root, "half", "state.json").unlink()
    Path(settings.root, "foreign").chmod(0o777)
    Path(settings.root, "file").touch()
    assert [(one["id"], one["owner"]) for one in containers(settings)] == [("a", "root"), ("b", "root")]
    assert [warning.split(":")[0] for warning in warnings] == [
        "container corrupt",
        "container foreign",
        "container half",
    ]


def test_the_owner_is_a_name_or_a_number(settings: Settings) -> None:
    make(settings, "a", owner=1)
    make(settings, "b", owner=4_000_000_000)
    assert [one["owner"] for one in containers(settings)] == ["daemon", "#4000000000"]


def test_no_containers_are_an_empty_list(settings: Settings) -> None:
    assert containers(settings) == []


@pytest.mark.parametrize(
    ("controller", "file", "text", "expected"),
    [
        ("freezer", "freezer.state", "FROZEN\n", True),
        ("freezer", "freezer.state", "FREEZING\n", False),
        ("freezer", "freezer.state", "THAWED\n", False),
        ("", "cgroup.freeze", "1\n", True),
        ("", "cgroup.freeze", "0\n", False),
        ("", "other", "1\n", False),
    ],
)
def test_frozen_reads_the_file_of_the_version(
    controller: str,
    file: str,
    text: str,
    expected: bool,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pyrunc.state.record._CGROUPS", str(tmp_path.parent))
    (tmp_path / file).write_text(text)
    record = make(settings, "box", cgroup={"paths": {controller: str(tmp_path), "memory": f"{tmp_path}/none"}})
    assert frozen(record) is expected
    assert state(settings, "box")["status"] == ("paused" if expected else "running")


@pytest.mark.parametrize("cgroup", [{}, {"paths": None}, {"paths": {}}, {"paths": {"": 5}}, {"paths": {"": "/none"}}])
def test_without_a_cgroup_nothing_is_frozen(cgroup: dict[str, object], settings: Settings) -> None:
    assert not frozen(make(settings, "box", cgroup=cgroup))


def test_hooks_get_the_members_of_the_specification(settings: Settings) -> None:
    record = make(settings, "box", annotations={"a": "é"})
    assert hook_state(record, "creating", 7) == (
        b'{"ociVersion":"1.2.0","id":"box","status":"creating","pid":7,"bundle":"/b","annotations":{"a":"\\u00e9"}}'
    )
    record.annotations = {}
    assert hook_state(record, "stopped", 0) == b'{"ociVersion":"1.2.0","id":"box","status":"stopped","bundle":"/b"}'


def test_state_imports_little(settings: Settings) -> None:
    make(settings, "box")
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "before = set(sys.modules)\n"
        "from pyrunc.container.settings import Settings\n"
        "from pyrunc.container.query import state\n"
        f"state(Settings({settings.root!r}, print), 'box')\n"
        "print(*sorted(m for m in set(sys.modules) - before if not m.startswith('pyrunc')))\n"
        "print(*sorted(m for m in set(sys.modules) - before if m.startswith('pyrunc.')))\n"
    )
    done = subprocess.run([sys.executable, "-ISc", script], check=True, capture_output=True, text=True)
    foreign, own = done.stdout.splitlines()
    assert set(foreign.split()) <= {"_json", "errno", "fcntl", "posix", "time"}
    assert len(own.split()) <= 18, own
