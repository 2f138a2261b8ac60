# SPDX-License-Identifier: Apache-2.0
"""The v2 driver on the cgroup2 tree of this machine: processes, freezing, killing, removal and the device filter."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from pyrunc.cgroups import devices_bpf, driver
from pyrunc.cgroups.v2 import Unified
from pyrunc.config.fields import Config, Section
from pyrunc.errors import CgroupError, UsageError
from pyrunc.linux.host import Host
from pyrunc.plan import device_filter
from pyrunc.plan.program import Program
from pyrunc.process.spawn import spawn

NAME = f"pyrunc-test-{os.getpid()}"


def limits(resources: dict[str, object]) -> Section:
    return Section(resources, "/linux/resources")


def open_at(root: Path, inner: str) -> Unified:
    config = Config({"linux": {"cgroupsPath": inner}}, "/b")
    return cast("Unified", driver.open_cgroup(config, NAME, "cgroupfs", root=str(root)))


def real_root() -> Path:
    for root in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")):
        if (root / "cgroup.controllers").exists():
            return root
    pytest.skip("needs a cgroup2 tree")


@pytest.fixture
def cgroup() -> Iterator[Unified]:
    """A made cgroup two levels deep; afterwards nothing of it is left."""
    if os.geteuid():
        pytest.skip("needs root")
    root = real_root()
    made = open_at(root, f"/{NAME}/box")
    made.create()
    yield made
    made.signal(9)
    made.remove(parents=True)
    assert list(root.glob(f"{NAME}*")) == []


@pytest.fixture
def sleeper(cgroup: Unified) -> Iterator["subprocess.Popen[str]"]:
    """A process to put into the cgroup; it ends with the test even if a failure left it frozen."""
    with subprocess.Popen(["sleep", "100"], text=True) as process:
        yield process
        process.kill()
        cgroup.thaw()


@pytest.mark.root
def test_join_and_pids(cgroup: Unified, sleeper: "subprocess.Popen[str]") -> None:
    """A joined process is found by a later verb; beneath only when asked for."""
    Path(cgroup.path, "sub").mkdir()
    cgroup.join(sleeper.pid, {"": "sub"})
    later = driver.from_state(cgroup.record())
    assert (later.pids(), later.pids(all=False)) == ([sleeper.pid], [])
    with pytest.raises(CgroupError, match="leaves"):
        cgroup.join(sleeper.pid, {"": "sub/../.."})
    with pytest.raises(CgroupError, match="not there"):
        cgroup.join(sleeper.pid, {"": "missing"})
    with pytest.raises(UsageError):
        cgroup.join(sleeper.pid, {"pids": "sub"})


@pytest.mark.root
def test_exec_follows_an_init_that_moved_below(cgroup: Unified, sleeper: "subprocess.Popen[str]") -> None:
    """A cgroup that passes controllers on can have no processes: exec goes where the first process is."""
    Path(cgroup.path, "init").mkdir()
    cgroup.join(sleeper.pid, {"": "init"})

    def where() -> str:
        fd = cgroup.open_directory(init=sleeper.pid)
        assert fd is not None
        try:
            return str(Path(f"/proc/self/fd/{fd}").readlink())
        finally:
            os.close(fd)

    assert where() == cgroup.path
    controllers = Path(cgroup.path, "cgroup.controllers").read_text("ascii").split()
    if not controllers:
        pytest.skip("needs a cgroup2 tree with a controller")
    Path(cgroup.path, "cgroup.subtree_control").write_text(f"+{controllers[0]}")
    assert where() == f"{cgroup.path}/init"
    if controllers[0] not in {"cpu", "cpuset", "pids"}:
        with pytest.raises(CgroupError, match="passes controllers on"):
            cgroup.join(sleeper.pid)


@pytest.mark.root
def test_freeze_and_thaw(cgroup: Unified, sleeper: "subprocess.Popen[str]") -> None:
    """Frozen means that no process runs; a cgroup beneath a frozen one is refused for a new container."""
    cgroup.join(sleeper.pid)
    cgroup.freeze()
    assert cgroup.frozen()
    below = open_at(real_root(), f"/{NAME}/box/below")
    with pytest.raises(CgroupError, match="frozen"):
        below.create()
    below.remove()
    cgroup.thaw()
    assert not cgroup.frozen()


@pytest.mark.root
def test_a_failed_freeze_thaws(cgroup: Unified, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the deadline the cgroup goes on, and the error says so."""
    from pyrunc.cgroups import files

    monkeypatch.setattr(files, "wait", lambda *_: False)
    with pytest.raises(CgroupError, match=r"not frozen within 0\.5 s"):
        cgroup.freeze(0.5)
    assert not cgroup.frozen()


