# SPDX-License-Identifier: Apache-2.0
"""Removal never crosses a mount, bind mounts of the same file system included. In a mount namespace of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, subprocess, sys
from pyrunc.errors import StateError
from pyrunc.state import store

root, victim, place = sys.argv[1:]
entry = store.claim(root, "box")
entry.write("state.json", b"{}")
os.makedirs(f"{root}/{place}", exist_ok=True)
subprocess.run(["mount", "--bind", victim, f"{root}/{place}"], check=True)
entry = store.open_entry(root, "box")
try:
    entry.remove()
except StateError as error:
    assert "mount point" in str(error), error
    sys.exit(3)
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare(1)")
@pytest.mark.parametrize("place", ["box", "box/volume"])
def test_a_mount_is_refused_and_what_is_below_stays(tmp_path: Path, place: str) -> None:
    """[delete-traversal]"""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    for name in ("lock", "file"):
        (victim / name).touch()
    command = ["unshare", "--mount", sys.executable, "-c", SCRIPT, str(tmp_path / "root"), str(victim), place]
    assert subprocess.run(command, check=False, cwd=Path(__file__).parent.parent).returncode == 3
    assert sorted(os.listdir(victim)) == ["file", "lock"]
