# SPDX-License-Identifier: Apache-2.0
"""Limits of containers whose cgroups systemd makes: as properties, in the files, after a reload."""

import json

import pytest

from tests.containers.box import FULL, Box, Patch, capabilities, combine, is_v2
from tests.containers.systemd import MIB, box_in_a_scope, files, shown, systemctl, unit

__all__ = ["box_in_a_scope"]

pytestmark = pytest.mark.systemd


def resources(**fields: object) -> Patch:
    return {"linux": {"resources": fields}}


LIMITS = {
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB},
    "cpu": {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 33},
}
V2 = {
    "memory.max": str(64 * MIB),
    "memory.swap.max": str(32 * MIB),
    "memory.low": str(32 * MIB),
    "cpu.weight": "59",
    "cpu.max": "20000 50000",
    "cpuset.cpus": "0",
    "cpuset.mems": "0",
    "pids.max": "33",
}
V1 = {
    "memory.limit_in_bytes": str(64 * MIB),
    "memory.soft_limit_in_bytes": str(32 * MIB),
    "cpu.shares": "512",
    "cpu.cfs_quota_us": "20000",
    "cpu.cfs_period_us": "50000",
    "cpuset.cpus": "0",
    "pids.max": "33",
}


@pytest.mark.controller("memory")
def test_limits_survive_a_reload(box: Box) -> None:
    wanted = V2 if is_v2() else V1
    box.start(resources(**LIMITS), "sleep 100")
    assert files(box, *wanted) == wanted
    systemctl("daemon-reload")
    # What systemd writes again is what its unit says
    systemctl("set-property", "--runtime", unit(box), "TasksMax=44", "CPUWeight=70" if is_v2() else "CPUShares=70")
    after = files(box, *wanted)
    changed = {"pids.max": "44", "cpu.weight" if is_v2() else "cpu.shares": "70"}
    assert after == wanted | changed


@pytest.mark.view("v2")
@pytest.mark.controller("memory")
@pytest.mark.parametrize(
    ("fields", "properties"),
    [
        (
            {"memory": {"limit": 64 * MIB, "swap": 96 * MIB}},
            {"MemoryMax": str(64 * MIB), "MemorySwapMax": str(32 * MIB)},
        ),
        ({"unified": {"memory.high": "1M", "memory.min": "4096"}}, {"MemoryHigh": str(MIB), "MemoryMin": "4096"}),
        ({"cpu": {"quota": 12345}}, {"CPUQuotaPerSecUSec": "130ms"}),
        ({"cpu": {"cpus": "0", "mems": "0"}}, {"AllowedCPUs": "0", "AllowedMemoryNodes": "0"}),
        ({"cpu": {"idle": 1}}, {"CPUWeight": "idle"}),
        ({"blockIO": {"weight": 500}}, {"IOWeight": "4950"}),
        ({"unified": {"memory.oom.group": "1"}}, {"OOMPolicy": "kill"}),
        ({"pids": {"limit": -1}}, {"TasksMax": "infinity"}),
    ],
)
def test_limits_are_properties(box: Box, fields: Patch, properties: dict[str, str]) -> None:
    box.create(resources(**fields), "true")
    assert shown(unit(box), *properties) == properties


@pytest.mark.controller("pids")
def test_one_process_and_no_more(box: Box) -> None:
    """The process that holds the scope takes nothing of the limit away."""
    box.start(resources(pids={"limit": 1}), "exec sleep 100")
    assert files(box, "pids.max") == {"pids.max": "1"}
    assert shown(unit(box), "TasksMax") == {"TasksMax": "1"}


@pytest.mark.controller("memory")
def test_update_changes_both(box: Box) -> None:
    """And what systemd writes along with it stays exact."""
    file = "cpu.max" if is_v2() else "cpu.cfs_quota_us"
    exact = "12345 50000" if is_v2() else "12345"
    box.start(resources(cpu={"quota": 12345, "period": 50000}, pids={"limit": 20}), "sleep 100")
    box.pyrunc("update", "--cpu-share", "700", "--memory", "64M", "--pids-limit", "44", box.id)
    memory = "MemoryMax" if is_v2() else "MemoryLimit"
    assert shown(unit(box), memory, "TasksMax") == {memory: str(64 * MIB), "TasksMax": "44"}
    assert files(box, file, "pids.max") == {file: exact, "pids.max": "44"}
    systemctl("daemon-reload")
    assert files(box, "pids.max") == {"pids.max": "44"}


@pytest.mark.controller("memory")
def test_an_update_that_is_refused_changes_nothing(box: Box) -> None:
    box.start(resources(pids={"limit": 20}), "sleep 100")
    error = box.pyrunc("update", "--pids-limit", "30", "--cpuset-cpus", "4000", box.id, status=1).err
    assert "/linux/resources/cpu/cpus" in error
    assert files(box, "pids.max") == {"pids.max": "20"}
    assert shown(unit(box), "TasksMax") == {"TasksMax": "20"}


LOOP = {"path": "/dev/loop", "type": "c", "major": 10, "minor": 237}
RULE = {"allow": True, "type": "c", "major": 10, "minor": 237, "access": "rw"}
NONE = {"allow": False, "access": "rwm"}
ALL = {"allow": True, "access": "rwm"}


def opens(box: Box) -> tuple[int, int]:
    """The errnos of opening /dev/loop and /dev/null."""
    found = box.exec("guest", "open:/dev/loop", "open:/dev/null").json
    return found["open:/dev/loop"], found["open:/dev/null"]


@pytest.mark.parametrize(
    ("rules", "seen"),
    [
        ([NONE], (1, 0)),
        ([NONE, RULE], (0, 0)),
        ([ALL], (0, 0)),
        pytest.param([ALL, {**RULE, "allow": False}], (1, 0), marks=pytest.mark.view("v2")),
        pytest.param(
            [NONE, {"allow": True, "type": "c", "minor": 237, "access": "rw"}], (0, 0), marks=pytest.mark.view("v2")
        ),
    ],
)
def test_the_device_list_survives_a_reload(box: Box, rules: list[Patch], seen: tuple[int, int]) -> None:
    """Also one that systemd cannot say, on cgroup v2; and a change of the unit, after which systemd writes it anew."""
    box.start(combine(capabilities(FULL), resources(devices=rules), {"linux": {"devices": [LOOP]}}), "sleep 100")
    assert opens(box) == seen
    systemctl("daemon-reload")
    assert opens(box) == seen
    systemctl("set-property", "--runtime", unit(box), "CPUWeight=70")
    assert opens(box) == seen


def test_an_update_of_the_devices(box: Box) -> None:
    patch = combine(capabilities(FULL), resources(devices=[NONE, RULE]), {"linux": {"devices": [LOOP]}})
    box.start(patch, "sleep 100")
    for rules, seen in (([NONE], (1, 0)), ([NONE, RULE], (0, 0))):
        box.pyrunc("update", "--resources", "-", box.id, stdin=json.dumps({"devices": rules}))
        assert opens(box) == seen
        assert ("/dev/char/10:237 rw" in shown(unit(box), "DeviceAllow")["DeviceAllow"]) is (seen[0] == 0)
        systemctl("daemon-reload")
        assert opens(box) == seen
