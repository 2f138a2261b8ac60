# SPDX-License-Identifier: Apache-2.0
"""Cgroups that systemd makes: units, their properties, what a reload keeps, what is left. Beside it the other tests of
this folder run with PYRUNC_CGROUPS=systemd.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import FULL, Box, Patch, capabilities, combine, controllers, hierarchy, is_v2, wait_for

pytestmark = pytest.mark.systemd

MIB = 1 << 20
PROPERTY = "org.systemd.property."
NAMED = "name=systemd"


@pytest.fixture
def box(box: Box) -> Iterator[Box]:
    box.flags = ["--systemd-cgroup"]
    yield box
    left = systemctl("list-units", "--all", "--plain", "--no-legend", f"*{box.id}*")
    box.end()
    assert box.id not in systemctl("list-units", "--all", "--plain", "--no-legend", f"*{box.id}*"), left


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", "--no-pager", *words], check=True, capture_output=True, text=True).stdout


def unit(box: Box) -> str:
    return f"pyrunc-{box.id}.scope"


def shown(name: str, *properties: str) -> dict[str, str]:
    """Properties of a unit; of one that may stand there more than once, all together."""
    found: dict[str, str] = {}
    for line in systemctl("show", name, *(f"--property={one}" for one in properties)).splitlines():
        key, _, value = line.partition("=")
        found[key] = f"{found[key]};{value}" if key in found else value
    return found


def path(text: str) -> Patch:
    return {"linux": {"cgroupsPath": text}}


def resources(**fields: object) -> Patch:
    return {"linux": {"resources": fields}}


def place(box: Box) -> str:
    """The cgroup of the container in the hierarchy by which systemd knows it."""
    controller = "" if is_v2() else NAMED
    return str(box.cgroup(controller)).removeprefix(hierarchy("systemd" if controller else ""))


@pytest.fixture(autouse=True)
def _one_hierarchy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The named hierarchy of v1 is mounted as "systemd"."""
    monkeypatch.setattr("tests.containers.box.hierarchy", lambda name: hierarchy("systemd" if name == NAMED else name))


def test_the_unit_of_a_container(box: Box) -> None:
    box.start({}, "sleep 100")
    assert place(box) == f"/system.slice/{unit(box)}"
    names = ("Slice", "Delegate", "Description", "ActiveState", "Transient", "DefaultDependencies")
    assert shown(unit(box), *names) == {
        "Slice": "system.slice",
        "Delegate": "yes",
        "Description": f"pyrunc container {box.id}",
        "ActiveState": "active",
        "Transient": "yes",
        "DefaultDependencies": "no",
    }
    assert box.exec("cat /proc/self/cgroup").status == 0


def test_the_slice_the_prefix_and_the_name(box: Box) -> None:
    box.start(path(f"pyrunctest-a.slice:engine:{box.id}"), "sleep 100")
    assert place(box) == f"/pyrunctest.slice/pyrunctest-a.slice/engine-{box.id}.scope"
    box.delete("--force")
    systemctl("stop", "pyrunctest.slice")


@pytest.mark.parametrize(
    "text",
    [
        *("/system.slice/x", "system.slice:x", "a:b:c", "--x.slice:b:c", "a.slice:b:c/../../d", "../a.slice:b:c"),
        *("a.slice:b:", "a.slice:b:c.slice", "a.slice:b:c d", "a.slice:b:c\n", "a.slice:b:" + "c" * 300),
    ],
)
def test_paths_that_are_refused(box: Box, text: str) -> None:
    assert box.refused(path(text)).startswith("pyrunc: /linux/cgroupsPath: ")


@pytest.mark.parametrize("flags", [["--cgroup-manager", "systemd"], ["--cgroup-manager=systemd", "--systemd-cgroup"]])
def test_the_flags(box: Box, flags: list[str]) -> None:
    box.flags = flags
    box.create({}, "true")
    assert place(box) == f"/system.slice/{unit(box)}"


def test_later_calls_need_no_flag(box: Box) -> None:
    """Engines give none to exec, and none to the last delete --force."""
    box.create({}, "sleep 100")
    box.flags = []
    box.start()
    assert box.exec("true", "").status == 0
    box.pyrunc("pause", box.id)
    assert box.status == "paused"
    box.pyrunc("resume", box.id)
    box.pyrunc("kill", box.id, "KILL")
    box.until("stopped")
    box.delete()


