# SPDX-License-Identifier: Apache-2.0
"""A cgroup2 subtree that belongs to an ordinary user, as systemd gives one to each of his sessions: cgroups(7)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import is_v2
from tests.containers.conftest import fill
from tests.containers.ordinary import GID, UID, Ordinary

pytestmark = [pytest.mark.rootless, pytest.mark.cgroupfs]
VIEW = 'mount --make-rprivate / && umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'


class Delegated(Ordinary):
    """Its calls see cgroup2 alone at /sys/fs/cgroup, and come from a cgroup whose parent the user owns."""

    cgroup_of_box: Path

    def as_user(self, *words: str) -> list[str]:
        command = super().as_user(*words)
        return command if is_v2() else ["unshare", "--mount", "sh", "-c", VIEW, "sh", *command]


@pytest.fixture
def box(open_folder: Path, programs: Path, installed: Path) -> Iterator[Delegated]:
    tree = Path("/sys/fs/cgroup" if is_v2() else "/sys/fs/cgroup/unified")
    if not (tree / "cgroup.controllers").exists():
        pytest.skip("needs a cgroup2 tree")
    fill(open_folder / "bundle/rootfs", programs)
    name = f"pyrunc-delegated-{os.getpid()}"
    own = tree / name
    (own / "session").mkdir(parents=True)
    try:
        for path in (own, *(own / file for file in ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads"))):
            os.chown(path, UID, GID)
        box = Delegated(open_folder, f"{name}-box", installed)
        box.cgroup_of_caller = f"/sys/fs/cgroup/{name}/session"
        box.cgroup_of_box = own / box.id
        yield box
        box.end()
    finally:
        (own / "session").rmdir()
        own.rmdir()


def test_a_delegated_cgroup(box: Delegated) -> None:
    """The container's stands beside that of the caller; it can be frozen, and goes with the container."""
    box.start({}, "sleep 100")
    found = next(line for line in Path(f"/proc/{box.pid}/cgroup").read_text().splitlines() if line.startswith("0::"))
    assert found == f"0::/{box.id.removesuffix('-box')}/{box.id}"
    assert box.cgroup_of_box.stat().st_uid == UID
    assert box.exec("grep 0:: /proc/self/cgroup").out == "0::/"
    box.pyrunc("pause", box.id)
    assert box.status == "paused"
    box.pyrunc("resume", box.id)
    box.delete("--force")
    assert not box.cgroup_of_box.exists()


def test_a_delegated_cgroup_without_the_controller(box: Delegated) -> None:
    if is_v2():
        pytest.skip("the controllers are all there")
    error = box.refused({"linux": {"resources": {"memory": {"limit": 1 << 26}}}})
    assert error.startswith("pyrunc: /linux/resources/memory/limit: ")
    assert "not available" in error
