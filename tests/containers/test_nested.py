# SPDX-License-Identifier: Apache-2.0
"""pyrunc in a container of pyrunc."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import CONFIG, Box, Patch, merge
from tests.containers.conftest import fill
from tests.containers.ordinary import own_tree, rows

BASE = 800000
CAPABILITIES = [
    *(
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_KILL",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
    ),
    *("CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_NET_ADMIN", "CAP_MKNOD"),
]


@pytest.fixture
def box(open_folder: Path, programs: Path) -> Iterator[Box]:
    """Its root has, in /in, the bundle of a container."""
    rootfs = open_folder / "bundle/rootfs"
    fill(rootfs, programs)
    fill(rootfs / "in/rootfs", programs)
    for name in ("usr", "lib", "lib64", "opt", "run"):
        (rootfs / name).mkdir()
    own_tree(rootfs, BASE, BASE)
    box = Box(open_folder, f"pyrunc-nested-{os.getpid()}")
    yield box
    box.end()


def outer(installed: Path, linux: Patch) -> Patch:
    """A container whose programs are the host's, which brings the interpreter, and which has pyrunc in /opt."""
    if not Path("/usr/bin/python3").exists():
        pytest.skip("needs /usr/bin/python3")
    sources = {"/opt": str(installed)} | {name: name for name in ("/usr", "/lib", "/lib64") if Path(name).exists()}
    binds = [{"destination": name, "source": path, "options": ["rbind", "ro"]} for name, path in sources.items()]
    cgroup = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}
    ids = rows(0, BASE, 65536)
    space = {"+namespaces": [{"type": "user"}], "uidMappings": ids, "gidMappings": ids}
    process = {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES)}
    return {"+mounts": [*binds, cgroup], "process": process, "linux": merge(space, linux)}


def inner(box: Box, patch: Patch) -> None:
    config = merge(CONFIG, patch)
    config["process"]["args"] = ["sh", "-c", "hostname; id -u; echo $$"]
    (box.rootfs / "in/config.json").write_text(json.dumps(config))


def test_a_container_in_a_container(box: Box, installed: Path) -> None:
    inner(box, {"hostname": "inner"})
    command = "/opt/bin/pyrunc run --bundle /in inner && ls /run/pyrunc"
    assert box.run(outer(installed, {}), command).lines == ["inner", "0", "1"]


def test_a_user_namespace_in_a_user_namespace(box: Box, installed: Path) -> None:
    ids = rows(0, 5, 10)
    inner(
        box, {"hostname": "inner", "linux": {"+namespaces": [{"type": "user"}], "uidMappings": ids, "gidMappings": ids}}
    )
    assert box.run(outer(installed, {}), "/opt/bin/pyrunc run --bundle /in inner").lines == ["inner", "0", "1"]


def test_a_covered_proc_allows_no_other(box: Box, installed: Path) -> None:
    """The kernel's mount_too_revealing: the error names what lies over /proc."""
    ids = rows(0, 5, 10)
    inner(box, {"linux": {"+namespaces": [{"type": "user"}], "uidMappings": ids, "gidMappings": ids}})
    patch = outer(installed, {"maskedPaths": ["/proc/keys", "/proc/timer_list"]})
    error = box.run(patch, "/opt/bin/pyrunc run --bundle /in inner", status=1).err
    assert error.startswith("pyrunc: /mounts/0: fsmount(")
    assert "/proc/keys, /proc/timer_list" in error
