# SPDX-License-Identifier: Apache-2.0
"""Capabilities, identity and limits as the kernel shows them of a process that the helper became."""

import json
import os
from pathlib import Path

import pytest

from pyrunc.config.fields import Config
from pyrunc.linux.capabilities import mask
from pyrunc.linux.host import probe
from pyrunc.plan import capabilities, rlimits, user
from pyrunc.plan.ops import REPORT_ERROR
from pyrunc.plan.program import Program
from pyrunc.process import spawn

HELPER = Path(spawn.__file__).parent.parent / "init" / "pyrunc-init"
THREE = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"]
RAW = ["CAP_NET_RAW"]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not HELPER.exists(), reason="needs pyrunc-init, built"),
]


def become(process: dict[str, object], command: str, capfd: pytest.CaptureFixture[str], *, extra: int = 0) -> str:
    """What `command` prints as the process of a config."""
    config, host, program = Config({"process": process}, "/"), probe(), Program(os.uname().machine)
    rlimits.compile(config, host, program)
    capabilities.bounding(config, host, program)
    user.identity(config, host, program)
    capabilities.sets(config, host, program, extra)
    capabilities.ambient(config, host, program)
    user.umask(config, host, program)
    if process.get("noNewPrivileges"):
        capabilities.no_new_privileges(program)
    if extra:
        capabilities.sets(config, host, program, 0)
    program.exec(["/bin/sh"], ["sh", "-c", command], ["PATH=/bin"], origin="/process/args")
    helper = spawn.spawn(program, {}, 0)
    report = helper.report()
    helper.reap()
    helper.close()
    if report is not None:
        assert report.kind == REPORT_ERROR
        raise AssertionError(f"{program.describe(report.index)}: {os.strerror(report.value)}")
    return capfd.readouterr().out


def status(text: str) -> dict[str, str]:
    return {key: value.strip() for key, value in (line.split(":", 1) for line in text.splitlines())}


@pytest.mark.parametrize("extra", [0, 1 << 21])
@pytest.mark.parametrize(
    ("uid", "sets", "expected"),
    [
        # execve(2) gives an ordinary user what is ambient, and root what is in the bounding set
        (
            1000,
            {"bounding": THREE, "permitted": THREE, "effective": RAW, "inheritable": RAW, "ambient": RAW},
            {"CapInh": RAW, "CapPrm": RAW, "CapEff": RAW, "CapBnd": THREE, "CapAmb": RAW},
        ),
        (
            1000,
            {"bounding": THREE, "permitted": THREE, "effective": THREE},
            {"CapInh": [], "CapPrm": [], "CapEff": [], "CapBnd": THREE, "CapAmb": []},
        ),
        (
            0,
            {"bounding": THREE, "permitted": THREE, "effective": THREE},
            {"CapInh": [], "CapPrm": THREE, "CapEff": THREE, "CapBnd": THREE, "CapAmb": []},
        ),
        (0, {}, {"CapInh": [], "CapPrm": [], "CapEff": [], "CapBnd": [], "CapAmb": []}),
    ],
    ids=json.dumps,
)
def test_capabilities(
    uid: int,
    sets: dict[str, list[str]],
    expected: dict[str, list[str]],
    extra: int,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """SPEC-109 to SPEC-113; without the object all five are empty; nothing of `extra` is left."""
    process = {"user": {"uid": uid, "gid": uid}, "capabilities": sets}
    shown = status(become(process, "cat /proc/self/status", capfd, extra=extra))
    assert {key: int(shown[key], 16) for key in expected} == {key: mask(names) for key, names in expected.items()}


def test_identity(capfd: pytest.CaptureFixture[str]) -> None:
    """SPEC-127 to SPEC-131: real, effective, saved and file system ids, the groups, and only they."""
    process = {"user": {"uid": 1000, "gid": 100, "umask": 0o27, "additionalGids": [20, 10]}, "noNewPrivileges": True}
    shown = status(become(process, "cat /proc/self/status", capfd))
    assert shown["Uid"].split() == ["1000"] * 4
    assert shown["Gid"].split() == ["100"] * 4
    assert shown["Groups"].split() == ["10", "20"]
    assert shown["Umask"] == "0027"
    assert shown["NoNewPrivs"] == "1"


def test_root_without_groups(capfd: pytest.CaptureFixture[str]) -> None:
    shown = status(become({}, "cat /proc/self/status", capfd))
    assert (shown["Groups"], shown["Umask"], shown["NoNewPrivs"]) == ("", "0022", "0")


def test_limits(capfd: pytest.CaptureFixture[str]) -> None:
    """SPEC-102 to SPEC-104."""
    limits = [
        {"type": "RLIMIT_CORE", "soft": 0, "hard": (1 << 64) - 1},
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
    ]
    shown = become({"rlimits": limits}, "ulimit -S -c; ulimit -H -c; ulimit -S -n; ulimit -H -n", capfd)
    assert shown.split() == ["0", "unlimited", "100", "200"]
