# SPDX-License-Identifier: Apache-2.0
"""The suite tells a good runtime from those that lack one property, and from programs that are no runtime at all."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.host import cgroup_mode
from conformance.rootfs import find_busybox
from tests.conformance.broken import LEAKS, NEIGHBOURS, ROWS
from tests.containers.box import CHECKOUT, runtime

BROKEN = Path(__file__).parent / "broken.py"

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not find_busybox(), reason="needs busybox-static"),
]


def verdicts(program: str, *ids: str, faults: tuple[str, ...] = ()) -> dict[str, str]:
    """What the suite says of each requirement; 343 and 355 are shown besides by every refusal."""
    command = [sys.executable, "-m", "conformance", "--runtime", program, "--format", "json"]
    environment = {**os.environ, "RUNTIME": runtime(), "FAULTS": ",".join(faults)}
    done = subprocess.run(
        [*command, *(["--only", *ids] if ids else [])],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env=environment,
        check=False,
    )
    assert done.stdout, done.stderr
    return {row["id"][5:]: row["verdict"] for row in json.loads(done.stdout)["results"]}


APART = ("mount order",)
"""It alters what others are about, too."""
GROUPS = (
    [(name,) for name in ROWS]
    if os.environ.get("EACH_FAULT")
    else [
        *(tuple(name for name in list(ROWS)[start::3] if name not in APART) for start in range(3)),
        *((name,) for name in APART),
    ]
)
"""Each fault alone takes minutes: EACH_FAULT=1 pytest tests/conformance."""


@pytest.mark.parametrize("faults", GROUPS, ids=" ".join)
def test_faults_fail_their_requirements_only(faults: tuple[str, ...]) -> None:
    """What some other fault breaks, and what none does, still passes."""
    own = {id for name in faults for id in ROWS[name][0].split()}
    others = [name for name in ROWS if name not in faults][:: max(1, len(ROWS) // 3)]
    watched = {id for name in others for id in ROWS[name][0].split()} | set(NEIGHBOURS.split())
    found = verdicts(str(BROKEN), *sorted(own | watched), faults=faults)
    assert {id for id, verdict in found.items() if verdict == "fail"} == own, found


def refusal(faults: str) -> dict[str, str]:
    """What is said of one refusal and of what it left: requirement and detail; "" is a pass."""
    script = (
        "import json, sys; from conformance import __main__ as suite, requirements, rootfs;"
        "table = {'SPEC-007': requirements.table()['SPEC-007']};"
        "found = suite.run([sys.argv[1]], table, 1, rootfs.find_busybox());"
        "print(json.dumps({id: text for one in found for id, verdict, text in one.verdicts}))"
    )
    environment = {**os.environ, "RUNTIME": runtime(), "FAULTS": faults}
    done = subprocess.run(
        [sys.executable, "-c", script, str(BROKEN)],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", LEAKS)
def test_what_a_refusal_leaves_is_found(kind: str) -> None:
    """After the error, and it is gone afterwards; a state is a container, too."""
    found = refusal(kind)
    assert f"SPEC-007 left behind {kind}: " in found.pop("SPEC-343")
    assert bool(found.pop("SPEC-355")) == (kind == "state")
    assert found == {"SPEC-007": ""}


def test_a_refusal_that_leaves_nothing() -> None:
    assert refusal("") == {"SPEC-007": "", "SPEC-343": "", "SPEC-355": ""}


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false"])
def test_what_is_no_runtime_passes_nothing(program: str) -> None:
    """Neither one that accepts everything nor one that refuses everything."""
    found = verdicts(program, "1-30", "91-135", "345-380")
    assert {id for id, verdict in found.items() if verdict == "pass"} == set()
    assert sum(verdict == "fail" for verdict in found.values()) > 80


@pytest.mark.parametrize("name", ["runc", "crun"])
def test_another_runtime(name: str) -> None:
    """What each of them does well, the suite sees as such."""
    if not (program := shutil.which(name)):
        pytest.skip(f"needs {name}")
    if name == "crun" and cgroup_mode() == "hybrid":
        pytest.skip("crun refuses a host with cgroup v1 and cgroup2")
    found = verdicts(
        program, "11", "12", "98", "103", "104", "109-114", "129", "132", "192", "315", "317", "332", "363"
    )
    assert {id: verdict for id, verdict in found.items() if verdict != "pass"} == {}
