# SPDX-License-Identifier: Apache-2.0
"""The comparison itself: a container that is as the oracle says has no difference, and each change of it is one."""

import copy
from collections.abc import Callable

import pytest

from tests.engines.compare import differences
from tests.engines.recorded import ORACLE, Json, load

NAME = "docker-systemd-run-mountopt"
LIMITED = "podman-runc-systemd-run-mem"


def found(name: str, change: Callable[[Json], object]) -> list[str]:
    post = copy.deepcopy(ORACLE[name]["post"])
    inside = "\n".join(f"{field}:\t{value}" for field, value in post["status"].items())
    config = load(name)
    config["process"]["user"]["additionalGids"] = [int(word) for word in post["status"]["Groups"].split()]
    config["process"]["oomScoreAdj"] = post["oom_score_adj"]
    change(post)
    return [what for what, _, _ in differences(name, config, post, inside)]


def drop(point: str) -> Callable[[Json], object]:
    return lambda post: post["mounts"].remove(next(row for row in post["mounts"] if row[0] == point))


def put(point: str, column: int, value: str) -> Callable[[Json], object]:
    return lambda post: next(row for row in post["mounts"] if row[0] == point).__setitem__(column, value)


def test_a_container_as_recorded_has_no_difference() -> None:
    assert found(NAME, lambda _: None) == []


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("own", lambda post: post["own"].remove("net")),
        ("CapBnd", lambda post: post["status"].update(CapBnd="0000000000000001")),
        ("NoNewPrivs", lambda post: post["status"].update(NoNewPrivs="1")),
        ("oom_score_adj", lambda post: post.update(oom_score_adj=17)),
        ("filesystem /proc", drop("/proc")),
        ("filesystem /dev", put("/dev", 4, "rw,size=1k,mode=755")),
        ("filesystem /dev/pts", put("/dev/pts", 2, "rw,noexec,relatime")),
        ("bind /m", put("/m", 2, "rw,relatime")),
        ("bind /m3", put("/m3", 3, "shared")),
        ("masked /proc/timer_list", put("/proc/timer_list", 2, "rw")),
        ("readonly /proc/bus", put("/proc/bus", 2, "rw,nosuid,nodev,noexec,relatime")),
        (" /surplus", lambda post: post["mounts"].append(["/surplus", "tmpfs", "rw", "", "rw", "/"])),
    ],
)
def test_a_change_is_found(what: str, change: Callable[[Json], object]) -> None:
    assert what in found(NAME, change)


@pytest.mark.parametrize("file", ["memory.max", "memory.low", "pids.max"])
def test_another_limit_is_found(file: str) -> None:
    assert found(LIMITED, lambda post: post["cgroup"].update({file: "1"})) == [file]
