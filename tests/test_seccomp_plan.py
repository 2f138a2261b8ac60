# SPDX-License-Identifier: Apache-2.0
"""The one system call that loads a filter; the filter is given, so that a plan needs no libseccomp."""

import pytest

from pyrunc.config.fields import Config
from pyrunc.errors import ConfigError
from pyrunc.linux.host import Host
from pyrunc.plan import seccomp
from pyrunc.plan.program import Program, Struct

FILTER = bytes(8 * 412)


def planned(linux: dict[str, object] | None, *, listener: bool = False, uid: int = 0) -> Program:
    program = Program()
    config = Config({} if linux is None else {"linux": linux}, "/bundle")
    found = seccomp.compile(config, program, FILTER, listener=listener)
    assert (found is not None) is listener
    if found is not None:
        seccomp.hand_over(config, Host(uid=uid), program, found)
    return program


@pytest.mark.parametrize("linux", [None, {}, {"seccomp": None}], ids=["no linux", "no seccomp", "null"])
def test_without_a_profile_there_is_no_filter(linux: dict[str, object] | None) -> None:
    assert planned(linux).ops == []


def test_the_call_and_its_origin() -> None:
    program = planned({"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": []}})
    (op,) = program.ops
    assert (op.name, op.operands[:2], op.origin) == ("seccomp", (1, 0), "/linux/seccomp")
    fprog = op.operands[2]
    assert isinstance(fprog, Struct)
    assert (fprog.layout, fprog.values, fprog.text) == ("HHIQ", (412, 0, 0, FILTER), "filter of 412 instructions")
    assert "filter of 412 instructions" in program.listing()[0]
    assert FILTER in program.encode({}, 1, 0)


@pytest.mark.parametrize(
    ("names", "bits"),
    [
        (None, 4),
        ([], 0),
        (["LOG"], 2),
        (["SPEC_ALLOW", "LOG"], 6),
        (["TSYNC", "LOG"], 2),
        (["WAIT_KILLABLE_RECV"], 0),
    ],
    ids=str,
)
def test_flags(names: list[str] | None, bits: int) -> None:
    """Without the field it is SPEC_ALLOW, as runc and crun; TSYNC does nothing for one thread."""
    flags = None if names is None else ["SECCOMP_FILTER_FLAG_" + name for name in names]
    (op,) = planned({"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": flags}}).ops
    assert op.operands[1] == bits


NOTIFYING = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["sendmsg"], "action": "SCMP_ACT_NOTIFY"}]}


@pytest.mark.parametrize(
    ("seccomp_", "expected"),
    [
        (None, False),
        ({}, False),
        ({"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO"}]}, False),
        (NOTIFYING, True),
    ],
    ids=["none", "empty", "no listener", "listener"],
)
def test_which_filters_have_a_listener(seccomp_: object, expected: bool) -> None:
    assert seccomp.notifies(Config({"linux": {"seccomp": seccomp_}}, "/bundle")) is expected


def test_a_listener_is_handed_over() -> None:
    names = ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
    program = planned({"seccomp": NOTIFYING | {"flags": names}}, listener=True)
    assert [op.name for op in program.ops] == ["seccomp", "listener", "close"]
    assert program.ops[0].operands[1] == 8 | 32
    assert planned({"seccomp": NOTIFYING}, listener=True).ops[0].operands[1] == 8 | 4


def test_an_ordinary_user_has_it_sent() -> None:
    """He may not reach into the helper."""
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
    program = planned({"seccomp": {"syscalls": [rule]}}, listener=True, uid=1000)
    assert [op.name for op in program.ops if op.name != "store"] == ["seccomp", "sendmsg", "listener", "close"]
    with pytest.raises(ConfigError, match=r"^/linux/seccomp/syscalls/0/names: SCMP_ACT_NOTIFY for sendmsg needs root"):
        planned({"seccomp": NOTIFYING}, listener=True, uid=1000)


def test_an_unknown_flag_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'^/linux/seccomp/flags/1: unknown name "SECCOMP_FILTER_FLAG_X"$'):
        planned({"seccomp": {"flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_X"]}})
