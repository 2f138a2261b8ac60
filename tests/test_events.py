# SPDX-License-Identifier: Apache-2.0
"""How the lack of memory is noticed; containers/test_events.py has the real one of v1."""

import posix
import select
from pathlib import Path

import pytest

from pyrunc.cgroups.driver import Cgroup, from_state
from pyrunc.container.events import _Memory
from pyrunc.container.settings import Settings


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def settings(warnings: list[str]) -> Settings:
    return Settings("/nowhere", warnings.append)


def v2(root: Path) -> Cgroup:
    (root / "box").mkdir()
    (root / "box/memory.events").write_text("low 0\noom 2\noom_kill 1\n")
    return from_state({"mode": "v2", "root": str(root), "paths": {"": f"{root}/box"}, "made": []})


def test_v2_counts_kills_since_the_beginning(tmp_path: Path, settings: Settings, warnings: list[str]) -> None:
    cgroup = v2(tmp_path)
    memory = _Memory(settings, cgroup)
    memory.register(select.poll())
    assert memory.new() == 0
    (tmp_path / "box/memory.events").write_text("low 0\noom 9\noom_kill 3\n")
    assert [memory.new(), memory.new()] == [2, 0]
    (tmp_path / "box/memory.events").unlink()
    assert memory.new() == 0, "a cgroup that is gone tells nothing more"
    memory.close()
    assert not warnings


def test_without_the_controller_there_is_a_warning(tmp_path: Path, settings: Settings, warnings: list[str]) -> None:
    cgroup = v2(tmp_path)
    (tmp_path / "box/memory.events").unlink()
    memory = _Memory(settings, cgroup)
    memory.register(select.poll())
    assert memory.new() == 0
    memory.close()
    assert warnings == [f"no notice of the lack of memory: {tmp_path}/box/memory.events: ENOENT"]


def test_v1_listens_at_an_eventfd(tmp_path: Path, settings: Settings) -> None:
    """What is written to cgroup.event_control; the end of the cgroup is signalled, too, and is no lack of memory."""
    directory = tmp_path / "memory/box"
    directory.mkdir(parents=True)
    (directory / "memory.oom_control").write_text("oom_kill 0\n")
    (directory / "cgroup.event_control").write_text("")
    paths = {"memory": str(directory)}
    memory = _Memory(settings, from_state({"mode": "v1", "root": str(tmp_path), "paths": paths, "made": []}))
    event, file = map(int, (directory / "cgroup.event_control").read_text().split())
    assert posix.readlink(f"/proc/self/fd/{file}") == str(directory / "memory.oom_control")
    assert memory.new() == 0
    posix.eventfd_write(event, 1)
    assert memory.new() == 0
    (directory / "cgroup.procs").write_text("7\n")
    posix.eventfd_write(event, 2)
    assert [memory.new(), memory.new()] == [2, 0]
    memory.close()
