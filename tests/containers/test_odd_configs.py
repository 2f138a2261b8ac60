# SPDX-License-Identifier: Apache-2.0
"""Configurations at the edge: what would have no effect is refused, what is long or strange works or is told well."""

import json
import signal
from typing import Any

import pytest

from tests.containers.box import CONFIG, Box, Patch, merge, namespaces, wait_for

# What is given, the pointer that refuses it
IN_VAIN: list[tuple[Patch, str]] = [
    ({"linux": {"maskedPaths": ["/etc", "/"]}}, "/linux/maskedPaths/1"),
    ({"linux": {"maskedPaths": ["/etc/../.."]}}, "/linux/maskedPaths/0"),
    ({"linux": {"readonlyPaths": ["//"]}}, "/linux/readonlyPaths/0"),
    ({"+mounts": [{"destination": "/", "type": "tmpfs"}]}, "/mounts/3/destination"),
    (
        {"+mounts": [{"destination": "..", "type": "sysfs", "source": "sysfs"}]},
        "/mounts/3/destination",
    ),
]

# Values that only a later step reads, and that are refused before anything is made all the same
EARLY: list[tuple[Patch, str]] = [
    ({"linux": {"resources": {"memory": {"limit": "1G"}}}}, "/linux/resources/memory/limit"),
    ({"linux": {"resources": {"cpu": {"cpus": "a"}}}}, "/linux/resources/cpu/cpus"),
    ({"process": {"execCPUAffinity": {"initial": "z"}}}, "/process/execCPUAffinity/initial"),
    ({"process": {"execCPUAffinity": {"final": 3}}}, "/process/execCPUAffinity/final"),
    ({"process": {"scheduler": {"policy": "SCHED_X"}}} | namespaces("user", "mount"), "/process/scheduler/policy"),
]


@pytest.mark.parametrize(("patch", "pointer"), IN_VAIN, ids=[str(patch) for patch, _ in IN_VAIN])
def test_what_would_have_no_effect(box: Box, patch: Patch, pointer: str) -> None:
    """A mount upon the root of a process does not cover it."""
    assert box.refused(patch, "true").startswith(f"pyrunc: {pointer}: ")


def test_the_root_can_be_mounted_anew(box: Box) -> None:
    patch = {"+mounts": [{"destination": "/", "options": ["remount", "bind", "ro"]}]}
    assert "Read-only" in box.run(patch, "touch /x", status=1).err


@pytest.mark.parametrize(("patch", "pointer"), EARLY, ids=[pointer for _, pointer in EARLY])
def test_refused_before_anything_is_made(box: Box, patch: Patch, pointer: str) -> None:
    assert box.refused(patch, "true").startswith(f"pyrunc: {pointer}: ")
    assert box.pyrunc("plan", "--bundle", box.bundle, status=1).err.startswith(f"pyrunc: {pointer}: ")


def test_hooks_of_no_known_kind(box: Box) -> None:
    """config.md#extensibility: an unknown property is no error."""
    box.run({"hooks": {"beforeAll": 5, "after": [{"path": "relative"}]}}, "true")


def test_limits_without_a_cgroup_are_told(box: Box) -> None:
    box.flags = ["--cgroup-manager", "disabled", "--log-level", "warning"]
    assert "/linux/resources: ignored" in box.run({"linux": {"resources": {"pids": {"limit": 9}}}}, "true").err


def nulls(value: Any) -> Any:
    """`value` with a null in each place where nothing stands."""
    process = ("consoleSize", "rlimits", "oomScoreAdj", "scheduler", "ioPriority", "execCPUAffinity", "selinuxLabel")
    linux = ("uidMappings", "devices", "cgroupsPath", "seccomp", "maskedPaths", "sysctl", "intelRdt", "netDevices")
    limits = ("devices", "memory", "cpu", "pids", "blockIO", "hugepageLimits", "network", "rdma", "unified")
    value |= dict.fromkeys(("hostname", "domainname", "annotations", "vm", "windows"))
    value["hooks"] = dict.fromkeys(("prestart", "createContainer", "poststop"))
    value["process"] |= dict.fromkeys((*process, "terminal", "noNewPrivileges", "apparmorProfile"))
    value["process"]["user"] |= dict.fromkeys(("umask", "additionalGids", "username"))
    value["linux"] |= dict.fromkeys((*linux, "rootfsPropagation", "mountLabel", "personality", "memoryPolicy"))
    value["linux"]["resources"] = dict.fromkeys(limits)
    value["mounts"] = [{"options": None, "uidMappings": None} | mount for mount in value["mounts"]]
    value["root"]["readonly"] = None
    return value


def test_nulls_are_absent_fields(box: Box) -> None:
    """As engines written in Go leave them."""
    config = nulls(merge(CONFIG, {"root": {"readonly": False}}))
    assert box.run({}, "true").status == 0
    (box.bundle / "config.json").write_text(json.dumps(config))
    box.pyrunc("run", "--bundle", box.bundle, box.id)


def test_empty_texts(box: Box) -> None:
    """A host name that is empty is none; an empty argument is one."""
    host = box.run({}, "hostname").out
    done = box.run({"hostname": "", "domainname": ""}, "sh", "-c", 'hostname; echo "$#[$1]"', "sh", "")
    assert done.lines == [host, "1[]"]


def test_letters_of_any_script(box: Box) -> None:
    patch = {
        "hostname": "hé",
        "annotations": {"ü": "☃"},
        "+mounts": [{"destination": "/mnt/☃", "type": "tmpfs", "source": "☃"}],
    }
    seen = box.run(patch, "hostname; grep -c ☃ /proc/self/mountinfo; echo ünï")
    assert seen.lines == ["hé", "1", "ünï"]


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_500_mounts(box: Box, kind: str) -> None:
    row = {"type": kind, "source": "/tmp", "options": ["bind"] if kind == "bind" else ["size=4k"]}
    patch = {"+mounts": [row | {"destination": f"/m/{index}"} for index in range(500)]}
    assert box.run(patch, "grep -c /m/ /proc/self/mountinfo").out == "500"


def test_long_argv(box: Box) -> None:
    """30000 arguments; one of more than MAX_ARG_STRLEN is told as such."""
    assert box.run({}, "sh", "-c", "echo $#", *["a"] * 30000).out == "29999"
    assert "argument list too long" in box.refused({}, "echo", "a" * 200000)


def test_a_path_of_4_kib(box: Box) -> None:
    path = "/" + "/".join(["d" * 100] * 39)
    assert box.run({"process": {"cwd": path}}, "pwd").out == path
    error = box.refused({"process": {"cwd": path + path}}, "pwd")
    assert error.startswith("pyrunc: /process/cwd: ")
    assert "\n" not in error


@pytest.mark.slow
def test_delete_beside_a_create_that_hangs(box: Box) -> None:
    """Who cleans up is told, after some seconds, and does not hang as well; the end of create undoes all."""
    box.write({"hooks": {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "1000"]}]}}, "true")
    creating = box.spawn("create", "--bundle", box.bundle, box.id)
    try:
        wait_for(lambda: (box.root / box.id / "journal").exists() and box.status == "creating")
        assert "in use by another call" in box.pyrunc("delete", "--force", box.id, status=1).err
    finally:
        creating.send_signal(signal.SIGINT)
        creating.communicate(timeout=10)
    box.check_clean()