def test_only_the_container_is_in_it_when_hooks_run(box: Box) -> None:
    """What held the scope before is gone."""
    log = box.folder / "log"
    script = f'pid=$(sed "s/.*\\"pid\\": *\\([0-9]*\\).*/\\1/"); echo $pid > {log}; cat {hierarchy("")}{{}} >> {log}'
    file = f"/system.slice/{unit(box)}/cgroup.procs"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script.replace("{}", file)]}
    if not is_v2():
        hook["args"] = ["sh", "-c", script.replace(hierarchy(""), hierarchy("systemd")).replace("{}", file)]
    box.create({"hooks": {"createRuntime": [hook]}}, "true")
    pid, *processes = log.read_text().split()
    assert processes == [pid]


def test_annotations_are_properties(box: Box) -> None:
    wanted = {
        "TimeoutStopSec": "7",
        "CollectMode": "'inactive-or-failed'",
        "OOMScoreAdjust": None,
        "After": "['a.mount']",
    }
    rows = {PROPERTY + name: value for name, value in wanted.items() if value}
    box.create({"annotations": rows}, "true")
    found = shown(unit(box), "TimeoutStopUSec", "CollectMode", "After")
    assert found.pop("After").split().count("a.mount") == 1
    assert found == {"TimeoutStopUSec": "7s", "CollectMode": "inactive-or-failed"}


@pytest.mark.parametrize(
    ("name", "value", "cause"),
    [
        ("TimeoutStopSec", "'7'", "not a number"),
        ("KillMode", "none", "a text has quotes"),
        ("no", "1", "not the name of a property"),
    ],
)
def test_annotations_that_are_refused(box: Box, name: str, value: str, cause: str) -> None:
    error = box.refused({"annotations": {PROPERTY + name: value}})
    assert error.startswith(f"pyrunc: /annotations/{PROPERTY}{name}: ")
    assert cause in error


def test_a_property_that_systemd_does_not_know(box: Box) -> None:
    error = box.refused({"annotations": {f"{PROPERTY}Nonsense": "1"}})
    assert error.startswith(f"pyrunc: unit {unit(box)} of systemd: StartTransientUnit: ")
    assert "Nonsense" in error


@pytest.mark.view("v2")
def test_a_cgroup_below_the_scope(box: Box) -> None:
    """An annotation of crun."""
    box.start({"annotations": {"run.oci.systemd.subgroup": "container"}}, "sleep 100")
    assert place(box) == f"/system.slice/{unit(box)}/container"
    assert (box.cgroup("").parent / "cgroup.procs").read_text() == ""
    assert box.exec("grep 0:: /proc/self/cgroup").out == "0::/"
    box.pyrunc("pause", box.id)
    box.pyrunc("resume", box.id)
    systemctl("daemon-reload")
    assert box.status == "running"


@pytest.mark.parametrize("text", ["..", "a/../../b", "a\nb"])
def test_a_cgroup_that_leaves_the_scope(box: Box, text: str) -> None:
    error = box.refused({"annotations": {"run.oci.systemd.subgroup": text}})
    assert error.startswith("pyrunc: /annotations/run.oci.systemd.subgroup: ")


def files(box: Box, names: list[str]) -> dict[str, str]:
    return (
        {name: (box.cgroup(name.partition(".")[0]) / name).read_text().strip() for name in names}
        if not is_v2()
        else {name: (box.cgroup("") / name).read_text().strip() for name in names}
    )


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
    assert files(box, list(wanted)) == wanted
    systemctl("daemon-reload")
    # What systemd writes again is what its unit says
    systemctl("set-property", "--runtime", unit(box), "TasksMax=44", "CPUWeight=70" if is_v2() else "CPUShares=70")
    after = files(box, list(wanted))
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
    assert files(box, ["pids.max"]) == {"pids.max": "1"}
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
    assert files(box, [file, "pids.max"]) == {file: exact, "pids.max": "44"}
    systemctl("daemon-reload")
    assert files(box, ["pids.max"]) == {"pids.max": "44"}


@pytest.mark.controller("memory")
def test_an_update_that_is_refused_changes_nothing(box: Box) -> None:
    box.start(resources(pids={"limit": 20}), "sleep 100")
    error = box.pyrunc("update", "--pids-limit", "30", "--cpuset-cpus", "4000", box.id, status=1).err
    assert "/linux/resources/cpu/cpus" in error
    assert files(box, ["pids.max"]) == {"pids.max": "20"}
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


@pytest.mark.controller("memory")
def test_an_oom_kill(box: Box) -> None:
    """It is counted, and what systemd calls a failure leaves no unit behind."""
    patch = resources(memory={"limit": 8 * MIB, "swap": 8 * MIB})
    box.start(patch, "x=x; while :; do x=$x$x; done")
    box.until("stopped")
    box.delete()
    assert shown(unit(box), "LoadState") == {"LoadState": "not-found"}


