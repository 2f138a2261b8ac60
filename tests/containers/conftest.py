# SPDX-License-Identifier: Apache-2.0
"""Real containers: the fixture `box` (box.py), behind which every test has a look at what it left (leaks.py)."""

import ctypes
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import SYSTEMD, Box, controllers, is_v2

HERE = Path(__file__).parent
BUSYBOX = "/bin/busybox"
_SUBREAPER = 36
_count = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """The markers that only these tests have."""
    config.addinivalue_line("markers", "view(version): needs what is at /sys/fs/cgroup to be v1 (or hybrid), or v2")
    config.addinivalue_line("markers", "controller(name): needs this cgroup controller")
    config.addinivalue_line("markers", "cgroupfs: is about cgroups that are not made by systemd")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder needs root and a static busybox, and some of it one version of cgroups."""
    version = "v2" if is_v2() else "v1"
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        item.add_marker(pytest.mark.root)
        if os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if not Path(BUSYBOX).exists():
            item.add_marker(pytest.mark.skip(reason=f"needs {BUSYBOX} (busybox-static)"))
        if SYSTEMD and item.get_closest_marker("cgroupfs"):
            item.add_marker(pytest.mark.skip(reason="is about cgroups that are not made by systemd"))
        for marker in item.iter_markers("view"):
            if marker.args[0] != version:
                item.add_marker(pytest.mark.skip(reason=f"needs a cgroup {marker.args[0]} view"))
        for marker in item.iter_markers("controller"):
            if marker.args[0] not in controllers():
                item.add_marker(pytest.mark.skip(reason=f"needs the cgroup controller {marker.args[0]}"))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a static busybox and guest, the program that tells what a shell cannot (guest.c)."""
    folder = tmp_path_factory.mktemp("programs")
    shutil.copy(BUSYBOX, folder / "busybox")
    guest = str(folder / "guest")
    subprocess.run(["cc", "-static", "-Os", "-Wall", "-Werror", "-o", guest, str(HERE / "guest.c")], check=True)
    applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout
    (folder / "applets").write_text(applets)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _adopt_orphans() -> Iterator[None]:
    """What loses its parent becomes our child, so that no process of a test can hide."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_SUBREAPER, 1, 0, 0, 0)
    yield
    prctl(_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def box(tmp_path: Path, programs: Path) -> Iterator[Box]:
    """A fresh root, bundle and id; nothing may be left of them at the end."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(parent.stat().st_mode | 0o055)  # a mapped root must be able to reach the rootfs
    fill(tmp_path / "bundle/rootfs", programs)
    box = Box(tmp_path, f"pyrunc-test-{os.getpid()}-{next(_count)}")
    yield box
    box.end()


@pytest.fixture(scope="session")
def installed() -> Iterator[Path]:
    """A copy of pyrunc that every user may run: the checkout, and pytest's own folders, can be closed to them."""
    from tests.containers.ordinary import install

    folder = Path(tempfile.mkdtemp(prefix="pyrunc-installed-"))
    folder.chmod(0o755)
    install(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """In place of tmp_path, whose parents another run of pytest closes to all but its own user."""
    folder = Path(tempfile.mkdtemp(prefix="pyrunc-user-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def fill(rootfs: Path, programs: Path) -> None:
    """A root file system whose files are links: it costs milliseconds."""
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "root"):
        (rootfs / name).mkdir(parents=True)
    for name in ("busybox", "guest"):
        (rootfs / "bin" / name).hardlink_to(programs / name)
    for name in (programs / "applets").read_text().split():
        if name != "busybox":
            (rootfs / "bin" / name).symlink_to("busybox")
    (rootfs / "tmp").chmod(0o1777)
