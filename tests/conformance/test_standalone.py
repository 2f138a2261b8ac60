# SPDX-License-Identifier: Apache-2.0
"""Other projects run the suite from a checkout: any Python from 3.11 on, no package, from wherever they stand."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.rootfs import find_busybox
from tests.containers.box import CHECKOUT, runtime

PYTHONS = sorted(
    {
        os.path.realpath(path)
        for name in ("python3.11", "python3.12", "python3.13", "python3.14")
        if (path := shutil.which(name, path="/usr/bin:/usr/local/bin"))
    }
    or {sys.executable}
)
LOADED = (
    "import runpy, sys\n"
    "try:\n"
    "    runpy.run_module('conformance', run_name='__main__')\n"
    "finally:\n"
    "    tops = {name.partition('.')[0] for name, one in sys.modules.items() if getattr(one, '__file__', None)}\n"
    "    print(*sorted(tops - sys.stdlib_module_names - {'conformance'}), file=sys.stderr)\n"
)

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not find_busybox(), reason="needs busybox-static"),
]


def suite(python: str, folder: Path, *words: str, program: str = "") -> "subprocess.CompletedProcess[str]":
    """-S: without the packages of any site; the folder is not the checkout's."""
    start = ["-c", program] if program else ["-m", "conformance"]
    return subprocess.run(
        [python, "-S", "-B", *start, "--runtime", runtime(), "--only", "SPEC-011", "130", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
        check=False,
    )


@pytest.mark.parametrize("python", PYTHONS)
def test_python_alone(python: str, tmp_path: Path) -> None:
    """What is loaded is of the suite and of the standard library."""
    done = suite(python, tmp_path, "--format", "json", program=LOADED)
    found = {row["id"]: row["verdict"] for row in json.loads(done.stdout)["results"]}
    assert found["SPEC-011"] == "pass", done.stdout
    assert done.stderr.strip() == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("tap", "TAP version 13\n1..2\n"),
        ("table", "MUST      1 passed    0 failed"),
        ("md", "| SPEC-011 | MUST |"),
        ("json", '"counts"'),
    ],
)
def test_forms(form: str, words: str, tmp_path: Path) -> None:
    """A SHOULD that fails is shown, and leaves the status at 0."""
    done = suite(PYTHONS[0], tmp_path, "--format", form, "--jobs", "1")
    assert words in done.stdout
    assert "SPEC-130" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_the_status_is_1_where_a_must_fails(tmp_path: Path) -> None:
    assert suite(PYTHONS[0], tmp_path, "--only", "365").returncode == 1
