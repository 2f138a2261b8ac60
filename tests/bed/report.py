# SPDX-License-Identifier: Apache-2.0
"""The tests in the machine, and what they said: shown while they run, and brought back as one report.

Groups of tests run at the same time, each in a machine of its own: an emulated one uses little more than one processor.
"""

import re
import shlex
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bed import build
from tests.bed.machine import Machine, running

REPORT = build.FOLDER / "report"
TIMEOUT = 300
"""Seconds for a test that says nothing else: ten times slower than where 60 are enough, but for its waits."""
_LIMITS = ("test_cgroups", "test_update", "test_limits", "test_cgroup_mount", "test_events", "test_pause")
_OTHERS = ("test_delegation", "test_labels", "test_checkpoint", "test_exec")


def _files(*names: str, folder: str = "tests/containers") -> list[str]:
    """Files of tests whose names begin so."""
    where = build.CHECKOUT / folder
    return [str(path.relative_to(build.CHECKOUT)) for name in names for path in sorted(where.glob(f"{name}*.py"))]


def _engines(*names: str) -> list[str]:
    return _files(*(f"test_{name}" for name in names), folder="tests/vm")


_CHECKPOINT = "tests/vm/test_checkpoint.py::test_"
GROUPS = {
    "docker": ("", _engines("docker_service", "docker_limits", "docker_lifecycle")),
    "engines": (
        "",
        [
            *_engines("cri", "containerd", "podman_installed", "podman_options", "systemd_user"),
            *(f"{_CHECKPOINT}checkpoint_and_restore", f"{_CHECKPOINT}a_failure_is_told"),
        ],
    ),
    "containers": ("", ["tests/test_cgroups_v2_real.py", *_files("test_rootless_fields", *_LIMITS, *_OTHERS)]),
    "systemd": ("PYRUNC_CGROUPS=systemd", _files("test_systemd", *_LIMITS)),
}
"""What runs when no test is named, and with which variables. An emulated processor is ten times slower, so it is what
no other machine shows, in the time that continuous integration has: of each engine its services with the files of
contrib/, what limits and protects a container, and its life; cgroups are made by systemd, as they are where it runs. Of
the container tests those of controllers and limits, delegation, AppArmor and CRIU, and those of calls that have failed
here alone (exec across nsdelegate); by systemd its own, and the limits again.
"""
MORE = {
    "docker-more": ("", _engines("docker_networks", "docker_images", "docker_daemon")),
    "podman-more": ("", _engines("podman_containers", "checkpoint")),
    "cgroupfs": (
        "ENGINE_CGROUPS=cgroupfs",
        _engines("docker_limits", "containerd_ctr", "cri_pods", "podman_containers"),
    ),
    "all-containers": ("", ["tests/containers"]),
    "all-systemd": ("PYRUNC_CGROUPS=systemd", ["tests/containers"]),
}
"""What runs when it is named, as `make test-vm TESTS='docker-more podman-more'`: what else engines do (15 and 35
minutes), engines whose cgroups systemd does not make, and every container test.
"""
AT_ONCE = 2
"""Machines that run: two processors are what a small host has."""
PASSED_ON = ("ENGINE_RUNTIME", "ENGINE_CGROUPS", "PYRUNC_CGROUPS")
"""Variables of the caller that tests in the machine get."""
KNOWN_SKIPS = (
    r"cgroup v1",
    r"is about cgroups that are not made by systemd",
    r"needs a host without ",
    r"needs a cgroup2 tree without these controllers",
    r"the controllers are all there",
    r"needs a host with resctrl",
    r"Podman allows it for crun alone",
)
"""Reasons for which a test may be skipped in the machine; for any other the run fails."""
_said = threading.Lock()


def run_all(tests: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the tests, or groups by their names; 0 when all passed and none was skipped that should have run."""
    groups = _groups(tests)
    REPORT.mkdir(exist_ok=True)
    for old in REPORT.iterdir():
        old.unlink()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = list(pool.map(lambda name: _group(name, *groups[name], environment), groups))
    suites = [ET.parse(file).getroot() for name in groups if (file := REPORT / f"{name}.xml").exists()]
    skipped = _unknown_skips(suites)
    for line in skipped:
        print(f"vm: skipped, but nothing may be missing here: {line}")
    _merge(suites, REPORT / "junit.xml")
    print(f"vm: {_summary(suites)}; the report: {REPORT}/junit.xml and pytest.txt")
    return max(statuses) or int(bool(skipped))


def _groups(words: Sequence[str]) -> dict[str, tuple[str, list[str]]]:
    """Of words that all name groups those; of others one group of the tests that they name."""
    known = GROUPS | MORE
    if words and not set(words) <= set(known):
        return {"tests": ("", [*words])}
    return {name: known[name] for name in words or GROUPS}


def _group(name: str, variables: str, tests: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status of pytest; 70 when there is none. A machine whose emulated kernel dies is tried once more."""
    passed = [f"{key}={shlex.quote(environment[key])}" for key in PASSED_ON if key in environment]
    for _ in range(2):
        with running(f"test-{name}", environment) as machine:
            status = _pytest(machine, name, " ".join([variables, *passed]), tests)
            if machine.pid:
                (REPORT / f"{name}.xml").write_text(machine.ok("cat /root/junit.xml"))
                return status
            print(f"vm: the machine of {name} died while it ran; its console: {machine.console}")
    return 70


def _pytest(machine: Machine, name: str, variables: str, tests: Sequence[str]) -> int:
    words = [
        *(f"{build.PREFIX}/bin/python", "-m", "pytest", "--verbose", "--junitxml=/root/junit.xml"),
        *("-o", "junit_family=xunit2", "-o", f"junit_suite_name={name}", "-o", f"timeout={TIMEOUT}"),
        *("-p", "no:cacheprovider", "--durations=30", "--durations-min=5", "--basetemp=/var/tmp/pytest", *tests),
    ]
    environment = f"PYRUNC=/usr/local/bin/pyrunc BOX_SECONDS={TIMEOUT // 3} {variables}"
    command = machine.argv(f". /root/.profile; export {environment}; exec {shlex.join(words)} 2>&1")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            with _said, (REPORT / "pytest.txt").open("ab") as text:
                sys.stdout.buffer.write(b"%s: %s" % (name.encode(), line))
                sys.stdout.flush()
                text.write(b"%s: %s" % (name.encode(), line))
        return process.wait()


def _unknown_skips(suites: Sequence[ET.Element]) -> list[str]:
    found = []
    for suite in suites:
        for case in suite.iter("testcase"):
            for skip in case.iter("skipped"):
                reason = skip.get("message", "")
                if not any(re.search(known, reason) for known in KNOWN_SKIPS):
                    found.append(f"{case.get('classname')}::{case.get('name')}: {reason}")
    return found


def _merge(suites: Sequence[ET.Element], file: Path) -> None:
    """One file of the rows of all."""
    merged = ET.Element("testsuites", name="pyrunc in the machine of make vm")
    for suite in suites:
        merged.extend(suite.iter("testsuite"))
    ET.ElementTree(merged).write(file, encoding="utf-8", xml_declaration=True)


def _summary(suites: Sequence[ET.Element]) -> str:
    rows = [suite for root in suites for suite in root.iter("testsuite")]
    counts = {word: sum(int(row.get(word, 0)) for row in rows) for word in ("tests", "failures", "errors", "skipped")}
    seconds = max((float(row.get("time", 0)) for row in rows), default=0)
    return ", ".join(f"{count} {word}" for word, count in counts.items()) + f" in {seconds / 60:.0f} minutes"
