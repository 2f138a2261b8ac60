# SPDX-License-Identifier: Apache-2.0
"""What a recorded configuration finds here in place of its engine: a shared mount, and namespaces of a pod."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.conftest import BUSYBOX, _adopt_orphans, programs
from tests.engines.recorded import Json, load

__all__ = ["_adopt_orphans", "programs"]

HERE = Path(__file__).parent
SHM = "nosuid,nodev,noexec,mode=1777,size=65536k"
RUNS = HERE / "test_recorded_runs.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real containers need root and a static busybox."""
    for item in items:
        if item.path == RUNS:
            item.add_marker(pytest.mark.root)
            if not Path(BUSYBOX).exists():
                item.add_marker(pytest.mark.skip(reason=f"needs {BUSYBOX} (busybox-static)"))


@pytest.fixture(scope="module")
def shared(programs: Path) -> Iterator[Path]:
    """A tmpfs whose mounts are shared, as everything is where systemd runs; every mapped root may pass it."""
    folder = Path(tempfile.mkdtemp(prefix="pyrunc-engines-"))
    folder.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder], check=True)
    subprocess.run(["mount", "--make-rshared", folder], check=True)
    try:
        shutil.copytree(programs, folder / "programs")
        (folder / "shm").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", SHM, "shm", folder / "shm"], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", folder], check=True)
        folder.rmdir()


class Pod:
    """A process with namespaces of its own, in a user namespace when there are maps."""

    def __init__(self, maps: Json | None = None) -> None:
        words = ["unshare", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", *(["--user"] if maps else [])]
        self._process = subprocess.Popen([*words, "sleep", "1000"], stdin=subprocess.DEVNULL)
        self._wait("net")
        for field, name in (("uidMappings", "uid_map"), ("gidMappings", "gid_map")) if maps else ():
            rows = [f"{row['containerID']} {row['hostID']} {row['size']}\n" for row in maps[field]]
            Path(f"/proc/{self._process.pid}/{name}").write_text("".join(rows))
        self.pid = self._child()

    def _wait(self, kind: str) -> None:
        deadline = time.monotonic() + 10
        while os.readlink(f"/proc/{self._process.pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}"):
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def _child(self) -> int:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            if children and Path(f"/proc/{children[0]}/comm").read_text() == "sleep\n":
                return int(children[0])
            time.sleep(0.005)
        raise AssertionError("unshare has no child")

    @property
    def namespaces(self) -> str:
        return f"/proc/{self.pid}/ns"

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


MAPS = (
    None,
    {field: [{"containerID": 0, "hostID": 100000, "size": 65536}] for field in ("uidMappings", "gidMappings")},
    load("podman-rootless-crun-systemd-pod-keepid-2")["linux"],
)
"""The id maps of pods whose namespaces are given by path: the host's user namespace, containerd's, and podman's."""


class Pods:
    """The namespaces that engines give by path; all are there before a test begins, so that none looks left behind."""

    def __init__(self) -> None:
        self._pods = [(maps, Pod(maps)) for maps in MAPS]

    def namespaces(self, config: Json) -> str:
        """The directory with those that a configuration needs."""
        linux = config["linux"]
        joins = any(row["type"] == "user" and "path" in row for row in linux["namespaces"])
        wanted = linux.get("uidMappings") if joins else None
        return next(pod.namespaces for maps, pod in self._pods if (maps["uidMappings"] if maps else None) == wanted)

    def end(self) -> None:
        for _, pod in self._pods:
            pod.end()


@pytest.fixture(scope="module")
def pods() -> Iterator[Pods]:
    pods = Pods()
    yield pods
    pods.end()
