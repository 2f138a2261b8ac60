# SPDX-License-Identifier: Apache-2.0
"""Capabilities: their rows, what of them is granted, and the calls that grant them."""

from pathlib import Path
from struct import iter_unpack, pack
from typing import Any

import pytest

from pyrunc.config.capability_sets import SETS, CapabilitySets
from pyrunc.config.fields import Config
from pyrunc.linux.capabilities import CAPABILITIES, SYS_ADMIN, mask, names, unknown
from pyrunc.linux.host import Host, probe
from pyrunc.plan import capabilities
from pyrunc.plan.program import Program

ALL = (1 << 41) - 1
KILL, CHOWN, BPF = 1 << 5, 1, 1 << 39
PR_CAPBSET_DROP, PR_CAP_AMBIENT, RAISE, CLEAR_ALL = 24, 47, 2, 4


def config(*namespaces: str, **sets: list[str]) -> Config:
    linux = {"namespaces": [{"type": word} for word in namespaces]}
    return Config({"process": {"capabilities": sets}, "linux": linux}, "/b")


def calls(program: Program) -> list[tuple[Any, ...]]:
    """The operands of each call; of capset ("capset", effective, permitted, inheritable), as the kernel reads it."""
    found: list[tuple[Any, ...]] = []
    for op in program.ops:
        operands: tuple[Any, ...] = op.operands
        if op.name == "capset":
            header, data = operands
            assert pack(header.layout, *header.values) == pack("Ii", 0x20080522, 0)
            low, high = iter_unpack("3I", pack(data.layout, *data.values))
            operands = ("capset", *(upper << 32 | lower for lower, upper in zip(low, high, strict=True)))
        found.append(operands)
    return found


def test_rows_are_the_kernels() -> None:
    """Names as in linux/capability.h, in the order of their numbers; the kernel may know fewer or more."""
    assert len(CAPABILITIES) == len(set(CAPABILITIES)) == 41
    assert (CAPABILITIES[0], CAPABILITIES[21], CAPABILITIES[40]) == (
        "CAP_CHOWN",
        "CAP_SYS_ADMIN",
        "CAP_CHECKPOINT_RESTORE",
    )
    header = Path("/usr/include/linux/capability.h")
    if header.exists():
        words = [line.split() for line in header.read_text("ascii").splitlines() if line.startswith("#define CAP_")]
        rows = {
            name: int(number) for name, number in (words[:2] for words in (w[1:] for w in words)) if number.isdigit()
        }
        assert rows == {name: CAPABILITIES.index(name) for name in rows}


def test_names_and_bits() -> None:
    assert mask(["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHOWN"]) == 1 | SYS_ADMIN
    assert names(1 | SYS_ADMIN | 1 << 41) == ["CAP_CHOWN", "CAP_SYS_ADMIN", "41"]
    assert mask(list(CAPABILITIES)) == ALL
    assert names(ALL) == list(CAPABILITIES)


@pytest.mark.parametrize("name", ["chown", "cap_chown", "CHOWN", "ALL", "", "CAP_", "CAP_CHOWN ", "41"])
def test_an_unknown_name_is_no_capability(name: str) -> None:
    """It never widens a set (SPEC-107)."""
    assert mask([name]) == 0
    assert unknown([name], 40) == [name]


def test_a_capability_newer_than_the_kernel_is_unknown() -> None:
    assert unknown(["CAP_CHECKPOINT_RESTORE", "CAP_BPF"], 39) == ["CAP_CHECKPOINT_RESTORE"]
    assert unknown(["CAP_CHECKPOINT_RESTORE"], 40) == []


def test_no_capabilities_object_is_five_empty_sets() -> None:
    sets = CapabilitySets(Config({}, "/b"), Host())
    assert [getattr(sets, name) for name in SETS] == [0] * 5
    assert sets.refused == []


