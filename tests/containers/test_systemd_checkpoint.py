# SPDX-License-Identifier: Apache-2.0
"""Checkpoint and restore of a container whose cgroup systemd has made: the unit ends, and is there again."""

from pathlib import Path

import pytest

from tests.containers.box import Box, is_v2
from tests.containers.counter import checkpoint, counting, goes_on, images, restore
from tests.containers.systemd import MIB, box_in_a_scope, files, place, shown, systemctl, unit

__all__ = ["box_in_a_scope", "images"]

pytestmark = [pytest.mark.systemd, pytest.mark.criu, pytest.mark.timeout(600)]


def test_restore_into_a_scope(box: Box, images: Path) -> None:
    counting(box)
    before = place(box)
    checkpoint(box, images)
    assert shown(unit(box), "LoadState") == {"LoadState": "not-found"}
    restore(box, images)
    assert place(box) == before == f"/system.slice/{unit(box)}"
    assert shown(unit(box), "ActiveState", "Delegate") == {"ActiveState": "active", "Delegate": "yes"}
    assert box.exec("true", "").status == 0
    systemctl("daemon-reload")
    goes_on(box)
    box.pyrunc("pause", box.id)
    box.pyrunc("resume", box.id)
    goes_on(box)


@pytest.mark.controller("memory")
def test_limits_after_a_restore(box: Box, images: Path) -> None:
    """As properties and in the files."""
    counting(box, {"linux": {"resources": {"memory": {"limit": 64 * MIB}, "pids": {"limit": 33}}}})
    checkpoint(box, images)
    restore(box, images)
    memory, file = ("MemoryMax", "memory.max") if is_v2() else ("MemoryLimit", "memory.limit_in_bytes")
    assert shown(unit(box), memory, "TasksMax") == {memory: str(64 * MIB), "TasksMax": "33"}
    assert files(box, file, "pids.max") == {file: str(64 * MIB), "pids.max": "33"}


def test_a_restore_that_fails_leaves_no_unit(box: Box, images: Path) -> None:
    counting(box)
    checkpoint(box, images)
    (images / "core-1.img").write_bytes(b"")
    assert "criu restore failed: " in restore(box, images, status=1).err
    assert shown(unit(box), "LoadState") == {"LoadState": "not-found"}
    box.check_clean()
