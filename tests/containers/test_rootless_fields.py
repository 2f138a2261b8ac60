# SPDX-License-Identifier: Apache-2.0
"""What an ordinary user's container can have of the process's and the host's properties, and what it cannot."""

import time
from pathlib import Path

import pytest

from tests.containers.box import Patch, merge
from tests.containers.ordinary import Ordinary
from tests.containers.test_rootless import box as _box
from tests.containers.test_seccomp_notify import Agent, notify

pytestmark = pytest.mark.rootless
box = _box  # a fixture, found by its name


def test_time_offsets(box: Ordinary) -> None:
    patch: Patch = {"linux": {"+namespaces": [{"type": "time"}], "timeOffsets": {"monotonic": {"secs": 86400}}}}
    ahead = box.run(patch, "guest", "monotonic").json["monotonic"] - time.clock_gettime(time.CLOCK_MONOTONIC)
    assert ahead == pytest.approx(86400, abs=10)


def test_priorities_that_need_no_rights(box: Ordinary) -> None:
    fields = {
        "scheduler": {"policy": "SCHED_BATCH", "nice": 5},
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0},
    }
    out = box.run({"process": fields}, "cut -d' ' -f19,41 /proc/self/stat; ionice -p $$").lines
    assert out == ["5 3", "idle"]


@pytest.mark.parametrize(
    ("field", "value", "call"),
    [
        ("scheduler", {"policy": "SCHED_OTHER", "nice": -5}, "sched_setattr("),
        ("ioPriority", {"class": "IOPRIO_CLASS_RT", "priority": 0}, "ioprio_set("),
    ],
)
def test_priorities_that_need_rights(box: Ordinary, field: str, value: Patch, call: str) -> None:
    error = box.refused({"process": {field: value}})
    assert error.startswith(f"pyrunc: /process/{field}: {call}")
    assert "CAP_SYS_NICE" in error


def test_personality_and_memory_policy(box: Ordinary) -> None:
    linux = {"personality": {"domain": "LINUX32"}, "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"}}
    out = box.run({"linux": linux}, "uname -m; head -n 1 /proc/self/numa_maps").out
    assert out.startswith("i686")
    assert "bind:0" in out


def test_a_listener_is_sent(tmp_path: Path, box: Ordinary) -> None:
    """By the helper itself, as he may not reach into it."""
    agent = Agent(str(tmp_path / "agent.sock"))
    try:
        Path(agent.path).chmod(0o777)
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(folder.stat().st_mode | 0o055)
        patch = merge(notify(agent), {"process": {"noNewPrivileges": True}})
        assert "No medium found" in box.run(patch, "mkdir /tmp/x", status=1).err
        assert agent.descriptors == [1]
    finally:
        agent.close()


def test_a_mount_of_the_hosts_cannot_be_mapped(box: Ordinary) -> None:
    source = {"destination": "/tmp", "type": "bind", "source": "/srv", "options": ["bind", "idmap"]}
    error = box.refused({"+mounts": [source]})
    assert error.startswith("pyrunc: /mounts/")
    assert "it needs CAP_SYS_ADMIN in the user namespace that owns the filesystem" in error


def test_network_devices_are_the_hosts(box: Ordinary) -> None:
    error = box.refused({"linux": {"netDevices": {"eth0": {}}}})
    assert "/linux/netDevices: network devices are not supported in rootless containers" in error


def test_a_bind_that_would_uncover_something(box: Ordinary) -> None:
    """mount_namespaces(7): mounts of the host are locked together in a user namespace."""
    error = box.refused({"+mounts": [{"destination": "/tmp", "type": "bind", "source": "/sys", "options": ["bind"]}]})
    assert "it has mounts below that this user namespace may not uncover: rbind takes them along" in error
