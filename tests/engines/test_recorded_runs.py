# SPDX-License-Identifier: Apache-2.0
"""Each recorded configuration as a container: created, started, entered, killed, deleted, nothing left; and in between
compared with what runc and crun made of it. What is changed for that stands in adapt.py, what may differ in compare.py.
"""

import contextlib
import itertools
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import Box, is_v2
from tests.containers.conftest import fill
from tests.engines import limits
from tests.engines.adapt import Here, mapped, runnable
from tests.engines.compare import differences, facts
from tests.engines.conftest import Pods
from tests.engines.recorded import ACCEPTED, NAMES, ORACLE, REFUSED, SECOND_HALF, Json, load

_count = itertools.count()

RUNNING = [name for name in NAMES if name not in SECOND_HALF and name not in REFUSED]


@pytest.fixture
def box(shared: Path, pods: Pods) -> Iterator[Box]:
    """A bundle on the shared mount."""
    number = next(_count)
    folder = shared / str(number)
    fill(folder / "bundle/rootfs", shared / "programs")
    (folder / "bundle/sources").mkdir()
    box = Box(folder, f"pyrunc-engines-{os.getpid()}-{number}")
    yield box
    box.end()
    shutil.rmtree(folder)


def prepare(name: str, box: Box, pods: Pods) -> Json:
    """config.json of a recording, fit for this machine."""
    config = load(name)
    private = ORACLE[name].get("post", {}).get("own", [])
    here = Here(box.bundle, box.id, private, pods.namespaces(config), "/proc/self/ns", v2=is_v2())
    runnable(config, here)
    give(box.bundle, *mapped(config))
    (box.bundle / "config.json").write_text(json.dumps(config))
    return config


def give(folder: Path, uid: int, gid: int) -> None:
    if uid or gid:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, uid, gid, follow_symlinks=False)
            if path.is_file() and not path.is_symlink() and path.name in ("busybox", "guest"):
                os.chown(path, 0, 0)  # one inode for all tests


@contextlib.contextmanager
def created(box: Box, config: Json) -> Iterator[None]:
    """With an engine's console socket, where there is a terminal; its other end is held, or the process would be hung up."""
    if not config["process"].get("terminal"):
        box._detached("create", "--bundle", box.bundle, box.id)
        yield
        return
    path = str(box.folder / "console")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        box._detached("create", "--bundle", box.bundle, "--console-socket", path, box.id)
        connection, _ = listener.accept()
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
    try:
        yield
    finally:
        os.close(descriptors[0])


@pytest.mark.parametrize("name", RUNNING)
def test_a_recorded_container_lives_as_it_did(name: str, box: Box, pods: Pods) -> None:
    config = prepare(name, box, pods)
    with created(box, config):
        box.pyrunc("start", box.id)
        found = facts(box.pid)
        found["cgroup"] = limits.read(limits.asked(config), lambda controller: box.cgroup(controller, box.pid))
        inside = box.exec("/bin/busybox", "cat", "/proc/self/status").out
        box.pyrunc("kill", box.id, "KILL")
        box.until("stopped")
    box.delete()
    box.check_clean()
    differs = differences(name, config, found, inside) if name not in ACCEPTED else []
    assert not differs, "\n".join(map(str, differs))


@pytest.mark.parametrize("name", REFUSED)
def test_a_negative_sample_is_refused(name: str, box: Box, pods: Pods) -> None:
    """With its own command, in the busybox image; nothing is left."""
    args = load(name)["process"]["args"]
    config = prepare(name, box, pods)
    config["process"]["args"] = args
    (box.rootfs / "etc/passwd").touch(0o644)
    (box.bundle / "config.json").write_text(json.dumps(config))
    error = box.pyrunc("create", "--bundle", box.bundle, box.id, status=1).err
    assert REFUSED[name] in error
    box.check_clean()
