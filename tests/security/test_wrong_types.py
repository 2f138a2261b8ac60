# SPDX-License-Identifier: Apache-2.0
"""[config-wrong-types]: each value of a configuration, replaced by each wrong type, one at a time."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrunc.container.launch import Draft, Options
from pyrunc.container.settings import Settings
from pyrunc.errors import PyruncError
from tests.containers.box import CONFIG, Box, merge
from tests.security.test_python import told

WRONG: tuple[object, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**32, 2**63, 2**64 - 1, -(2**63), 0.5, 1e300, "", "0", "text", "/", "-1"),
    *([], [None], [0], [""], [[]], [{}], {}, {"": None}, {"a": {}}),
)

HOOK = {"path": "/bin/true", "args": ["true", "x"], "env": ["A=1"], "timeout": 5}
FULL: dict[str, Any] = merge(
    CONFIG,
    {
        "hostname": "box",
        "domainname": "example",
        "annotations": {"org.example.key": "value"},
        "root": {"readonly": True},
        "process": {
            "terminal": False,
            "consoleSize": {"height": 25, "width": 80},
            "user": {"umask": 18, "additionalGids": [5, 6]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}],
            "noNewPrivileges": True,
            "oomScoreAdj": 100,
            "capabilities": {"inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
        },
        "+mounts": [
            {"destination": "/volume", "source": "/etc", "type": "none", "options": ["rbind", "ro", "rprivate"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
        ],
        "hooks": {
            kind: [HOOK]
            for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
        },
        "linux": {
            "cgroupsPath": "/pyrunc-test-types",
            "maskedPaths": ["/proc/keys"],
            "readonlyPaths": ["/proc/sys"],
            "rootfsPropagation": "slave",
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "devices": [
                {"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0},
            ],
            "resources": {
                "devices": [{"allow": False, "access": "rwm", "type": "c", "major": 1, "minor": 3}],
                "memory": {"limit": 67108864, "reservation": 33554432, "swap": -1, "swappiness": 10},
                "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
                "pids": {"limit": 50},
                "blockIO": {"weight": 100},
            },
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86_64"],
                "flags": [],
                "syscalls": [
                    {
                        "names": ["uname"],
                        "action": "SCMP_ACT_ERRNO",
                        "errnoRet": 1,
                        "args": [{"index": 0, "value": 1, "valueTwo": 0, "op": "SCMP_CMP_EQ"}],
                    }
                ],
            },
        },
    },
)


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in the configuration, the whole of it first."""
    yield path
    if isinstance(value, dict):
        for key, member in value.items():
            yield from places(member, (*path, key))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from places(member, (*path, index))


PLACES = list(places(FULL))


def replaced(path: tuple[str | int, ...], wrong: object) -> object:
    config: Any = copy.deepcopy(FULL)
    if not path:
        return wrong
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = wrong
    return config


def kind(value: object) -> str:
    """Its type, as JSON has it."""
    return {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}.get(
        type(value), "null"
    )


def value_at(path: tuple[str | int, ...]) -> object:
    value: Any = FULL
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize("place", range(len(PLACES)), ids=["/".join(map(str, path)) or "all" for path in PLACES])
def test_config_wrong_types(place: int, tmp_path: Path) -> None:
    """B5. A value of another type is refused with its pointer before anything is made; it is never taken for the right
    one (true for 1, "0" for 0), and never a defect. Absent is what JSON null means.
    """
    path = PLACES[place]
    (tmp_path / "rootfs").mkdir()
    settings = Settings(str(tmp_path / "state"), lambda _: None)
    for wrong in WRONG:
        config = replaced(path, wrong)
        if "consoleSize" in path and isinstance(config, dict):
            config["process"]["terminal"] = True  # else it is to be ignored (config.md#process)
        (tmp_path / "config.json").write_text(json.dumps(config))
        error = refusal(settings, tmp_path)
        assert error.isprintable()
        assert len(error) < 1000
        if not error:
            allowed = wrong is None or wrong in ([], {}) or kind(wrong) == kind(value_at(path))
            assert allowed, f"/{'/'.join(map(str, path))}: {wrong!r} was taken"


def refusal(settings: Settings, bundle: Path) -> str:
    """Why a container cannot be made of the bundle; "" when it can."""
    try:
        Draft(settings, "pyrunc-test-types", str(bundle), Options())
    except PyruncError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(40))
def test_config_wrong_types_of_real_containers(box: Box, seed: int) -> None:
    """B5. The same for whole calls: each ends with status 0, or with one line and the machine as before."""
    dice = random.Random(seed)
    config = replaced(dice.choice(PLACES), dice.choice(WRONG))
    if isinstance(config, dict) and isinstance(config.get("linux"), dict):
        config["linux"].pop("cgroupsPath", None)
    (box.bundle / "config.json").write_text(json.dumps(config))
    result = box.pyrunc("run", "--bundle", box.bundle, box.id, status=None)
    assert result.status in (0, 1), result
    if result.status:
        told(result.err)
    box.check_clean()