@pytest.mark.root
@pytest.mark.parametrize("kill_file", [True, False])
def test_kill_reaches_all(
    cgroup: Unified, sleeper: "subprocess.Popen[str]", kill_file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL ends frozen processes and those beneath; by cgroup.kill, and before Linux 5.14 one by one."""
    if not kill_file:
        from pyrunc.cgroups import tree

        real = tree.try_write
        monkeypatch.setattr(tree, "try_write", lambda file, text: not file.endswith("kill") and real(file, text))
    Path(cgroup.path, "below").mkdir()
    with subprocess.Popen(["sleep", "100"]) as other:
        try:
            cgroup.join(sleeper.pid)
            cgroup.join(other.pid, {"": "below"})
            cgroup.freeze()
            cgroup.signal(9)
            assert (sleeper.wait(5), other.wait(5)) == (-9, -9)
        finally:
            other.kill()
            cgroup.thaw()
    cgroup.remove()
    assert not Path(cgroup.path).exists()


@pytest.mark.root
def test_remove_waits_and_names_what_is_left(cgroup: Unified, sleeper: "subprocess.Popen[str]") -> None:
    """A process that stays is an error with its pid, name and state; one that ends in time is not."""
    cgroup.join(sleeper.pid)
    with pytest.raises(CgroupError, match=rf"has processes: {sleeper.pid} \(sleep, [SR]\)"):
        cgroup.remove(seconds=0.1)
    ender = subprocess.Popen(["sh", "-c", f"sleep 0.2; kill -9 {sleeper.pid}"])
    cgroup.remove()
    ender.wait()
    assert not Path(cgroup.path).exists()
    cgroup.remove()


@pytest.mark.root
def test_remove_of_a_tree_deeper_than_path_max(cgroup: Unified) -> None:
    """A container that owns its cgroup can nest it beyond any path; delete still removes all of it."""
    name, fd = "n" * 250, os.open(cgroup.path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    assert cgroup.pids() == []
    cgroup.remove()
    assert not Path(cgroup.path).exists()


@pytest.mark.root
def test_from_directories(cgroup: Unified, sleeper: "subprocess.Popen[str]") -> None:
    """A `delete --force` with nothing but a journal finds processes and directories."""
    cgroup.join(sleeper.pid)
    found = driver.from_directories(cgroup.directories(), str(real_root()))
    assert found.paths == cgroup.paths
    found.signal(9)
    sleeper.wait(5)
    found.remove(parents=True)
    assert not Path(cgroup.path).parent.exists()


@pytest.mark.root
def test_hugepages_for_real(cgroup: Unified) -> None:
    """The one controller that a hybrid host may leave to cgroup2."""
    if "hugetlb" not in Path(cgroup.path, "cgroup.controllers").read_text("ascii").split():
        pytest.skip("needs the controller hugetlb on cgroup2")
    cgroup.apply(limits({"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}))
    assert Path(cgroup.path, "hugetlb.2MB.max").read_text("ascii") == "4194304\n"
    assert Path(cgroup.path, "hugetlb.2MB.rsvd.max").read_text("ascii") == "4194304\n"
    with pytest.raises(CgroupError, match=r"no hugetlb\.3MB\.max") as caught:
        cgroup.apply(limits({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}))
    assert caught.value.pointer == "/linux/resources/hugepageLimits/0/pageSize"


PROBE = """
import os, sys
input()
for kind, major, minor in ((0o020000, 1, 3), (0o020000, 1, 11), (0o020000, 1, 9), (0o060000, 7, 99)):
    name = f"{sys.argv[1]}/{major}-{minor}"
    try:
        os.mknod(name, kind | 0o600, os.makedev(major, minor))
        made = "m"
    except PermissionError:
        made = "-"
        os.seteuid(0)
    opened = ""
    for letter, flags in (("r", os.O_RDONLY), ("w", os.O_WRONLY)):
        try:
            os.close(os.open(name, flags | os.O_NONBLOCK))
            opened += letter
        except PermissionError:
            opened += "-"
        except OSError as error:
            opened += letter if error.errno != 2 else "?"
    print(f"{major}:{minor} {made}{opened}")
"""


def accesses(cgroup: Unified, directory: Path) -> list[str]:
    """What a process in the cgroup may do with a few devices, made and opened for real."""
    command = [sys.executable, "-ISc", PROBE, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        cgroup.join(process.pid)
        return process.communicate("\n")[0].splitlines()


@pytest.mark.root
def test_the_device_filter_for_real(cgroup: Unified, tmp_path: Path) -> None:
    """The kernel loads the program, and mknod and open obey it; replacing leaves one program, with the new rules."""
    device = {"allow": False, "access": "rwm"}
    narrow = {"allow": False, "type": "c", "major": 1, "minor": 9, "access": "w"}
    cgroup.apply(None)
    fd = os.open(cgroup.path, os.O_RDONLY)
    try:
        rules = device_filter.of_config(Config({"linux": {"resources": {"devices": [device]}}}, "/b"))
        devices_bpf.replace(fd, device_filter.assemble(*rules))
        (tmp_path / "one").mkdir()
        assert accesses(cgroup, tmp_path / "one") == ["1:3 mrw", "1:11 m--", "1:9 mrw", "7:99 m--"]
        default, found = rules
        devices_bpf.replace(fd, device_filter.assemble(default, [*found, device_filter._DEFAULTS[2][1], rule(narrow)]))
        (tmp_path / "two").mkdir()
        assert accesses(cgroup, tmp_path / "two") == ["1:3 mrw", "1:11 m--", "1:9 mr-", "7:99 m--"]
        programs = devices_bpf.attached(fd)
        for program in programs:
            os.close(program)
        assert len(programs) == 1
    finally:
        os.close(fd)


@pytest.mark.root
def test_pyrunc_init_loads_and_attaches_the_filter(cgroup: Unified, tmp_path: Path) -> None:
    """The two calls of the plan, run by the helper on the descriptor of the cgroup, as create does it."""
    program = Program(os.uname().machine)
    entrance = program.input("cgroup")
    device_filter.compile(Config({}, "/b"), Host(cgroup_mode="v2"), program, cgroup_fd=entrance)
    program.exec(["/bin/true"], ["true"], [], origin="")
    fd = cgroup.open_directory()
    assert fd is not None
    try:
        helper = spawn(program, {"cgroup": fd}, 0)
        report = helper.report()
        assert report is None, program.describe(report.index)
        assert helper.reap() == 0
        helper.close()
    finally:
        os.close(fd)
    assert accesses(cgroup, tmp_path)[:2] == ["1:3 mrw", "1:11 m--"]


def rule(entry: dict[str, object]) -> device_filter.Rule:
    return device_filter.Rule(False, "c", cast("int", entry["major"]), cast("int", entry["minor"]), 4)


@pytest.mark.root
def test_an_update_with_a_device_list_replaces_the_filter(cgroup: Unified, tmp_path: Path) -> None:
    """An object of from_state has nothing left to pyrunc-init: it changes the filter itself."""
    later = driver.from_state(cgroup.record())
    later.apply(limits({}))
    assert accesses(cgroup, tmp_path)[1] == "1:11 mrw"
    later.apply(limits({"devices": [{"allow": False}]}))
    (tmp_path / "two").mkdir()
    assert accesses(cgroup, tmp_path / "two")[1] == "1:11 m--"


@pytest.mark.root
def test_pure_view_of_a_hybrid_host() -> None:
    """Where /sys/fs/cgroup is cgroup2 in this mount namespace, the driver is v2, though v1 hierarchies exist."""
    script = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec " + sys.executable + " -c '"
    script += "from pyrunc.cgroups.path import hierarchies; print(hierarchies()[0])'"
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", script]
    assert subprocess.check_output(command, text=True, cwd=Path(__file__).parent.parent) == "v2\n"
