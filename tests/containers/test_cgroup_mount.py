# SPDX-License-Identifier: Apache-2.0
"""Mounts of type cgroup, with and without a cgroup namespace; SPEC-223 to SPEC-230."""

import pytest

from tests.containers.box import CONFIG, FULL, Box, Patch, capabilities, combine, is_v2

FOLDER = "/sys/fs/cgroup"


def mount(*options: str, private: bool = True, kind: str = "cgroup") -> Patch:
    rows = [
        {"destination": "/sys", "type": "sysfs", "source": "sysfs"},
        {"destination": FOLDER, "type": kind, "source": "cgroup", "options": list(options)},
    ]
    namespaces = [row for row in CONFIG["linux"]["namespaces"] if private or row["type"] != "cgroup"]
    return {"+mounts": rows, "linux": {"namespaces": namespaces}}


@pytest.mark.parametrize("private", [True, False])
def test_the_root_is_the_containers_cgroup(box: Box, private: bool) -> None:
    tree = FOLDER if is_v2() else f"{FOLDER}/memory"
    found = box.run(mount(private=private), f"cat {tree}/cgroup.procs | wc -l; ls {tree}").lines
    if private or not is_v2():
        assert int(found[0]) <= 3
        assert "memory.limit_in_bytes" in found or "cgroup.events" in found


@pytest.mark.view("v1")
@pytest.mark.parametrize("private", [True, False])
def test_every_hierarchy_has_a_directory(box: Box, private: bool) -> None:
    names = set(box.run(mount(private=private), f"ls {FOLDER}").lines)
    assert {"memory", "cpu", "pids", "devices", "freezer", "systemd", "unified"} <= names


@pytest.mark.view("v1")
@pytest.mark.parametrize("private", [True, False])
def test_it_is_writable_without_ro(box: Box, private: bool) -> None:
    box.run(combine(capabilities(FULL), mount(private=private)), f"mkdir {FOLDER}/memory/made {FOLDER}/unified/made")


@pytest.mark.view("v2")
def test_it_is_writable_without_ro_on_v2(box: Box) -> None:
    box.run(combine(capabilities(FULL), mount()), f"mkdir {FOLDER}/made")


@pytest.mark.parametrize("private", [True, False])
def test_ro(box: Box, private: bool) -> None:
    patch = combine(capabilities(FULL), mount("ro", "nosuid", "nodev", "noexec", private=private))
    tree = FOLDER if is_v2() else f"{FOLDER}/memory"
    result = box.run(patch, f"mkdir {tree}/made; grep cgroup /proc/mounts | grep -v ' ro,'", status=1)
    assert "Read-only" in result.err
    assert result.out == ""


@pytest.mark.view("v2")
def test_options_are_the_kernels_to_judge_on_v2(box: Box) -> None:
    box.run(mount("memory_recursiveprot"), "true")
    assert "Unknown parameter" in box.refused(mount("no_such_option"))
