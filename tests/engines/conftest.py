# SPDX-License-Identifier: Apache-2.0
"""What a recorded configuration finds here in place of its engine: a shared mount, and namespaces of a pod."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import wait_for
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
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))
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


NAMESPACES = ("--net", "--ipc", "--uts", "--pid")


class Pod:
    """A process with namespaces of its own, in a user namespace when there are maps, made `within` that of another."""

    def __init__(
        self, maps: Json | None = None, flags: tuple[str, ...] = NAMESPACES, within: "Pod | None" = None
    ) -> None:
        self._within = within
        words = ["unshare", *(["--user"] if maps else []), *flags, "--fork", "--kill-child", "sleep", "1000"]
        self._process = subprocess.Popen(self.inside(words), stdin=subprocess.DEVNULL)
        self._wait("user" if maps else "net")
        for field, name in (("uidMappings", "uid_map"), ("gidMappings", "gid_map")) if maps else ():
            rows = [f"{row['containerID']} {row['hostID']} {row['size']}\n" for row in (maps or {})[field]]
            words = ["tee", f"/proc/{self._process.pid}/{name}"]
            subprocess.run(self.inside(words), input="".join(rows), text=True, check=True, stdout=subprocess.DEVNULL)
        self.pid = self._child()

    def inside(self, words: list[str]) -> list[str]:
        """A command for the user and mount namespaces in which this one is made."""
        return self._within.entered(words) if self._within else words

    def entered(self, words: list[str]) -> list[str]:
        """A command for its own, as their root."""
        return ["nsenter", f"--target={self.pid}", "--user", "--mount", "--", *words]

    def _wait(self, kind: str) -> None:
        caller = f"/proc/{self._within.pid if self._within else 'self'}/ns/{kind}"
        wait_for(lambda: os.readlink(f"/proc/{self._process.pid}/ns/{kind}") != os.readlink(caller), "unshare")
        if self._within:
            wait_for(lambda: Path(f"/proc/{self._process.pid}/comm").read_text() == "unshare\n", "nsenter")

    def _child(self) -> int:
        pid = self._process.pid
        found: list[int] = []

        def look() -> bool:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            found[:] = [int(child) for child in children if Path(f"/proc/{child}/comm").read_text() == "sleep\n"]
            return bool(found)

        wait_for(look, "the child of unshare")
        return found[0]

    @property
    def namespaces(self) -> str:
        return f"/proc/{self.pid}/ns"

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


CONTAINERD: Json = {
    field: [{"containerID": 0, "hostID": 100000, "size": 65536}] for field in ("uidMappings", "gidMappings")
}
"""The id maps of the pod whose user namespace is given by path."""

PODMAN: Json = {
    field: [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 65536}]
    for field in ("uidMappings", "gidMappings")
}
"""Those of the user namespace in which podman, run by an ordinary user, calls the runtime."""

KEEP_ID = load("podman-rootless-crun-systemd-pod-keepid-2")["linux"]


class Pods:
    """The namespaces that engines give by path; all are there before a test begins, so that none looks left behind.

    rootless: the one that is podman's own.
    """

    def __init__(self) -> None:
        self.rootless = Pod(PODMAN, ("--mount", "--propagation", "slave"))
        self._pods = {
            (False, False): Pod(),
            (False, True): Pod(CONTAINERD),
            (True, False): Pod(within=self.rootless),
            (True, True): Pod(KEEP_ID, within=self.rootless),
        }

    def namespaces(self, config: Json, *, rootless: bool) -> str:
        """The directory with those that a configuration needs."""
        rows = config["linux"]["namespaces"]
        return self._pods[rootless, any(row["type"] == "user" and "path" in row for row in rows)].namespaces

    def end(self) -> None:
        for pod in (*self._pods.values(), self.rootless):
            pod.end()


@pytest.fixture(scope="module")
def pods() -> Iterator[Pods]:
    pods = Pods()
    yield pods
    pods.end()
