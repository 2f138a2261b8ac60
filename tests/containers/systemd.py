# SPDX-License-Identifier: Apache-2.0
"""What the tests of cgroups by systemd have in common."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import Box, hierarchy, is_v2

MIB = 1 << 20
PROPERTY = "org.systemd.property."
NAMED = "name=systemd"


@pytest.fixture(name="box")
def box_in_a_scope(box: Box) -> Iterator[Box]:
    """One whose cgroup systemd makes; no unit of it is left."""
    box.flags = ["--systemd-cgroup"]
    yield box
    box.end()
    assert box.id not in listed(box.id)


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", "--no-pager", *words], check=True, capture_output=True, text=True).stdout


def listed(text: str) -> str:
    """The units whose name has a text in it."""
    return systemctl("list-units", "--all", "--plain", "--no-legend", f"*{text}*")


def unit(box: Box) -> str:
    return f"pyrunc-{box.id}.scope"


def shown(name: str, *properties: str) -> dict[str, str]:
    """Properties of a unit; of one that may stand there more than once, all together."""
    found: dict[str, str] = {}
    for line in systemctl("show", name, *(f"--property={one}" for one in properties)).splitlines():
        key, _, value = line.partition("=")
        found[key] = f"{found[key]};{value}" if key in found else value
    return found


def mounted(controller: str) -> str:
    """Where a hierarchy is; the named one of v1 is mounted as "systemd"."""
    return hierarchy("systemd" if controller == NAMED else controller)


def cgroup(box: Box, controller: str) -> Path:
    """As box.cgroup, for the named hierarchy too."""
    for line in Path(f"/proc/{box.pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return Path(mounted(controller) + path)
    raise AssertionError(f"no cgroup of {controller}")


def place(box: Box) -> str:
    """The cgroup of the container, where systemd knows it by, below the mount."""
    controller = "" if is_v2() else NAMED
    return str(cgroup(box, controller)).removeprefix(mounted(controller))


def files(box: Box, *names: str) -> dict[str, str]:
    """Files of the container's cgroup."""
    return {name: (cgroup(box, "" if is_v2() else name.partition(".")[0]) / name).read_text().strip() for name in names}
