# SPDX-License-Identifier: Apache-2.0
"""Attacks on real containers: the box of tests/containers with hostile programs in it, and a root to throw away."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import leaks
from tests.containers.box import Box
from tests.containers.conftest import BUSYBOX, _adopt_orphans, programs
from tests.containers.conftest import box as container_box
from tests.security.throwaway import Throwaway

__all__ = ["_adopt_orphans", "container_box", "programs"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder needs root and a static busybox."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.root)
            if not Path(BUSYBOX).exists():
                item.add_marker(pytest.mark.skip(reason=f"needs {BUSYBOX} (busybox-static)"))


@pytest.fixture(scope="session")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile program, built (attack.c)."""
    program = tmp_path_factory.mktemp("attack") / "attack"
    subprocess.run(["cc", "-static", "-Os", "-Wall", "-Werror", "-o", program, HERE / "attack.c"], check=True)
    return program


@pytest.fixture
def box(container_box: Box, attack: Path) -> Box:
    """A box with /bin/attack."""
    (container_box.rootfs / "bin/attack").hardlink_to(attack)
    return container_box


@pytest.fixture
def other(tmp_path: Path, programs: Path, attack: Path) -> Iterator[Box]:
    """A second box: the victim, or the accomplice, of the first."""
    from tests.containers.conftest import fill

    folder = tmp_path / "other"
    fill(folder / "bundle/rootfs", programs)
    (folder / "bundle/rootfs/bin/attack").hardlink_to(attack)
    box = Box(folder, f"pyrunc-test-{os.getpid()}-other-{tmp_path.name}")
    yield box
    for name in box.root.iterdir():
        if name.name == box.id:
            box.pyrunc("delete", "--force", name.name)  # what else it may leave is seen when the first box ends
    leaks.descendants()  # reaps: until then a pid namespace that it shares cannot end


@pytest.fixture
def throwaway(tmp_path: Path) -> Iterator[Throwaway]:
    """A root in memory, with a pid namespace of its own: what is removed or killed there is nobody's."""
    place = Throwaway(tmp_path)
    yield place
    place.end()


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that no container may touch: as it was at the end of the test."""
    folder = tmp_path / "canary"
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_text("untouched")
    (folder / "file").chmod(0o600)
    before = _facts(folder)
    yield folder
    assert _facts(folder) == before, "the host's directory was touched"
    assert (folder / "file").read_text() == "untouched"


def _facts(folder: Path) -> dict[str, tuple[int, int, int]]:
    facts = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        stat = path.lstat()
        facts[str(path)] = (stat.st_mode, stat.st_uid, stat.st_gid)
    return facts
