# SPDX-License-Identifier: Apache-2.0
"""Another container exchanges a folder of a shared volume with a symlink to the host, while containers start."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch
from tests.containers.leaks import mounts

HERE = Path(__file__).parent
STARTS, SECONDS = 40, 2.0
"""For each way: at most so many starts, in at most so many seconds."""
TMPFS = {"type": "tmpfs", "source": "tmpfs"}


@pytest.fixture(scope="session")
def race(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that exchanges, built (race.c)."""
    program = tmp_path_factory.mktemp("race") / "race"
    subprocess.run(["cc", "-static", "-Os", "-Wall", "-Werror", "-o", program, HERE / "race.c"], check=True)
    return program


@contextmanager
def exchanging(program: Path, one: Path, other: Path) -> Iterator[None]:
    process = subprocess.Popen([program, one, other])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def volume(box: Box, target: str) -> Path:
    """A shared volume with a folder "swap" and a symlink "link" to a folder of the host."""
    shared = box.folder / "volume"
    (shared / "swap/below").mkdir(parents=True)
    (shared / "link").symlink_to(target)
    return shared


WAYS: dict[str, Patch] = {
    "mount": {"destination": "/volume/swap/{}", **TMPFS},
    "bind": {"destination": "/volume/swap/{}", "source": "/etc", "options": ["bind"]},
    "file": {"destination": "/volume/swap/{}", "source": "/etc/hostname", "options": ["bind"]},
    "deep": {"destination": "/volume/swap/a/../{}/c/d", **TMPFS},
}
TIMES = range(15)
"""Each container tries so often."""


@pytest.mark.parametrize("way", WAYS)
def test_cve_2021_30465_mount_race(box: Box, canary: Path, race: Path, way: str) -> None:
    """CVE-2021-30465. Between the look at a mount's destination and its use, the other container exchanges a folder on
    the way with a symlink to a folder of the host. The mount is in the container's root, or the start fails; the
    host's folder stays as it is.
    """
    target = "../" * 12 + str(canary)[1:]
    shared = volume(box, target)
    bind = {"destination": "/volume", "source": str(shared), "options": ["rbind"]}
    rows = [{**WAYS[way], "destination": WAYS[way]["destination"].format(n)} for n in TIMES]
    storm(box, race, shared, {"+mounts": [bind, *rows]}, canary)


@pytest.mark.parametrize("what", ["cwd", "devices", "masks", "readonly", "devices in a folder"])
def test_cve_2024_45310_mkdir_race(box: Box, canary: Path, race: Path, what: str) -> None:
    """CVE-2024-45310. The same for folders, files and nodes that the runtime makes: none is made on the host."""
    shared = volume(box, "../" * 12 + str(canary)[1:])
    bind = {"destination": "/volume", "source": str(shared), "options": ["rbind"]}
    device = {"type": "c", "major": 1, "minor": 3, "uid": 7, "gid": 7}
    covered = ["/volume/swap/inner", "/volume/swap/file", "/volume/swap"] * 5
    patches: dict[str, Patch] = {
        "cwd": {"process": {"cwd": "/volume/swap/new/folder/" + "x/../y/" * 10}},
        "devices": {"linux": {"devices": [{**device, "path": f"/volume/swap/new{n}/null"} for n in TIMES]}},
        "masks": {"linux": {"maskedPaths": covered}},
        "readonly": {"linux": {"readonlyPaths": covered}},
        "devices in a folder": {"linux": {"devices": [{**device, "path": f"/volume/swap/{n}"} for n in TIMES]}},
    }
    storm(box, race, shared, {"+mounts": [bind], **patches[what]}, canary)


def storm(box: Box, race: Path, shared: Path, patch: Patch, canary: Path) -> None:
    before = mounts(box.folder)
    end = time.monotonic() + SECONDS
    with exchanging(race, shared / "swap", shared / "link"):
        for _ in range(STARTS):
            result = box.run(patch, "true", status=None)
            assert result.status == 0 or len(result.err.splitlines()) == 1
            assert sorted(path.name for path in canary.iterdir()) == ["file", "inner"]
            assert not list((canary / "inner").iterdir())
            if time.monotonic() > end:
                break
    assert mounts(box.folder) == before
    assert os.listdir(canary)
