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
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers import leaks
from tests.containers.box import Box, is_v2, runtime, wait_for
from tests.containers.conftest import fill
from tests.engines import limits
from tests.engines.adapt import Here, mapped, runnable
from tests.engines.compare import DELIBERATE, KINDS, OF_THE_MACHINE, differences, facts, used
from tests.engines.conftest import Pods
from tests.engines.recorded import ACCEPTED, NAMES, ORACLE, REFUSED, Json, load

_count = itertools.count()

RUNNING = [name for name in NAMES if name not in REFUSED]


class Rootless(Box):
    """The runtime is called in the user and mount namespace of rootless podman; v1 gives users no cgroups."""

    pods: Pods

    def spawn(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        words = [runtime(), "--root", str(self.root), "--cgroup-manager", "disabled", *map(str, arguments)]
        return subprocess.Popen(self.pods.rootless.entered(words), text=True, **options)


@pytest.fixture
def box(request: pytest.FixtureRequest, shared: Path, pods: Pods) -> Iterator[Box]:
    """A bundle on the shared mount, and for a rootless recording the runtime in podman's namespaces."""
    number = next(_count)
    folder = shared / str(number)
    fill(folder / "bundle/rootfs", shared / "programs")
    (folder / "bundle/sources").mkdir()
    kind = Rootless if is_rootless(request.node.callspec.params["name"]) else Box
    box = kind(folder, f"pyrunc-engines-{os.getpid()}-{number}")
    if isinstance(box, Rootless):
        box.pods = pods
        give(folder, 1000, 1000)
    yield box
    box.end()
    shutil.rmtree(folder)


def is_rootless(name: str) -> bool:
    return name.startswith("podman-rootless-")


def prepare(name: str, box: Box, pods: Pods) -> Json:
    """config.json of a recording, fit for this machine."""
    config = load(name)
    private = ORACLE[name].get("post", {}).get("own", [] if name == HOST_NETWORK else KINDS)
    theirs = pods.namespaces(config, rootless=is_rootless(name))
    ours = pods.rootless.namespaces if is_rootless(name) else "/proc/self/ns"
    runnable(config, Here(box.bundle, box.id, private, theirs, ours, v2=is_v2()))
    give(box.bundle, *mapped(config, rootless=is_rootless(name)))
    (box.bundle / "config.json").write_text(json.dumps(config))
    return config


def give(folder: Path, uid: int, gid: int) -> None:
    """To a container's root; but busybox is one file for all tests."""
    for path in [folder, *folder.rglob("*")] if uid or gid else ():
        if path.name not in ("busybox", "guest"):
            os.chown(path, uid, gid, follow_symlinks=False)


HOST_NETWORK = "podman-runc-systemd-run-networkns"
"""The negative sample whose fault is that the network namespace by path is the host's."""


@contextlib.contextmanager
def created(box: Box, config: Json) -> Iterator[None]:
    """With an engine's console socket, where there is a terminal; its other end is held, or the process is hung up."""
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


def look(box: Box, pid: int, pods: Pods) -> Json:
    """The container, seen from where the runtime was called."""
    if not isinstance(box, Rootless):
        return facts(pid, lambda path: Path(path).read_text(), "/proc/self/ns")

    def read(path: str) -> str:
        return subprocess.run(pods.rootless.entered(["cat", path]), check=True, capture_output=True, text=True).stdout

    return facts(pid, read, pods.rootless.namespaces)


@pytest.mark.parametrize("name", RUNNING)
def test_a_recorded_container_lives_as_it_did(name: str, box: Box, pods: Pods) -> None:
    config = prepare(name, box, pods)
    with created(box, config):
        box.pyrunc("start", box.id)
        pid = box.pid
        found = look(box, pid, pods)
        if not is_rootless(name):
            found["cgroup"] = limits.read(limits.asked(config), lambda controller: box.cgroup(controller, pid))
        inside = box.exec("/bin/busybox", "cat", "/proc/self/status").out
        box.pyrunc("kill", box.id, "KILL")
        wait_for(lambda: leaks.fields(str(pid))[:1] in ([], ["Z"]), "its end")
    assert box.status == "stopped"
    box.delete()
    differs = differences(name, config, found, inside) if name not in ACCEPTED else []
    assert not differs, "\n".join(map(str, differs))


def test_every_difference_that_is_meant_was_seen(request: pytest.FixtureRequest) -> None:
    """A row of DELIBERATE that nothing needs any more hides the next mistake; but some depend on the machine."""
    ran = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    if not ran.issuperset(RUNNING):
        pytest.skip("needs all recorded containers in the same run")
    unused = [reason for index, (reason, _) in enumerate(DELIBERATE) if index not in used]
    assert not [reason for reason in unused if reason not in OF_THE_MACHINE]


@pytest.mark.parametrize("name", REFUSED)
def test_a_negative_sample_is_refused(name: str, box: Box, pods: Pods) -> None:
    """With its own command, in the busybox image; nothing is left."""
    args = load(name)["process"]["args"]
    config = prepare(name, box, pods)
    config["process"]["args"] = args
    (box.rootfs / "etc/passwd").touch(0o644)
    (box.bundle / "config.json").write_text(json.dumps(config))
    error = box.pyrunc("create", "--bundle", box.bundle, box.id, status=1).err
    assert error.startswith(f"pyrunc: {REFUSED[name]}"), error
