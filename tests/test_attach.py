# SPDX-License-Identifier: Apache-2.0
"""The programs of `mounts add` and `mounts remove`: which namespaces the helper enters, and what it does there."""

import pytest

from pyrunc.config.fields import Config
from pyrunc.linux.host import Host
from pyrunc.linux.namespaces import NAMESPACES
from pyrunc.plan.attach import add, made, remove

ALL = sum(flag for flag, _ in NAMESPACES.values())
BIND: dict[str, object] = {"destination": "/bind", "source": "/source", "options": ["bind"]}
TMPFS: dict[str, object] = {"destination": "/tmpfs", "type": "tmpfs"}


def host(**facts: object) -> Host:
    return Host(kernel=(6, 12), machine="x86_64", last_cap=1, cgroup_mode="v2", cgroups=(), **facts)  # type: ignore[arg-type]


def config(*rows: dict[str, object]) -> Config:
    return Config({"mounts": list(rows)}, "/bundle")


def joined(listing: list[str]) -> str:
    return " ".join(line.partition("setns(<init>, ")[2].partition(")")[0] for line in listing if "setns(" in line)


@pytest.mark.parametrize(
    ("rows", "flags"),
    [
        ([TMPFS, BIND], "CLONE_NEWNS|CLONE_NEWUSER"),
        ([{"destination": "/s", "type": "sysfs"}], "CLONE_NEWNET|CLONE_NEWNS|CLONE_NEWUSER"),
        ([{"destination": "/q", "type": "mqueue"}], "CLONE_NEWIPC|CLONE_NEWNS|CLONE_NEWUSER"),
    ],
)
def test_namespaces_that_are_entered(rows: list[dict[str, object]], flags: str) -> None:
    """Never that of processes: nobody inside may see the helper (CVE-2016-9962)."""
    found = joined(add(config(*rows), host(), ALL).listing())
    assert "|".join(sorted(found.split("|"))) == flags
    assert "CLONE_NEWPID" not in found


def test_namespaces_that_are_shared_are_not_entered() -> None:
    flags = NAMESPACES["mount"][0] | NAMESPACES["pid"][0]
    assert joined(add(config(TMPFS), host(), flags).listing()) == "CLONE_NEWNS"


def test_sources_are_opened_on_the_host() -> None:
    """With the caller's rights, and before a path could mean something of the container's."""
    names = [op.name for op in add(config(BIND), host(), ALL).ops]
    assert names.index("open_tree") < names.index("setns") < names.index("move_mount")


def test_an_ordinary_user_opens_them_in_a_namespace_of_his_own() -> None:
    names = [op.name for op in add(config(BIND), host(uid=1000), ALL).ops]
    steps = [names.index("setns"), names.index("unshare"), names.index("open_tree"), names.index("move_mount")]
    assert steps == sorted(steps)
    assert names.count("setns") == 2


def test_what_was_made_before_a_failure() -> None:
    program = add(config(TMPFS, BIND, {"destination": "/tmpfs", "options": ["remount", "ro"]}), host(), ALL)
    moves = [op.index for op in program.ops if op.name == "move_mount"]
    assert [made(program, at) for at in (0, moves[0], moves[0] + 1, len(program.ops))] == [[], [], [0], [0, 1]]


def test_removal_looks_up_all_before_the_first_is_gone() -> None:
    ops = remove(config(TMPFS, BIND), host(), ALL).ops
    calls = [(op.name, op.origin) for op in ops if op.name in ("openat2", "umount2")]
    assert calls == [
        ("openat2", "/mounts/0"),
        ("openat2", "/mounts/1"),
        ("umount2", "/mounts/1"),
        ("umount2", "/mounts/0"),
    ]
