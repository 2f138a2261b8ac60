# SPDX-License-Identifier: Apache-2.0
"""SPEC-217 to SPEC-265: the container's cgroup and its limits, read where the kernel keeps them."""

from pathlib import Path

import pytest

from tests.containers import leaks
from tests.containers.box import FULL, Box, Patch, capabilities, combine, controllers, hierarchy, is_v2

V1 = ("memory", "cpu", "cpuset", "pids", "devices", "freezer", "blkio")
ALL = ("",) if is_v2() else ("", *V1)
MIB = 1 << 20


def resources(**fields: object) -> Patch:
    return {"linux": {"resources": fields}}


def limit(box: Box, patch: Patch, controller: str, file: str) -> str:
    """A file of the container's cgroup, read from the host."""
    box.create(patch, "true")
    return (box.cgroup(controller) / file).read_text().strip()


@pytest.mark.cgroupfs
@pytest.mark.parametrize("controller", ALL)
def test_an_absolute_path_is_below_the_mount_point(box: Box, controller: str) -> None:
    box.create({"linux": {"cgroupsPath": f"/{box.id}/a/b"}}, "true")
    assert box.cgroup(controller) == Path(hierarchy(controller), box.id, "a/b")


@pytest.mark.parametrize("controller", ALL)
@pytest.mark.parametrize("path", [None, pytest.param("relative", marks=pytest.mark.cgroupfs)])
def test_another_path_has_a_place_that_is_always_the_same(box: Box, controller: str, path: str | None) -> None:
    patch = {"linux": {"cgroupsPath": path and f"{box.id}/{path}"}}
    box.create(patch, "true")
    first = box.cgroup(controller)
    assert box.id in str(first)
    box.delete("--force")
    box.create(patch, "true")
    assert box.cgroup(controller) == first


@pytest.mark.cgroupfs
def test_the_form_of_systemd_is_a_name_without_systemd(box: Box) -> None:
    """The steps of BuildKit have it from a dockerd on a host with systemd, and no --systemd-cgroup."""
    name = f"system.slice:docker:{box.id}"
    box.start({"linux": {"cgroupsPath": name}}, "sleep 100")
    assert box.cgroup("").name == name
    assert box.exec("true", "").status == 0


def test_delete_removes_the_cgroup_and_the_parents_that_create_made(box: Box) -> None:
    box.create({"linux": {"cgroupsPath": f"/{box.id}/a/b"}}, "true")
    assert leaks.cgroups(box.id)
    box.delete("--force")
    assert leaks.cgroups(box.id) == []


@pytest.mark.cgroupfs
def test_a_parent_that_was_there_stays(box: Box) -> None:
    parent = Path(hierarchy(""), box.id)
    parent.mkdir()
    try:
        box.run({"linux": {"cgroupsPath": f"/{box.id}/a"}}, "true")
        assert leaks.cgroups(box.id) == [str(parent)]
    finally:
        parent.rmdir()


def test_every_process_of_the_container_is_in_it(box: Box) -> None:
    box.start({}, "sleep 100 & sleep 100")
    assert len((box.cgroup("") / "cgroup.procs").read_text().split()) == 2


def test_exec_enters_the_cgroup(box: Box) -> None:
    box.start({}, "sleep 100")
    seen = [line.split(":", 2)[2] for line in box.exec("cat /proc/self/cgroup").lines]
    assert set(seen) == {"/"}


def test_cgroups_that_a_container_made_are_removed(box: Box) -> None:
    box.start({}, "sleep 100")
    for controller in ALL:
        (box.cgroup(controller) / "made/inner").mkdir(parents=True)
    box.delete("--force")
    assert leaks.cgroups(box.id) == []


@pytest.mark.parametrize("path", ["/", "/../x", "a/../../b", "/a\nb"])
def test_paths_that_are_refused(box: Box, path: str) -> None:
    assert "/linux/cgroupsPath" in box.refused({"linux": {"cgroupsPath": path}})


