# SPDX-License-Identifier: Apache-2.0
"""What `make vm` and `make test-vm` decide by themselves, seen without a machine."""

import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.bed import build, report
from tests.bed.machine import Machine, MachineError

ROOT = Path(__file__).parent.parent


def suite(*reasons: str) -> ET.Element:
    """A report of one test that passed and others that were skipped."""
    rows = "".join(f'<testcase classname="c" name="t"><skipped message="{reason}"/></testcase>' for reason in reasons)
    count = len(reasons)
    head = f'<testsuite name="s" tests="{count + 1}" failures="0" errors="0" skipped="{count}" time="90">'
    return ET.fromstring(f'<testsuites>{head}<testcase classname="c" name="p"/>{rows}</testsuite></testsuites>')


def test_what_runs_by_default_is_there() -> None:
    for _, tests in (*report.GROUPS.values(), *report.MORE.values()):
        assert tests
        for path, _, name in (test.partition("::") for test in tests):
            assert (ROOT / path).exists()
            if name:
                assert f"def {name}(" in (ROOT / path).read_text()


def test_words_name_groups_or_tests() -> None:
    assert list(report._groups([])) == ["docker", "engines", "containers", "systemd"]
    assert report._groups(["cgroupfs"])["cgroupfs"][0] == "ENGINE_CGROUPS=cgroupfs"
    assert report._groups(["engines", "tests/vm/test_x.py"]) == {"tests": ("", ["engines", "tests/vm/test_x.py"])}


def test_a_skip_is_known_or_a_failure() -> None:
    assert report._unknown_skips([suite("needs a cgroup v1 view")]) == []
    assert report._unknown_skips([suite("needs a cgroup v1 view", "needs docker")]) == ["c::t: needs docker"]


def test_reports_become_one(tmp_path: Path) -> None:
    suites = [suite("needs docker"), suite()]
    report._merge(suites, tmp_path / "junit.xml")
    assert len(list(ET.parse(tmp_path / "junit.xml").getroot().iter("testcase"))) == 3
    assert report._summary(suites) == "3 tests, 0 failures, 0 errors, 1 skipped in 2 minutes"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(build, "PROGRAMS", ("qemu-no-such", "mmdebstrap-no-such"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(build.BuildError, match="missing: qemu-no-such, mmdebstrap-no-such, root"):
        build.build()


def test_the_packages_are_words() -> None:
    words = build.packages()
    assert {"docker.io", "podman", "criu", "apparmor"} <= set(words)
    assert not [word for word in words if "#" in word or "," in word]
    assert len(words) == len(set(words))


def test_what_pip_gets_follows_pyproject() -> None:
    """Everything that pyrunc needs, and pytest; no linter."""
    wanted = build.requirements()
    assert any(row.startswith("jsonschema") for row in wanted)
    assert any(row.startswith("pytest>=") for row in wanted)
    assert not [row for row in wanted if row.startswith(("ruff", "mypy"))]


def test_a_machine_that_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when its pid is by now that of another process."""
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    machine = Machine("none")
    machine.folder.mkdir(parents=True)
    (machine.folder / "pid").write_text(str(os.getpid()))
    (machine.folder / "port").write_text("1")
    assert machine.pid == 0
    with pytest.raises(MachineError, match="none does not run"):
        machine.argv("true")
    machine.stop()
