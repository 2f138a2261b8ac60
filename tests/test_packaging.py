# SPDX-License-Identifier: Apache-2.0
"""What pip gets: a wheel of this machine, of no Python ABI, with the helper compiled and the launcher beside it."""

import runpy
import struct
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PT_DYNAMIC, PT_INTERP = 2, 3


def program_headers(elf: bytes) -> list[int]:
    """The types of the segments: elf(5), Elf64_Ehdr and Elf64_Phdr."""
    (offset,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    return [struct.unpack_from("<I", elf, offset + index * size)[0] for index in range(count)]


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """pyrunc-init, as the one place compiles it."""
    build = runpy.run_path(str(ROOT / "pyrunc/init/build.py"))["build"]
    return bytes(build(tmp_path_factory.mktemp("helper") / "pyrunc-init").read_bytes())


def test_the_helper_needs_nothing(helper: bytes) -> None:
    """No interpreter and no library: nothing of a container's file system is loaded into it."""
    assert helper[:4] == b"\x7fELF"
    assert not {PT_DYNAMIC, PT_INTERP} & set(program_headers(helper))


def test_the_helper_is_small(helper: bytes) -> None:
    """It is copied for each container, and fits a memory limit of 512 KiB many times."""
    assert len(helper) <= 12 * 1024


def test_the_helper_is_reproducible(helper: bytes, tmp_path: Path) -> None:
    """Equal sources give equal bytes, wherever they lie."""
    for path in (ROOT / "pyrunc/init").glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    subprocess.run([sys.executable, tmp_path / "build.py", tmp_path / "again"], check=True)
    assert (tmp_path / "again").read_bytes() == helper


def test_a_broken_source_leaves_the_old_helper(tmp_path: Path) -> None:
    """The output appears whole or not at all."""
    (tmp_path / "build.py").write_bytes((ROOT / "pyrunc/init/build.py").read_bytes())
    (tmp_path / "main.c").write_text("this is no C", "ascii")
    (tmp_path / "pyrunc-init").write_text("old", "ascii")
    done = subprocess.run([sys.executable, tmp_path / "build.py"], capture_output=True, check=False)
    assert done.returncode != 0
    assert (tmp_path / "pyrunc-init").read_text("ascii") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build.py", "main.c", "pyrunc-init"]


def test_the_wheel(tmp_path: Path) -> None:
    """Its tag is the platform's, it has helper and launcher, both executable, and no C source."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = tmp_path.glob("*.whl")
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert path.name.endswith(f"-py3-none-{platform}.whl")
    with zipfile.ZipFile(path) as wheel:
        members = {member.filename: member.external_attr >> 16 for member in wheel.infolist()}
    launcher = next(name for name in members if name.endswith(".data/scripts/pyrunc"))
    assert members["pyrunc/init/pyrunc-init"] & 0o111
    assert {f"pyrunc/spec/{name}.schema.json" for name in ("config", "state", "features")} <= members.keys()
    assert members[launcher] & 0o111
    assert not [name for name in members if name.endswith((".c", ".h"))]