@pytest.mark.parametrize(
    ("given", "expected", "refused"),
    [
        ({"bounding": ["CAP_KILL"], "permitted": ["CAP_CHOWN"]}, (KILL, CHOWN, 0, 0, 0), []),
        ({"effective": ["CAP_KILL"]}, (0, 0, 0, 0, 0), ["CAP_KILL"]),
        ({"bounding": ["CAP_KILL"], "inheritable": ["CAP_KILL", "CAP_BPF"]}, (KILL, 0, 0, KILL, 0), ["CAP_BPF"]),
        (
            {name: ["CAP_BPF"] for name in SETS if name != "effective"},
            (BPF, BPF, 0, BPF, BPF),
            [],
        ),
        ({"permitted": ["CAP_BPF"], "ambient": ["CAP_BPF"]}, (0, BPF, 0, 0, 0), ["CAP_BPF"]),
        ({"bounding": ["CAP_KILL", "kill", "CAP_NEW"]}, (KILL, 0, 0, 0, 0), ["CAP_NEW", "kill"]),
    ],
)
def test_only_what_the_kernel_would_grant(
    given: dict[str, list[str]], expected: tuple[int, ...], refused: list[str]
) -> None:
    """capset(2) refuses the whole call for one capability too many; each of those is left out, and named."""
    sets = CapabilitySets(config(**given), Host())
    assert tuple(getattr(sets, name) for name in SETS) == expected
    assert sets.refused == refused


def test_a_host_gives_what_it_has() -> None:
    """But a user namespace starts with every capability."""
    host = Host(bounding=ALL & ~BPF, permitted=ALL & ~BPF)
    wanted = {"bounding": ["CAP_BPF", "CAP_KILL"], "permitted": ["CAP_BPF", "CAP_KILL"]}
    sets = CapabilitySets(config(**wanted), host)
    assert (sets.bounding, sets.permitted, sets.refused) == (KILL, KILL, ["CAP_BPF"])
    sets = CapabilitySets(config("user", **wanted), host)
    assert (sets.bounding, sets.permitted, sets.refused) == (KILL | BPF, KILL | BPF, [])


def test_the_host_tells_its_sets() -> None:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text("ascii").splitlines())
    host = probe()
    assert (host.bounding, host.permitted) == (int(status["CapBnd"], 16), int(status["CapPrm"], 16))


def test_bounding_drops_every_other_one() -> None:
    """[cap-drop-complete]: up to the highest that the kernel knows."""
    program = Program()
    capabilities.bounding(config(bounding=["CAP_CHOWN", "CAP_BPF"]), Host(last_cap=42), program)
    dropped = [operands[1] for operands in calls(program)]
    assert dropped == [number for number in range(43) if number not in (0, 39)]
    assert all(operands[0] == PR_CAPBSET_DROP for operands in calls(program))


def test_sets_are_one_capset() -> None:
    """Of both 32-bit halves; `extra` is held until the next."""
    program = Program()
    wanted = config(
        bounding=["CAP_BPF"], permitted=["CAP_BPF", "CAP_KILL"], effective=["CAP_KILL"], inheritable=["CAP_BPF"]
    )
    capabilities.sets(wanted, Host(), program, SYS_ADMIN)
    capabilities.sets(wanted, Host(), program, 0)
    assert calls(program) == [
        ("capset", KILL | SYS_ADMIN, BPF | KILL | SYS_ADMIN, BPF),
        ("capset", KILL, BPF | KILL, BPF),
    ]
    assert "{permitted=KILL|BPF, effective=KILL, inheritable=BPF}" in program.listing()[1]


def test_ambient_is_cleared_first() -> None:
    """What the caller holds there must not reach the container (CVE-2022-29162)."""
    both = ["CAP_CHOWN", "CAP_BPF"]
    program = Program()
    capabilities.ambient(config(bounding=both, permitted=both, inheritable=both, ambient=both), Host(), program)
    capabilities.ambient(config(), Host(), program)
    assert [operands[:3] for operands in calls(program)] == [
        (PR_CAP_AMBIENT, CLEAR_ALL, 0),
        (PR_CAP_AMBIENT, RAISE, 0),
        (PR_CAP_AMBIENT, RAISE, 39),
        (PR_CAP_AMBIENT, CLEAR_ALL, 0),
    ]


def test_holds() -> None:
    wanted = config(permitted=["CAP_SYS_ADMIN"], effective=["CAP_SYS_ADMIN"])
    assert capabilities.holds(wanted, Host(), SYS_ADMIN)
    assert not capabilities.holds(config(permitted=["CAP_SYS_ADMIN"]), Host(), SYS_ADMIN)