def test_a_cgroup_with_processes_is_refused(box: Box) -> None:
    box.start({"linux": {"cgroupsPath": f"/{box.id}"}}, "sleep 100")
    box.write({"linux": {"cgroupsPath": f"/{box.id}"}})
    error = box.pyrunc("create", "--bundle", box.bundle, f"{box.id}-2", status=1).err
    assert box.id in error
    assert box.status == "running"


@pytest.mark.view("v1")
@pytest.mark.parametrize(
    ("fields", "controller", "file", "value"),
    [
        ({"memory": {"limit": 16 * MIB}}, "memory", "memory.limit_in_bytes", str(16 * MIB)),
        ({"memory": {"limit": -1}}, "memory", "memory.limit_in_bytes", "9223372036854771712"),
        ({"memory": {"reservation": 8 * MIB}}, "memory", "memory.soft_limit_in_bytes", str(8 * MIB)),
        ({"memory": {"swappiness": 7}}, "memory", "memory.swappiness", "7"),
        ({"cpu": {"shares": 512}}, "cpu", "cpu.shares", "512"),
        ({"cpu": {"quota": 20000, "period": 50000}}, "cpu", "cpu.cfs_quota_us", "20000"),
        ({"cpu": {"quota": 20000, "period": 50000}}, "cpu", "cpu.cfs_period_us", "50000"),
        ({"cpu": {"quota": -1}}, "cpu", "cpu.cfs_quota_us", "-1"),
        ({"cpu": {"cpus": "0", "mems": "0"}}, "cpuset", "cpuset.cpus", "0"),
        ({"cpu": {"cpus": "0", "mems": "0"}}, "cpuset", "cpuset.mems", "0"),
        ({"pids": {"limit": 20}}, "pids", "pids.max", "20"),
        ({"pids": {"limit": -1}}, "pids", "pids.max", "max"),
    ],
)
def test_limits_on_v1(box: Box, fields: Patch, controller: str, file: str, value: str) -> None:
    assert limit(box, resources(**fields), controller, file) == value


@pytest.mark.view("v1")
def test_disable_oom_killer(box: Box) -> None:
    assert "oom_kill_disable 1" in limit(
        box, resources(memory={"limit": 16 * MIB, "disableOOMKiller": True}), "memory", "memory.oom_control"
    )


@pytest.mark.view("v1")
def test_throttling(box: Box) -> None:
    device = Path("/sys/dev/block")
    number = next((one.name for one in device.iterdir() if "/virtual/" not in str(one.resolve())), "254:0")
    major, minor = map(int, number.split(":"))
    row = [{"major": major, "minor": minor, "rate": 1048576}]
    patch = resources(blockIO={"throttleReadBpsDevice": row, "throttleWriteIOPSDevice": row})
    assert limit(box, patch, "blkio", "blkio.throttle.read_bps_device") == f"{number} 1048576"


HUGE = resources(hugepageLimits=[{"pageSize": "2MB", "limit": 4 * MIB}])


def has_hugetlb_on_v2() -> bool:
    file = Path(hierarchy("")) / "cgroup.controllers"
    return file.exists() and "hugetlb" in file.read_text().split()


@pytest.mark.parametrize("path", ["/{}", "/{}/a/b"])
def test_huge_pages(box: Box, path: str) -> None:
    """By the cgroup2 tree, also that of a hybrid host whose other controllers are on v1."""
    if not has_hugetlb_on_v2():
        pytest.skip("needs the cgroup controller hugetlb in the cgroup2 tree")
    patch = combine(HUGE, {"linux": {"cgroupsPath": path.format(box.id)}})
    assert limit(box, patch, "", "hugetlb.2MB.max") == str(4 * MIB)


@pytest.mark.view("v1")
def test_a_controller_that_is_not_mounted_is_an_error(box: Box) -> None:
    if Path("/sys/fs/cgroup/rdma").exists():
        pytest.skip("needs a host without rdma on cgroup v1")
    assert "/linux/resources/rdma/x" in box.refused(resources(rdma={"x": {"hcaHandles": 1}}))