def test_a_unit_that_failed(box: Box) -> None:
    """RuntimeMaxSec ends it; delete resets it."""
    box.start({"annotations": {f"{PROPERTY}RuntimeMaxSec": "1", f"{PROPERTY}TimeoutStopSec": "1"}}, "sleep 100")
    box.until("stopped")
    wait_for(lambda: shown(unit(box), "ActiveState")["ActiveState"] == "failed")
    box.delete()
    assert shown(unit(box), "LoadState") == {"LoadState": "not-found"}


def test_a_failed_unit_of_that_name(box: Box) -> None:
    """It is reset, and its name taken."""
    words = ["systemd-run", "--scope", "--quiet", f"--unit={unit(box)}", "--property=RuntimeMaxSec=1", "sleep", "100"]
    subprocess.run(words, check=False, capture_output=True)
    wait_for(lambda: shown(unit(box), "ActiveState")["ActiveState"] == "failed")
    box.create({}, "true")
    assert shown(unit(box), "ActiveState") == {"ActiveState": "active"}


def test_a_unit_of_that_name_that_lives(box: Box) -> None:
    """It is another's: refused, and not touched."""
    words = ["systemd-run", "--scope", "--quiet", f"--unit={unit(box)}", "sleep", "100"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as other:
        try:
            wait_for(lambda: shown(unit(box), "ActiveState")["ActiveState"] == "active")
            box.write({}, "true")
            error = box.pyrunc("create", "--bundle", box.bundle, box.id, status=1).err
            assert "not empty" in error
            assert f"{other.pid} (sleep" in error
            assert other.poll() is None
            assert shown(unit(box), "ActiveState") == {"ActiveState": "active"}
            assert not (box.root / box.id).exists()
        finally:
            other.kill()
    wait_for(lambda: shown(unit(box), "LoadState")["LoadState"] == "not-found")


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_a_create_that_fails_leaves_no_unit(box: Box, kind: str) -> None:
    box.refused({"hooks": {kind: [{"path": "/bin/false"}]}}, "true")
    assert shown(unit(box), "LoadState") == {"LoadState": "not-found"}


def test_a_crash_leaves_nothing_that_delete_does_not_find(box: Box) -> None:
    """SIGKILL of create in a hook, and a record that nobody can read: the journal names the unit."""
    began, over = box.folder / "began", box.folder / "over"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"touch {began}; until [ -e {over} ]; do sleep 0.05; done"]}
    box.write({"hooks": {"createRuntime": [hook]}}, "sleep 100")
    process = box.spawn("create", "--bundle", box.bundle, box.id)
    wait_for(began.exists)
    process.kill()
    process.communicate()
    (box.root / box.id / "state.json").write_text("{")
    box.delete("--force")
    assert shown(unit(box), "LoadState") == {"LoadState": "not-found"}
    over.touch()


def test_delete_where_systemd_has_ended_the_unit(box: Box) -> None:
    box.start({"annotations": {f"{PROPERTY}TimeoutStopSec": "1"}}, "sleep 100")
    systemctl("stop", unit(box))
    box.until("stopped")
    box.delete()


def test_processes_of_a_shared_pid_namespace_are_killed(box: Box) -> None:
    """Before the unit is stopped: systemd would wait for them."""
    patch = {"linux": {"namespaces": [{"type": "mount"}, {"type": "cgroup"}]}}
    box.start(patch, "trap '' TERM; sleep 1000 & sleep 1000")
    start = time.monotonic()
    box.delete("--force")
    assert time.monotonic() - start < 10


def test_exec_into_a_cgroup_below(box: Box) -> None:
    box.start({}, "sleep 100")
    names = (
        [""]
        if is_v2()
        else [name for name in ("memory", "pids", NAMED, "") if name != "" or Path(hierarchy("")).exists()]
    )
    for name in names:
        (box.cgroup(name) / "below").mkdir()
    flags = [word for name in names for word in ("--cgroup", f"{name}:/below" if name else "/below")]
    if not is_v2():
        flags = ["--cgroup", f"{NAMED}:/below"]
    seen = box.exec("cat /proc/self/cgroup", flags=tuple(flags)).out
    assert "/below" in seen


def test_the_controllers_are_those_of_the_host(box: Box) -> None:
    """Also those that systemd does not know, as hugetlb."""
    if not is_v2():
        pytest.skip("needs a cgroup v2 view")
    box.create({}, "true")
    assert (box.cgroup("") / "cgroup.controllers").read_text().split() == controllers()
