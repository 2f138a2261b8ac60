# SPDX-License-Identifier: Apache-2.0
"""pause and resume: the freezer holds every process, and what a paused container can and cannot do."""

import time
from pathlib import Path

import pytest

from tests.containers.box import Box, hierarchy, wait_for

TICK = "while :; do echo x >> /tmp/ticks; sleep 0.01; done"


def ticks(box: Box) -> int:
    path = box.rootfs / "tmp/ticks"
    return path.stat().st_size if path.exists() else 0


def stands_still(box: Box) -> bool:
    before = ticks(box)
    time.sleep(0.15)
    return ticks(box) == before


def test_paused_processes_do_nothing(box: Box) -> None:
    box.start({}, f"({TICK}) & {TICK}")
    wait_for(lambda: ticks(box) > 0, "the first tick")
    box.pyrunc("pause", box.id)
    assert box.status == "paused"
    assert stands_still(box)
    box.pyrunc("resume", box.id)
    assert box.status == "running"
    assert not stands_still(box)


def test_moves_that_are_refused(box: Box) -> None:
    assert "does not exist" in box.pyrunc("pause", box.id, status=1).err
    box.start({}, "sleep 100")
    assert box.pyrunc("resume", box.id, status=1).err == "pyrunc: container not paused"
    box.pyrunc("pause", box.id)
    assert box.pyrunc("pause", box.id, status=1).err == "pyrunc: container paused"
    assert "paused container" in box.exec("true", status=255).err
    assert "not stopped: paused" in box.pyrunc("delete", box.id, status=1).err
    assert box.status == "paused"
    box.pyrunc("resume", box.id)
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")
    assert "container not running" in box.pyrunc("pause", box.id, status=1).err
    assert "container not paused" in box.pyrunc("resume", box.id, status=1).err


def test_a_created_container_is_paused_before_it_starts(box: Box) -> None:
    """As runc allows it; resume leads back to created."""
    box.create({}, "sleep 100")
    box.pyrunc("pause", box.id)
    assert box.status == "paused"
    assert "paused state" in box.pyrunc("start", box.id, status=1).err
    box.pyrunc("resume", box.id)
    assert box.status == "created"
    box.start()
    assert box.status == "running"


@pytest.mark.parametrize("signal", ["KILL", "9"])
@pytest.mark.parametrize("all_flag", [(), ("--all",)], ids=["one", "all"])
def test_kill_9_ends_a_pause(box: Box, signal: str, all_flag: tuple[str, ...]) -> None:
    box.start({}, "sleep 100")
    box.pyrunc("pause", box.id)
    box.pyrunc("kill", *all_flag, box.id, signal)
    box.until("stopped")
    box.delete()


def test_another_signal_waits_for_resume(box: Box) -> None:
    box.start({}, "trap 'echo got it; exit' USR1; echo ready; while :; do sleep 0.01; done")
    wait_for(lambda: "ready" in box.output(), "the trap")
    box.pyrunc("pause", box.id)
    box.pyrunc("kill", box.id, "USR1")
    time.sleep(0.1)
    assert box.status == "paused"
    assert "got it" not in box.output()
    box.pyrunc("resume", box.id)
    box.until("stopped")
    assert "got it" in box.output()


@pytest.mark.parametrize("namespaces", [["pid", "mount"], ["mount"]], ids=["own pids", "shared pids"])
def test_delete_force_of_a_paused_container(box: Box, namespaces: list[str]) -> None:
    box.start({"linux": {"namespaces": [{"type": name} for name in namespaces]}}, "sleep 100 & sleep 100")
    box.pyrunc("pause", box.id)
    box.delete("--force")
    box.check_clean()


def test_exec_ignore_paused(box: Box) -> None:
    """The process is frozen with the rest, and runs when they do."""
    box.start({}, "sleep 100")
    box.pyrunc("pause", box.id)
    process = box.spawn("exec", "--ignore-paused", box.id, "echo", "late")
    time.sleep(0.2)
    assert process.poll() is None
    box.pyrunc("resume", box.id)
    assert process.communicate(timeout=10)[0] == "late\n"


@pytest.mark.cgroupfs
@pytest.mark.view("v1")
def test_frozen_by_a_cgroup_above(box: Box) -> None:
    """Resume says who is to blame, as thawing one's own cgroup changes nothing then."""
    parent = Path(hierarchy("freezer")) / f"{box.id}-parent"
    box.start({"linux": {"cgroupsPath": f"/{box.id}-parent/inner"}}, "sleep 100")
    try:
        (parent / "freezer.state").write_text("FROZEN")
        wait_for(lambda: box.status == "paused")
        assert "still frozen by a cgroup above it" in box.pyrunc("resume", box.id, status=1).err
    finally:
        (parent / "freezer.state").write_text("THAWED")


def test_without_a_cgroup(box: Box) -> None:
    box.write({}, "sleep 100")
    box._detached("--cgroup-manager", "disabled", "create", "--bundle", box.bundle, box.id)
    box.start()
    assert "without a cgroup" in box.pyrunc("pause", box.id, status=1).err
    assert box.status == "running"