@pytest.mark.view("v2")
@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"memory": {"limit": 16 * MIB}}, "/linux/resources/memory/limit"),
        ({"pids": {"limit": 5}}, "/linux/resources/pids/limit"),
        ({"cpu": {"quota": 10000}}, "/linux/resources/cpu/quota"),
    ],
)
def test_a_controller_that_the_host_has_not_is_an_error(box: Box, fields: Patch, pointer: str) -> None:
    if "memory" in controllers():
        pytest.skip("needs a cgroup2 tree without these controllers")
    assert pointer.rpartition("/")[0] in box.refused(resources(**fields))


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"memory": {"swappiness": 101}}, "memory/swappiness"),
        ({"memory": {"limit": "1"}}, "memory/limit"),
        ({"cpu": {"cpus": "no"}}, "cpu/cpus"),
        ({"cpu": {"cpus": "4000"}}, "cpu/cpus"),
        ({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}, "hugepageLimits/0"),
        ({"hugepageLimits": [{"pageSize": "2MB"}]}, "hugepageLimits/0/limit"),
        ({"unified": {"no_such.file": "1"}}, "unified"),
        ({"unified": {"../x": "1"}}, "unified"),
        ({"devices": [{"access": "rwm"}]}, "devices/0/allow"),
        ({"devices": [{"allow": True, "access": "x"}]}, "devices/0/access"),
        ({"devices": [{"allow": True, "type": "z"}]}, "devices/0/type"),
        ({"blockIO": {"weightDevice": [{"major": 1, "minor": 1}]}}, "blockIO/weightDevice/0"),
    ],
)
def test_refused(box: Box, fields: Patch, pointer: str) -> None:
    assert f"/linux/resources/{pointer}" in box.refused(resources(**fields))


@pytest.mark.view("v1")
def test_the_pids_limit_is_in_force(box: Box) -> None:
    result = box.run(resources(pids={"limit": 2}), "sleep 1 & sleep 1 & sleep 1 & wait", status=None)
    assert "can't fork" in result.err


@pytest.mark.view("v1")
def test_the_memory_limit_is_in_force(box: Box) -> None:
    patch = resources(memory={"limit": 8 * MIB, "swap": 8 * MIB})
    assert box.run(patch, "x=x; while :; do x=$x$x; done", status=None).status == 137


def test_the_limits_may_be_smaller_than_the_set_up(box: Box) -> None:
    """The whole set-up fits: no interpreter is ever in the container."""
    patch = resources(memory={"limit": 512 << 10}, pids={"limit": 1})
    if not {"memory", "pids"} <= set(controllers()):
        patch = {}
    assert box.run(patch, "true", "").status == 0


RULES = [
    ([], {"null": 0, "full": 0, "mknod": 0}),
    ([{"allow": False, "access": "rwm"}], {"null": 0, "full": 0, "loop": 1, "mknod": 0}),
    (
        [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 237, "access": "rw"}],
        {"loop": 0},
    ),
    ([{"allow": True, "access": "rwm"}], {"loop": 0}),
    (
        [{"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 10, "minor": 237, "access": "rw"}],
        {"loop": 1, "null": 0},
    ),
    (
        [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 237, "access": "r"}],
        {"loop": 1},
    ),
]


@pytest.mark.parametrize(("rules", "seen"), RULES)
def test_the_device_list_is_in_force(box: Box, rules: list[Patch], seen: dict[str, int]) -> None:
    """Opened for reading and writing; the default devices may always be used. A refusal is EPERM."""
    node = {"path": "/dev/loop", "type": "c", "major": 10, "minor": 237}
    patch = combine(capabilities(FULL), resources(devices=rules), {"linux": {"devices": [node]}})
    words = {name: f"open:/dev/{name}" for name in ("null", "full", "loop")} | {"mknod": "mknod:/tmp/x:c:1:3"}
    found = box.run(patch, "guest", *words.values()).json
    assert {name: found[words[name]] for name in seen} == seen


def test_a_block_device_cannot_be_opened(box: Box) -> None:
    patch = combine(capabilities(FULL), resources(devices=[{"allow": False, "access": "rwm"}]))
    found = box.run(patch, "guest", "mknod:/tmp/disk:b:254:0", "open:/tmp/disk").json
    assert found == {"mknod:/tmp/disk:b:254:0": 0, "open:/tmp/disk": 1}
