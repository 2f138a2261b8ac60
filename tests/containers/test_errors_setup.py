# SPDX-License-Identifier: Apache-2.0
"""Each way in which config.json or the host can make create fail: the whole line, and nothing left behind.

Not one of these lines has words that podman and Docker take for the fate of the user's command.
"""

import json
import os
from pathlib import Path

import pytest

from tests.containers.box import Box
from tests.containers.error_patches import Row, mount, resources, rlimit
from tests.containers.error_rows_files import MOUNTS, ROOT
from tests.containers.error_rows_process import NAMESPACES, PROCESS, SECCOMP, V1

ENGINE_WORDS = ("no such file or directory", "permission denied", "operation not permitted", "is a directory")
ARGV: dict[str, tuple[str, ...]] = {"/process/args": ()}


def line(box: Box, field: str, call: str, reason: str) -> str:
    parts = ["pyrunc", field, call, reason]
    return ": ".join(part for part in parts if part).replace("~", str(box.bundle)).replace("+", box.id)


def furnish(box: Box) -> None:
    """What the rows need in the bundle."""
    (box.rootfs / "etc/file").write_text("")
    (box.rootfs / "etc/link").symlink_to("/etc/file")
    (box.rootfs / "link").symlink_to("/etc")
    (box.rootfs / "closed").mkdir(mode=0o700)
    (box.bundle / "dangling").symlink_to("/nowhere")
    (box.bundle / "circle").symlink_to("circle")


def check(box: Box, row: Row) -> None:
    patch, field, call, reason = row
    furnish(box)
    error = box.refused(json.loads(json.dumps(patch).replace("~", str(box.bundle))), *ARGV.get(field, ("true", "x")))
    assert error == line(box, field, call, reason)
    assert not any(words in error.lower() for words in ENGINE_WORDS)


@pytest.mark.parametrize("name", MOUNTS)
def test_mount(box: Box, name: str) -> None:
    check(box, MOUNTS[name])


@pytest.mark.parametrize("name", ROOT)
def test_root(box: Box, name: str) -> None:
    check(box, ROOT[name])


@pytest.mark.parametrize("name", PROCESS)
def test_process(box: Box, name: str) -> None:
    check(box, PROCESS[name])


@pytest.mark.parametrize("name", NAMESPACES)
def test_namespace(box: Box, name: str) -> None:
    check(box, NAMESPACES[name])


@pytest.mark.parametrize("name", SECCOMP)
def test_seccomp(box: Box, name: str) -> None:
    check(box, SECCOMP[name])


@pytest.mark.view("v1")
@pytest.mark.parametrize("name", V1)
def test_cgroup(box: Box, name: str) -> None:
    check(box, V1[name])


def test_a_missing_root_is_found_before_anything_is_made(box: Box) -> None:
    """Not even the directory of the state."""
    box.write({"root": {"path": "nope"}})
    box.pyrunc("--root", box.folder / "other", "create", "--bundle", box.bundle, box.id, status=1)
    assert not (box.folder / "other").exists()


def test_unknown_capabilities_are_a_warning(box: Box) -> None:
    """config.md#linux-process: they are not an error."""
    box.write({"process": {"capabilities": {"bounding": ["CAP_NOPE"]}}}, "echo fine")
    result = box.pyrunc("--log-level", "warning", "run", "--bundle", box.bundle, box.id)
    assert result.out == "fine"
    assert result.err == "pyrunc: warning: ignoring unknown or unavailable capabilities: CAP_NOPE"


def test_rlimit_above_what_any_process_may_have(box: Box) -> None:
    with open("/proc/sys/fs/nr_open", encoding="ascii") as file:
        most = int(file.read())
    assert box.refused(rlimit("RLIMIT_NOFILE", 1, most + 1)) == (
        f"pyrunc: /process/rlimits/0: prlimit64(0, RLIMIT_NOFILE, {{soft=1, hard={most + 1}}}, NULL): "
        f"not allowed (EPERM): no process may have more open files than /proc/sys/fs/nr_open says, {most}"
    )


@pytest.mark.view("v1")
def test_a_cpu_that_the_host_lacks(box: Box) -> None:
    with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
        online = file.read().strip()
    assert box.refused(resources(cpu={"cpus": "999"})).endswith(
        f'cpuset.cpus", "999"): numerical result out of range (ERANGE): the host has {online},'
        " and the cgroup above may have less"
    )


def test_the_root_filesystem_is_as_before(box: Box) -> None:
    """What a failed create has made inside the image are mount points at most, never a device or a link."""
    furnish(box)
    box.refused(mount("/data", "nofs", "x"))
    files = (Path(folder, name) for folder, _, names in os.walk(box.rootfs) for name in names)
    assert not [file for file in files if file.is_char_device() or file.is_block_device()]
