# SPDX-License-Identifier: Apache-2.0
"""Cgroups that systemd makes: units, their names, what is left of them. Limits: test_systemd_limits.py. Beside them the
other tests of this folder run with PYRUNC_CGROUPS=systemd.
"""

import subprocess
import time
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch, controllers, hierarchy, is_v2, wait_for
from tests.containers.systemd import (
    MIB,
    NAMED,
    PROPERTY,
    box_in_a_scope,
    cgroup,
    mounted,
    place,
    shown,
    systemctl,
    unit,
)

__all__ = ["box_in_a_scope"]

pytestmark = pytest.mark.systemd


def path(text: str) -> Patch:
    return {"linux": {"cgroupsPath": text}}


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
    assert box.state()["systemd-scope"] == unit(box)
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
    procs = f"{mounted('' if is_v2() else NAMED)}/system.slice/{unit(box)}/cgroup.procs"
    script = f'sed "s/.*\\"pid\\": *\\([0-9]*\\).*/\\1/" > {log}; echo >> {log}; cat {procs} >> {log}'
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script]}
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


@pytest.mark.controller("memory")
def test_an_oom_kill(box: Box) -> None:
    """It is counted, and what systemd calls a failure leaves no unit behind."""
    patch = {"linux": {"resources": {"memory": {"limit": 8 * MIB, "swap": 8 * MIB}}}}
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
        (cgroup(box, name) / "below").mkdir()
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
