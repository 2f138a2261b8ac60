# SPDX-License-Identifier: Apache-2.0
"""SPEC-173 to SPEC-187: namespaces, new, by path, and inherited."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import CONFIG, Box, Patch, wait_for

FILES = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt", "cgroup": "cgroup", "time": "time"}
FLAGS = {"net": "--net", "ipc": "--ipc", "uts": "--uts", "mnt": "--mount", "cgroup": "--cgroup", "time": "--time"}


def with_namespaces(*rows: Patch) -> Patch:
    """The default namespaces, with these in their place."""
    kept = [one for one in CONFIG["linux"]["namespaces"] if one["type"] not in {row["type"] for row in rows}]
    return {"linux": {"namespaces": [*kept, *rows]}}


def inside(box: Box, patch: Patch, file: str) -> str:
    return box.run(patch, "readlink", f"/proc/self/ns/{file}").out


def own(file: str) -> str:
    return os.readlink(f"/proc/self/ns/{file}")


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[bytes]]:
    """A process in new namespaces of every type but user and pid; its child is in a new pid namespace."""
    command = ["unshare", *FLAGS.values(), "--pid", "--fork", "--kill-child", "sleep", "100"]
    process = subprocess.Popen(command)
    wait_for(lambda: child_of(process.pid) and own("net") != os.readlink(f"/proc/{child_of(process.pid)}/ns/net"))
    wait_for(lambda: Path(f"/proc/{child_of(process.pid)}/comm").read_text() == "sleep\n")
    yield process
    os.kill(child_of(process.pid), 9)
    process.wait()


def child_of(pid: int) -> int:
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(words[0]) if words else 0


@pytest.mark.parametrize("word", FILES)
def test_new(box: Box, word: str) -> None:
    found = inside(box, with_namespaces({"type": word}), FILES[word])
    assert found.startswith(f"{FILES[word]}:[")
    assert found != own(FILES[word])


@pytest.mark.parametrize("word", FILES)
def test_by_path(box: Box, word: str, holder: subprocess.Popen[bytes]) -> None:
    path = f"/proc/{child_of(holder.pid)}/ns/{FILES[word]}"
    assert inside(box, with_namespaces({"type": word, "path": path}), FILES[word]) == os.readlink(path)


def test_all_by_path_at_once(box: Box, holder: subprocess.Popen[bytes]) -> None:
    folder = Path(f"/proc/{child_of(holder.pid)}/ns")
    rows = [{"type": word, "path": f"{folder / file}"} for word, file in FILES.items() if word != "mount"]
    found = box.run(
        with_namespaces(*rows), "cd /proc/self/ns; for i in pid net ipc uts cgroup time; do readlink $i; done"
    ).lines
    assert found == [os.readlink(folder / file) for file in FILES.values() if file != "mnt"]


@pytest.mark.parametrize("word", ["network", "ipc", "uts", "cgroup", "time", "pid"])
def test_what_is_not_listed_is_inherited(box: Box, word: str) -> None:
    rows = [row for row in CONFIG["linux"]["namespaces"] if row["type"] != word]
    assert inside(box, {"linux": {"namespaces": rows}}, FILES[word]) == own(FILES[word])


def test_a_file_of_another_type_is_an_error(box: Box) -> None:
    error = box.refused(with_namespaces({"type": "network", "path": "/proc/self/ns/uts"}))
    assert error.startswith("pyrunc: /linux/namespaces/5/path: ")


@pytest.mark.parametrize("path", ["/no/such", "/dev/null", "relative"])
def test_a_path_that_is_no_namespace_is_an_error(box: Box, path: str) -> None:
    assert "/linux/namespaces/5/path" in box.refused(with_namespaces({"type": "ipc", "path": path}))


def test_twice_the_same_type_is_an_error(box: Box) -> None:
    assert "/linux/namespaces/6" in box.refused({"linux": {"+namespaces": [{"type": "pid"}]}})


@pytest.mark.parametrize("word", ["net", "PID", ""])
def test_unknown_types_are_an_error(box: Box, word: str) -> None:
    assert "/linux/namespaces/6/type" in box.refused({"linux": {"+namespaces": [{"type": word}]}})


def test_the_loopback_of_a_new_network_is_up(box: Box) -> None:
    assert "UP LOOPBACK" in box.run({}, "ifconfig lo").out


def test_a_network_by_path_is_left_alone(box: Box, holder: subprocess.Popen[bytes]) -> None:
    path = f"/proc/{child_of(holder.pid)}/ns/net"
    assert "UP" not in box.run(with_namespaces({"type": "network", "path": path}), "ifconfig lo").out


def test_pid_1_is_the_process(box: Box) -> None:
    assert box.run({}, "ls /proc | grep -c '^[0-9]'; echo $$").lines[1] == "1"


def test_by_path_of_another_container(box: Box) -> None:
    box.start({}, "sleep 100")
    path = f"/proc/{box.pid}/ns/ipc"
    seen = os.readlink(path)
    box.write(with_namespaces({"type": "ipc", "path": path}), "readlink", "/proc/self/ns/ipc")
    assert box.pyrunc("run", "--bundle", box.bundle, f"{box.id}-2").out == seen


def test_without_a_mount_namespace(box: Box) -> None:
    rows = [{"type": "pid"}, {"type": "uts"}]
    found = box.run({"mounts": None, "linux": {"namespaces": rows}}, "ls /; pwd").out.split()
    assert found == ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "/"]
    assert [one.name for one in (box.rootfs / "dev").iterdir()] == []
