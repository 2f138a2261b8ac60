# SPDX-License-Identifier: Apache-2.0
"""SPEC-291, SPEC-292: sysctls of the container's namespaces."""

from pathlib import Path

import pytest

from tests.containers.box import Box, Patch


def sysctl(name: str, value: str) -> Patch:
    return {"linux": {"sysctl": {name: value}}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net.ipv4.ip_forward", "1"),
        ("net/ipv4/conf/lo/forwarding", "1"),
        ("net.ipv4.ping_group_range", "0\t5"),
        ("kernel.msgmax", "4096"),
        ("kernel.shm_rmid_forced", "1"),
        ("fs.mqueue.msg_max", "20"),
        ("kernel.domainname", "example"),
    ],
)
def test_values_are_read_back_inside_and_not_outside(box: Box, name: str, value: str) -> None:
    file = Path("/proc/sys") / (name if "/" in name else name.replace(".", "/"))
    host = file.read_text() if file.exists() else ""
    assert box.run(sysctl(name, value), "cat", str(file)).out == value
    assert (file.read_text() if file.exists() else "") == host


@pytest.mark.parametrize(
    "name", ["vm.swappiness", "kernel.panic", "fs.file-max", "kernel.core_pattern", "net.no_such", "..", "net/../vm/x"]
)
def test_what_is_the_hosts_or_nothing_is_refused(box: Box, name: str) -> None:
    assert "/linux/sysctl" in box.refused(sysctl(name, "1"))


@pytest.mark.parametrize("name", ["net.ipv4.ip_forward", "kernel.msgmax", "fs.mqueue.msg_max"])
def test_without_the_namespace_they_are_refused(box: Box, name: str) -> None:
    patch = sysctl(name, "1")
    patch["linux"]["namespaces"] = [{"type": "mount"}, {"type": "pid"}]
    assert "/linux/sysctl" in box.refused(patch)


def test_a_value_that_the_kernel_refuses_is_an_error(box: Box) -> None:
    error = box.refused(sysctl("net.ipv4.ip_forward", "word"))
    assert "/linux/sysctl/net.ipv4.ip_forward" in error
    assert "invalid argument" in error.lower()


def test_they_are_set_although_proc_sys_is_readonly(box: Box) -> None:
    patch = sysctl("net.ipv4.ip_forward", "1")
    patch["linux"]["readonlyPaths"] = ["/proc/sys"]
    assert box.run(patch, "cat /proc/sys/net/ipv4/ip_forward").out == "1"


def test_they_are_set_without_proc_inside(box: Box) -> None:
    patch = sysctl("kernel.msgmax", "4096") | {"mounts": []}
    assert box.run(patch, "echo ran").out == "ran"
