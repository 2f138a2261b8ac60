# SPDX-License-Identifier: Apache-2.0
"""SPEC-190 and SPEC-191: the clocks of a time namespace."""

import time
from typing import Any

import pytest

from tests.containers.box import CONFIG, Box, Patch

DAY = 86400
ROW = {"containerID": 0, "hostID": 100000, "size": 65536}
MAPPED = {"uidMappings": [ROW], "gidMappings": [ROW]}


def offsets(*, mapped: bool = False, **clocks: Any) -> Patch:
    linux: Patch = {"+namespaces": [{"type": "time"}], "timeOffsets": clocks}
    if mapped:
        linux = {"+namespaces": [{"type": "time"}, {"type": "user"}], "timeOffsets": clocks, **MAPPED}
    return {"linux": linux}


def clocks(box: Box, patch: Patch) -> tuple[float, float]:
    """How far the monotonic clock and the one since boot are ahead of the host's, in seconds."""
    result = box.run(patch, "guest monotonic; cat /proc/uptime")
    monotonic = int(result.lines[0].split(":")[1].rstrip("}"))
    boot = float(result.lines[1].split()[0])
    return monotonic - time.clock_gettime(time.CLOCK_MONOTONIC), boot - time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize("mapped", [False, True], ids=["no user namespace", "user namespace"])
@pytest.mark.parametrize(
    ("given", "monotonic", "boot"),
    [
        ({"monotonic": {"secs": DAY}}, DAY, 0),
        ({"boottime": {"secs": 2 * DAY, "nanosecs": 500}}, 0, 2 * DAY),
        ({"monotonic": {"secs": DAY, "nanosecs": 999999999}, "boottime": {"secs": DAY}}, DAY + 1, DAY),
        ({"monotonic": {}, "boottime": None}, 0, 0),
        ({}, 0, 0),
    ],
    ids=str,
)
def test_offsets(box: Box, mapped: bool, given: Patch, monotonic: int, boot: int) -> None:
    found = clocks(box, offsets(mapped=mapped, **given))
    assert found[0] == pytest.approx(monotonic, abs=10)
    assert found[1] == pytest.approx(boot, abs=10)


def test_offsets_in_the_hosts_pid_namespace(box: Box) -> None:
    """A procfs of that namespace cannot be mounted from a user namespace."""
    names = ("mount", "user", "time", "uts", "ipc")
    linux = {"namespaces": [{"type": name} for name in names], "timeOffsets": {"monotonic": {"secs": DAY}}, **MAPPED}
    out = box.run({"linux": linux, "mounts": [CONFIG["mounts"][1]]}, "guest", "monotonic").json["monotonic"]
    assert out - time.clock_gettime(time.CLOCK_MONOTONIC) == pytest.approx(DAY, abs=10)


def test_exec_sees_the_same_clock(box: Box) -> None:
    box.start(offsets(monotonic={"secs": DAY}), "sleep", "60")
    ahead = box.exec("guest monotonic").json["monotonic"] - time.clock_gettime(time.CLOCK_MONOTONIC)
    assert ahead == pytest.approx(DAY, abs=10)
    box.delete("--force")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"realtime": {"secs": 1}}, "/linux/timeOffsets/realtime: there is no offset for such a clock"),
        ({"monotonic": {"secs": "1"}}, "/linux/timeOffsets/monotonic/secs: must be an integer"),
        ({"monotonic": {"nanosecs": 10**9}}, "/linux/timeOffsets/monotonic/nanosecs: 1000000000 is out of range"),
        ({"monotonic": 5}, "/linux/timeOffsets/monotonic: must be an object"),
        ({"boottime": {"secs": -(2**62)}}, "/linux/timeOffsets: write("),
        ({"monotonic": {"secs": -(10**8)}}, "/linux/timeOffsets: write("),
    ],
    ids=str,
)
def test_offsets_that_are_refused(box: Box, given: Patch, words: str) -> None:
    assert words in box.refused(offsets(**given))


def test_offsets_need_a_new_time_namespace(box: Box) -> None:
    patch = {"linux": {"timeOffsets": {"monotonic": {"secs": 1}}}}
    assert "/linux/timeOffsets: time namespace offsets specified" in box.refused(patch)
    joined = {"linux": {"+namespaces": [{"type": "time", "path": "/proc/self/ns/time"}]} | patch["linux"]}
    assert "/linux/timeOffsets: time namespace enabled, but both" in box.refused(joined)
