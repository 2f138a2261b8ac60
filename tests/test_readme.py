# SPDX-License-Identifier: Apache-2.0
"""What README.md tells a newcomer to type works as it stands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def block(heading: str) -> str:
    """The first shell block below a heading."""
    found = re.search(rf"^## {heading}$.*?^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def test_by_hand_is_ten_lines() -> None:
    """A container by hand takes ten lines."""
    assert block("A container by hand").count("\n") == 10


def test_targets_exist() -> None:
    """Every `make` target that the text names is one of the Makefile's."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"make ([a-z][a-z-]+)", README))
    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()
    assert {"demo", "test", "setup", "install"} <= named


def test_every_command_is_explained() -> None:
    """The table of commands is that of the program."""
    from pyrunc.cli.table import COMMANDS

    rows = README.split("## Commands")[1].split("##")[0]
    explained = {name for row in rows.splitlines() for name in re.findall(r"`(\w+)`", row.partition(" | ")[0])}
    assert explained == set(COMMANDS)


@pytest.fixture
def busybox() -> None:
    """Skip without a busybox that runs in an empty root."""
    if not (path := shutil.which("busybox")):
        pytest.skip("needs busybox-static")
    if "=>" in subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout:
        pytest.skip("needs busybox-static: busybox is linked with libraries")


@pytest.fixture
def shell(tmp_path: Path) -> list[str]:
    """A shell in an empty folder, whose `pyrunc` keeps its state there."""
    pyrunc = Path(sys.executable).with_name("pyrunc")
    wrapper = tmp_path / "bin" / "pyrunc"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {pyrunc} --root {tmp_path}/state "$@"\n', "ascii")
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}:{os.environ['PATH']}"
    return ["env", "-C", str(tmp_path), f"PATH={path}", "bash", "-eu", "-o", "pipefail", "-c"]


@pytest.mark.root
@pytest.mark.usefixtures("busybox")
def test_by_hand_works(shell: list[str], tmp_path: Path) -> None:
    """The ten lines make a container in which sleep is pid 1, and leave none."""
    done = subprocess.run([*shell, block("A container by hand")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +1 .*sleep 1000$", done.stdout, re.MULTILINE)
    assert '"status": "running"' in done.stdout
    assert "execve" in done.stdout
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.root
@pytest.mark.usefixtures("busybox")
def test_demo_works() -> None:
    """`make demo` shows what it promises."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [ROOT / "tests/demo.sh"], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    for fact in ("1 0        sleep 1000", "\nbox\n", "67108864", '"status": "running"'):
        assert fact in done.stdout
