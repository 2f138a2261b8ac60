# SPDX-License-Identifier: Apache-2.0
"""SPEC-375 to SPEC-398: what `features` claims is what the code takes, and nothing that it refuses."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyrunc import SPEC_VERSION
from pyrunc.config.fields import Config, Section
from pyrunc.config.validate import validate
from pyrunc.container.features import features
from pyrunc.linux.host import probe
from pyrunc.linux.mount_flags import parse
from pyrunc.linux.namespaces import NAMESPACES
from pyrunc.seccomp import flags, profile

FEATURES: Any = features()
LINUX: Any = FEATURES["linux"]
LAUNCHER = Path(__file__).parent.parent / "pyrunc/launcher/pyrunc"

CONFIG: dict[str, Any] = {
    "ociVersion": SPEC_VERSION,
    "root": {"path": "rootfs"},
    "process": {"cwd": "/", "args": ["sh"], "user": {"uid": 0, "gid": 0}},
    "linux": {"namespaces": [{"type": "mount"}]},
}


def test_the_document() -> None:
    """The members of features.md, lists sorted where their order means nothing, and no null."""
    assert list(FEATURES)[:5] == ["ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux"]
    assert "null" not in json.dumps(FEATURES)
    assert LINUX["namespaces"] == sorted(LINUX["namespaces"])
    assert FEATURES["mountOptions"] == sorted(FEATURES["mountOptions"])
    assert all(type(value) is str for value in FEATURES["annotations"].values())


def test_the_verb_prints_it() -> None:
    """As runc: JSON indented by four. Docker reads it once at its start."""
    done = subprocess.run(
        [LAUNCHER, "features"], capture_output=True, text=True, check=True, timeout=30, env=os.environ
    )
    assert json.loads(done.stdout) == FEATURES
    assert done.stdout.startswith('{\n    "ociVersionMin": "1.0.0",\n')
    assert {"rro", "tmpcopyup"} <= set(json.loads(done.stdout)["mountOptions"])


@pytest.mark.parametrize("version", [FEATURES["ociVersionMin"], FEATURES["ociVersionMax"]])
def test_both_versions_are_accepted(version: str) -> None:
    assert validate(Config(CONFIG | {"ociVersion": version}, "/b"), probe()) == []


def test_mount_options_are_recognised() -> None:
    """None of them is passed on to the filesystem, and those of ID-mapped mounts go with `mountExtensions`."""
    assert not [name for name in FEATURES["mountOptions"] if parse([name]).data]
    for name in FEATURES["mountOptions"]:
        mount = {"destination": "/x", "type": "tmpfs", "options": [name]}
        if name in {"idmap", "ridmap"}:
            row = {"containerID": 0, "hostID": 1, "size": 1}
            mount |= {"uidMappings": [row], "gidMappings": [row]}
        if name not in {"bind", "rbind"}:
            validate(Config(CONFIG | {"mounts": [mount]}, "/b"), probe())
    idmap = LINUX["mountExtensions"]["idmap"]["enabled"]
    assert ("idmap" in FEATURES["mountOptions"]) is idmap
    assert ("ridmap" in FEATURES["mountOptions"]) is idmap


def test_what_is_claimed() -> None:
    """Nothing of the specification's properties is refused as a whole any more."""
    found = {name for name, value in LINUX.items() if isinstance(value, dict) and value.get("enabled") is True}
    assert found == {"apparmor", "seccomp", "selinux", "intelRdt", "netDevices"}
    assert LINUX["intelRdt"] == {"enabled": True, "schemata": True, "monitoring": True}
    assert LINUX["memoryPolicy"]["modes"]


def test_namespaces_and_capabilities() -> None:
    assert set(LINUX["namespaces"]) == set(NAMESPACES)
    sets = {"bounding": LINUX["capabilities"]}
    known = Config(CONFIG | {"process": CONFIG["process"] | {"capabilities": sets}}, "/b")
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text("ascii"))
    warnings = [word for text in validate(known, probe()) for word in text.split() if word.startswith("CAP_")]
    # A host may have fewer, and its bounding set may lack some: but each name has a number
    assert set(warnings) <= set(LINUX["capabilities"])
    assert len(LINUX["capabilities"]) > last - 1


def test_cgroups() -> None:
    assert LINUX["cgroup"] == {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True}


@pytest.mark.parametrize("action", LINUX["seccomp"]["actions"])
def test_seccomp_actions(action: str) -> None:
    rule = {"names": ["mkdir"], "action": action}
    profile.check(Section({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x", "syscalls": [rule]}))


def test_seccomp_names() -> None:
    seccomp = LINUX["seccomp"]
    profile.check(
        Section({"defaultAction": "SCMP_ACT_ALLOW", "architectures": seccomp["archs"], "flags": seccomp["knownFlags"]})
    )
    for name in seccomp["operators"]:
        profile.condition(Section({"index": 0, "op": name, "value": 1}))


def test_supported_seccomp_flags_are_asked_of_the_kernel() -> None:
    """Without loading a filter. LOG is of Linux 4.14, SPEC_ALLOW of 4.17, older than what pyrunc needs."""
    mode = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Seccomp:"))
    supported = LINUX["seccomp"]["supportedFlags"]
    assert {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"} <= set(supported)
    assert set(supported) <= set(LINUX["seccomp"]["knownFlags"])
    assert not flags.is_available(1 << 20)
    assert mode in Path("/proc/self/status").read_text()
