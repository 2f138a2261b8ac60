# SPDX-License-Identifier: Apache-2.0
"""The one system call that loads a filter; the filter is given, so that a plan needs no libseccomp."""

import pytest

from pyrunc.config.fields import Config
from pyrunc.errors import ConfigError
from pyrunc.linux.host import Host
from pyrunc.plan import seccomp
from pyrunc.plan.program import Program, Struct

FILTER = bytes(8 * 412)


def planned(linux: dict[str, object] | None) -> Program:
    program = Program()
    seccomp.compile(Config({} if linux is None else {"linux": linux}, "/bundle"), Host(), program, FILTER)
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


def test_an_unknown_flag_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'^/linux/seccomp/flags/1: unknown name "SECCOMP_FILTER_FLAG_X"$'):
        planned({"seccomp": {"flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_X"]}})
