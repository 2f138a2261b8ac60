# SPDX-License-Identifier: Apache-2.0
"""The v2 driver on a directory tree that behaves like cgroup2 as far as files appear.

Values need controllers that the cgroup2 tree of a hybrid host lacks; test_cgroups_v2_real.py has what needs a kernel.
"""

import errno
import os
import posix
from pathlib import Path
from typing import cast

import pytest

from pyrunc.cgroups import driver
from pyrunc.cgroups.v2 import Unified
from pyrunc.config.fields import Config, Section
from pyrunc.errors import CgroupError

NAME = f"pyrunc-test-{os.getpid()}"
FILES = {
    "": ("procs", "events", "type", "freeze", "kill", "subtree_control", "controllers", "threads"),
    "memory": ("max", "low", "high", "swap.max", "current", "events"),
    "cpu": ("max", "max.burst", "weight", "idle"),
    "cpuset": ("cpus", "mems"),
    "pids": ("max",),
    "io": ("max", "weight"),
    "hugetlb": ("2MB.max", "2MB.rsvd.max"),
}
TEXTS = {"events": "populated 0\nfrozen 0\n", "type": "domain\n", "freeze": "0\n"}


def limits(resources: dict[str, object]) -> Section:
    return Section(resources, "/linux/resources")


def open_at(root: Path, inner: str, *, rootless: bool = False, **linux: object) -> Unified:
    config = Config({"linux": {"cgroupsPath": inner, **linux}, "process": {"user": {"uid": 7}}}, "/b")
    return cast("Unified", driver.open_cgroup(config, NAME, "cgroupfs", rootless=rootless, root=str(root)))


class Tree:
    """A directory tree where mkdir and rmdir give and take the files that the kernel would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mkdir, self.rmdir = posix.mkdir, posix.rmdir
        self.without: set[str] = set()
        self.fill(root, "cpu cpuset hugetlb io memory pids")

    def fill(self, directory: Path, controllers: str) -> None:
        for controller in ("", *controllers.split()):
            for name in FILES[controller]:
                if f"{controller}.{name}" not in self.without:
                    (directory / f"{controller or 'cgroup'}.{name}").write_text(TEXTS.get(name, ""))
        (directory / "cgroup.controllers").write_text(controllers)

    def make(self, path: str, mode: int) -> None:
        self.mkdir(path, mode)
        parent = Path(path).parent / "cgroup.subtree_control"
        self.fill(Path(path), parent.read_text("ascii").replace("+", ""))

    def remove(self, path: str, **_: object) -> None:
        for file in Path(path).iterdir():
            if file.is_file():
                file.unlink()
        self.rmdir(path)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    made = Tree(tmp_path)
    (tmp_path / "cgroup.subtree_control").write_text("cpu cpuset hugetlb io memory pids")
    monkeypatch.setattr(posix, "mkdir", made.make)
    monkeypatch.setattr(posix, "rmdir", made.remove)
    return made


@pytest.fixture
def fake(tree: Tree) -> Unified:
    made = open_at(tree.root, "/box")
    made.create()
    return made


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"memory": {"limit": 10, "swap": 30}}, {"memory.max": "10", "memory.swap.max": "20"}),
        (
            {"memory": {"limit": -1, "reservation": 5}},
            {"memory.max": "max", "memory.swap.max": "max", "memory.low": "5"},
        ),
        ({"cpu": {"shares": 512, "quota": 50000, "period": 100000}}, {"cpu.weight": "59", "cpu.max": "50000 100000"}),
        ({"cpu": {"cpus": "0", "mems": "0", "idle": 1}}, {"cpuset.cpus": "0", "cpuset.mems": "0", "cpu.idle": "1"}),
        ({"pids": {"limit": 2048}}, {"pids.max": "2048"}),
        ({"blockIO": {"weight": 200}}, {"io.weight": "1920"}),
        ({"hugepageLimits": [{"pageSize": "2MB", "limit": 9}]}, {"hugetlb.2MB.max": "9", "hugetlb.2MB.rsvd.max": "9"}),
        ({"memory": {"limit": 10}, "unified": {"memory.high": "8"}}, {"memory.max": "10", "memory.high": "8"}),
    ],
)
def test_values(fake: Unified, resources: dict[str, object], expected: dict[str, str]) -> None:
    """Each property ends up in its file (on a tree of ordinary files)."""
    assert fake.apply(limits(resources)) == []
    assert {file: Path(fake.path, file).read_text("ascii") for file in expected} == expected


def test_bfq_takes_the_weight_where_it_is(fake: Unified) -> None:
    """io.bfq.weight is of the same scale as the property, and goes before io.weight."""
    Path(fake.path, "io.bfq.weight").touch()
    fake.apply(limits({"blockIO": {"weight": 200}}))
    assert Path(fake.path, "io.bfq.weight").read_text("ascii") == "200"
    assert Path(fake.path, "io.weight").read_text("ascii") == ""


def test_swap_that_is_not_accounted(tree: Tree) -> None:
    """A kernel without swap accounting cannot limit swap, but has none to forbid or to allow."""
    tree.without.add("memory.swap.max")
    fake = open_at(tree.root, "/box")
    fake.create()
    fake.apply(limits({"memory": {"limit": 10, "swap": 10}}))
    fake.apply(limits({"memory": {"limit": 10, "swap": -1}}))
    with pytest.raises(CgroupError, match=r"this kernel has no memory\.swap\.max") as caught:
        fake.apply(limits({"memory": {"limit": 10, "swap": 11}}))
    assert caught.value.pointer == "/linux/resources/memory/swap"


@pytest.mark.parametrize(
    ("resources", "pointer"),
    [
        ({"memory": {"limit": 5}}, "memory/limit"),
        ({"pids": {"limit": 5}}, "pids/limit"),
        ({"unified": {"memory.high": "5"}}, "unified/memory.high"),
        ({"unified": {"nosuch.file": "5"}}, "unified/nosuch.file"),
        ({"rdma": {"mlx": {"hcaObjects": 1}}}, "rdma/mlx"),
    ],
)
def test_a_missing_controller(tree: Tree, resources: dict[str, object], pointer: str) -> None:
    """A limit without its controller names the field and what there is; a container without limits is made."""
    tree.fill(tree.root, "hugetlb")
    (tree.root / "cgroup.subtree_control").write_text("hugetlb")
    fake = open_at(tree.root, "/box")
    fake.create()
    assert fake.apply(None) == []
    with pytest.raises(CgroupError, match=r"controller `\w+` is not available: .* has: hugetlb") as caught:
        fake.apply(limits(resources))
    assert caught.value.pointer == f"/linux/resources/{pointer}"
    assert "no such file" not in str(caught.value).lower()


def test_no_limit_needs_no_controller(tree: Tree) -> None:
    """What is unlimited without it."""
    tree.fill(tree.root, "hugetlb")
    (tree.root / "cgroup.subtree_control").write_text("hugetlb")
    fake = open_at(tree.root, "/box")
    fake.create()
    data: dict[str, object] = {"pids": {"limit": -1}, "memory": {"limit": -1, "swap": -1}, "cpu": {"quota": -1}}
    assert fake.apply(limits(data)) == []


def test_controllers_are_passed_down(tree: Tree) -> None:
    """Each parent enables what it has for its children, and the container's own cgroup nothing."""
    (tree.root / "cgroup.subtree_control").write_text("cpu")
    fake = open_at(tree.root, "/a/box")
    fake.create()
    words = (tree.root / "cgroup.subtree_control").read_text("ascii").split()
    assert sorted(words) == ["+cpuset", "+hugetlb", "+io", "+memory", "+pids"]
    assert (tree.root / "a" / "box" / "cgroup.subtree_control").read_text("ascii") == ""


