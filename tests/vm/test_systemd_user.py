# SPDX-License-Identifier: Apache-2.0
"""Cgroups by the systemd of an ordinary user, called from the host's cgroups, and from below what his manager has."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.box import CONFIG, merge, wait_for

USER = "tester"
UID = 1000
RUNTIME = f"/run/user/{UID}"
MANAGER = f"/user.slice/user-{UID}.slice/user@{UID}.service"
PYRUNC = os.environ.get("PYRUNC", "/usr/local/bin/pyrunc")
PROPERTY = "org.systemd.property."


class Rootless:
    """A bundle of the user. below: whether calls come from a scope of his manager; environment: of the calls."""

    def __init__(self, folder: Path, container_id: str, *, below: bool) -> None:
        self.folder = folder
        self.id = container_id
        self.below = below
        self.environment = {"XDG_RUNTIME_DIR": RUNTIME, "PATH": "/usr/local/bin:/usr/bin:/bin"}
        (folder / "rootfs/bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", folder / "rootfs/bin/busybox")
        for name in ("sh", "cat", "sleep", "true", "grep"):
            (folder / "rootfs/bin" / name).symlink_to("busybox")
        for name in ("proc", "dev", "sys"):
            (folder / "rootfs" / name).mkdir()

    def write(self, patch: dict[str, Any], *argv: str) -> None:
        base = {
            "process": {"args": ["sh", "-c", *argv]},
            "linux": {
                "+namespaces": [{"type": "user"}],
                "uidMappings": [{"containerID": 0, "hostID": UID, "size": 1}],
                "gidMappings": [{"containerID": 0, "hostID": UID, "size": 1}],
            },
        }
        (self.folder / "config.json").write_text(json.dumps(merge(merge(CONFIG, base), patch)))
        subprocess.run(["chown", "-R", f"{UID}:{UID}", self.folder], check=True)

    def as_user(self, *words: str) -> list[str]:
        command = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--init-groups", "--inh-caps=-all", "env", "-i"]
        command += [f"{name}={value}" for name, value in self.environment.items()]
        return [*command, *(("systemd-run", "--user", "--scope", "--quiet") if self.below else ()), *words]

    def pyrunc(self, *words: str, status: int = 0) -> str:
        with (self.folder / "out").open("w+") as out:
            done = subprocess.run(
                self.as_user(PYRUNC, *words), stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False, timeout=120
            )
            out.seek(0)
            text = out.read().strip()
        assert done.returncode == status, text
        return text

    def start(self, patch: dict[str, Any], *argv: str) -> None:
        self.write(patch, *argv)
        self.pyrunc("--systemd-cgroup", "create", "--bundle", str(self.folder), self.id)
        self.pyrunc("start", self.id)

    def cgroup(self) -> str:
        pid = json.loads(self.pyrunc("state", self.id))["pid"]
        return Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")

    def show(self, *properties: str) -> dict[str, str]:
        words = ["systemctl", "--user", "show", f"pyrunc-{self.id}.scope", *(f"--property={one}" for one in properties)]
        self_below, self.below = self.below, False
        text = subprocess.run(self.as_user(*words), check=True, capture_output=True, text=True).stdout
        self.below = self_below
        return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture(params=[False, True], ids=["outside", "below"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rootless]:
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o055)
    box = Rootless(tmp_path / "bundle", f"user-{os.getpid()}-{int(request.param)}", below=request.param)
    yield box
    box.environment["XDG_RUNTIME_DIR"] = RUNTIME
    box.pyrunc("delete", "--force", box.id)
    assert box.show("LoadState") == {"LoadState": "not-found"}
    assert not list(Path("/sys/fs/cgroup/user.slice").rglob(f"*{box.id}*"))


def test_a_life(box: Rootless) -> None:
    box.start({}, "sleep 1000")
    scope = f"{MANAGER}/user.slice/pyrunc-{box.id}.scope"
    assert box.cgroup() == scope
    assert box.show("Slice", "Delegate", "ActiveState") == {
        "Slice": "user.slice",
        "Delegate": "yes",
        "ActiveState": "active",
    }
    assert box.pyrunc("exec", box.id, "cat", "/proc/self/cgroup") == "0::/"
    box.pyrunc("exec", "--detach", box.id, "sleep", "1000")
    assert len(Path(f"/sys/fs/cgroup{scope}/cgroup.procs").read_text().split()) == 2
    box.pyrunc("pause", box.id)
    assert '"paused"' in box.pyrunc("state", box.id)
    box.pyrunc("resume", box.id)
    box.pyrunc("kill", box.id, "KILL")
    wait_for(lambda: '"stopped"' in box.pyrunc("state", box.id))
    box.pyrunc("delete", box.id)
    assert box.show("LoadState") == {"LoadState": "not-found"}


def test_limits(box: Rootless) -> None:
    box.start({"linux": {"resources": {"memory": {"limit": 64 << 20}, "pids": {"limit": 20}}}}, "sleep 1000")
    assert box.show("MemoryMax", "TasksMax") == {"MemoryMax": str(64 << 20), "TasksMax": "20"}
    directory = Path(f"/sys/fs/cgroup{box.cgroup()}")
    assert [(directory / name).read_text().strip() for name in ("memory.max", "pids.max")] == [str(64 << 20), "20"]
    box.pyrunc("update", "--memory", "32M", "--pids-limit", "30", box.id)
    assert box.show("MemoryMax", "TasksMax") == {"MemoryMax": str(32 << 20), "TasksMax": "30"}
    assert [(directory / name).read_text().strip() for name in ("memory.max", "pids.max")] == [str(32 << 20), "30"]


def test_a_slice_and_an_annotation(box: Rootless) -> None:
    patch = {"annotations": {f"{PROPERTY}TimeoutStopSec": "7"}, "linux": {"cgroupsPath": f"app.slice:pyrunc:{box.id}"}}
    box.start(patch, "sleep 1000")
    assert box.cgroup() == f"{MANAGER}/app.slice/pyrunc-{box.id}.scope"
    assert box.show("TimeoutStopUSec") == {"TimeoutStopUSec": "7s"}


def test_a_create_that_fails(box: Rootless) -> None:
    box.write({"hooks": {"createRuntime": [{"path": "/bin/false"}]}}, "true")
    assert "hook" in box.pyrunc("--systemd-cgroup", "create", "--bundle", str(box.folder), box.id, status=1)
    assert box.show("LoadState") == {"LoadState": "not-found"}


def test_a_user_without_a_manager(tmp_path: Path) -> None:
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o055)
    box = Rootless(tmp_path / "bundle", "user-alone", below=False)
    box.write({}, "true")
    box.environment.pop("XDG_RUNTIME_DIR")
    words = ("--root", str(box.folder / "state"), "--systemd-cgroup", "run", "--bundle", str(box.folder), box.id)
    error = box.pyrunc(*words, status=1)
    assert "unit pyrunc-user-alone.scope of systemd (user): no D-Bus" in error