@pytest.mark.parametrize(
    ("kind", "words"), [("populated 1\nfrozen 0\n", "not empty"), ("populated 0\nfrozen 1\n", "frozen")]
)
def test_unfit_cgroups(tree: Tree, kind: str, words: str) -> None:
    """One with processes and one that is frozen are refused, and not taken for ours."""
    open_at(tree.root, "/box").create()
    (tree.root / "box" / "cgroup.events").write_text(kind)
    second = open_at(tree.root, "/box")
    with pytest.raises(CgroupError, match=words):
        second.create()
    assert second.directories() == []


def test_check_before_update(fake: Unified) -> None:
    """With memory.checkBeforeUpdate a limit that is not more than the usage is refused, not enforced by killing."""
    Path(fake.path, "memory.current").write_text("100\n")
    with pytest.raises(CgroupError, match="in use"):
        fake.apply(limits({"memory": {"limit": 100, "checkBeforeUpdate": True}}))
    fake.apply(limits({"memory": {"limit": 100}}))


def test_domain_controllers_in_threaded_mode(fake: Unified) -> None:
    """Domain controllers: memory and io cannot be limited there; the error says why."""
    Path(fake.path, "cgroup.type").write_text("threaded\n")
    with pytest.raises(CgroupError, match="threaded"):
        fake.apply(limits({"memory": {"limit": 100}}))
    fake.apply(limits({"pids": {"limit": 100}}))


def test_ownership(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a new cgroup namespace and a writable cgroup mount the container's user gets the delegable files only."""
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr(posix, "chown", lambda path, uid, gid: given.append((path, uid, gid)))
    mounts = [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid"]}]
    config = {
        "linux": {
            "cgroupsPath": "/box",
            "namespaces": [{"type": "cgroup"}, {"type": "user"}],
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
        },
        "process": {"user": {"uid": 7}},
        "mounts": mounts,
    }
    driver.open_cgroup(Config(config, "/b"), NAME, "cgroupfs", root=str(tree.root)).create()
    assert {uid for _, uid, _ in given} == {1007}
    names = {path.removeprefix(f"{tree.root}/box").lstrip("/") for path, _, _ in given}
    assert {"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} <= names
    assert "memory.max" not in names
    given.clear()
    mounts[0]["options"] = ["ro"]
    open_at(tree.root, "/other").create()
    driver.open_cgroup(Config(config, "/b"), NAME, "cgroupfs", root=str(tree.root)).create()
    assert given == []


def test_rootless_goes_on_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing may be made: fine when neither path nor limit was asked for, else an error, as runc."""
    Tree(tmp_path)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(posix, "mkdir", refuse)
    made = open_at(tmp_path, "", rootless=True)
    made.create()
    assert made.apply(limits({"pids": {}})) == []
    assert (made.path, made.pids(), made.entrances(), made.directories()) == ("", [], (None, []), [])
    assert driver.from_state(made.record()).pids() == []
    with pytest.raises(CgroupError, match="rootless") as caught:
        made.apply(limits({"pids": {"limit": 5}}))
    assert caught.value.pointer == "/linux/resources/pids/limit"
    for other in (open_at(tmp_path, "/box", rootless=True), open_at(tmp_path, "")):
        with pytest.raises(CgroupError, match="not allowed"):
            other.create()
