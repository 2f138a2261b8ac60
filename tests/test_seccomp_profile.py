# SPDX-License-Identifier: Apache-2.0
"""The checks of linux.seccomp, without libseccomp."""

import pytest

from pyrunc.config.fields import Section
from pyrunc.errors import ConfigError
from pyrunc.linux.seccomp_rows import ACTIONS, ARCHITECTURES, FLAGS, OPERATORS
from pyrunc.seccomp.profile import action, check

Data = dict[str, object]


def section(**fields: object) -> Section:
    return Section({"defaultAction": "SCMP_ACT_ALLOW", **fields}, "/linux/seccomp")


def rule(**fields: object) -> Section:
    return section(syscalls=[{"names": ["read"], "action": "SCMP_ACT_ERRNO", **fields}])


def argument(**fields: object) -> Section:
    return rule(args=[{"index": 0, "value": 1, "op": "SCMP_CMP_EQ", **fields}])


REFUSED = {
    "no default action": (Section({}, "/linux/seccomp"), "/defaultAction: is required"),
    "unknown default action": (section(defaultAction="ALLOW"), '/defaultAction: unknown action "ALLOW"'),
    "default notify": (
        section(defaultAction="SCMP_ACT_NOTIFY"),
        "/defaultAction: SCMP_ACT_NOTIFY cannot be used as default action",
    ),
    "errno of an action without": (section(defaultErrnoRet=1), "/defaultErrnoRet: SCMP_ACT_ALLOW takes no errno"),
    "errno zero of an action without": (section(defaultErrnoRet=0), "/defaultErrnoRet: SCMP_ACT_ALLOW takes no errno"),
    "errno above the kernel's": (
        section(defaultAction="SCMP_ACT_ERRNO", defaultErrnoRet=4096),
        "/defaultErrnoRet: 4096 is out of range: 0 to 4095",
    ),
    "unknown architecture": (
        section(architectures=["SCMP_ARCH_X86", "SCMP_ARCH_VAX"]),
        '/architectures/1: unknown name "SCMP_ARCH_VAX"',
    ),
    "architecture of another spelling": (section(architectures=["x86_64"]), '/architectures/0: unknown name "x86_64"'),
    "unknown flag": (section(flags=["SECCOMP_FILTER_FLAG_X"]), '/flags/0: unknown name "SECCOMP_FILTER_FLAG_X"'),
    "metadata without a listener": (section(listenerMetadata="x"), "/listenerMetadata: needs listenerPath"),
    "listener of another type": (section(listenerPath=1), "/listenerPath: must be a string, not an integer"),
    "no names": (section(syscalls=[{"action": "SCMP_ACT_ALLOW"}]), "/syscalls/0/names: is required"),
    "names empty": (rule(names=[]), "/syscalls/0/names: must have at least one entry"),
    "a name empty": (rule(names=["read", ""]), "/syscalls/0/names: an empty string is not a system call"),
    "no action": (section(syscalls=[{"names": ["read"]}]), "/syscalls/0/action: is required"),
    "unknown action": (rule(action="SCMP_ACT_DENY"), '/syscalls/0/action: unknown action "SCMP_ACT_DENY"'),
    "notify nobody": (rule(action="SCMP_ACT_NOTIFY"), "/listenerPath: is required, as SCMP_ACT_NOTIFY is used"),
    "notify write": (
        section(listenerPath="/x", syscalls=[{"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"}]),
        "/syscalls/0/names/1: SCMP_ACT_NOTIFY cannot be used for the write syscall",
    ),
    "errno of trap": (rule(action="SCMP_ACT_TRAP", errnoRet=1), "/syscalls/0/errnoRet: SCMP_ACT_TRAP takes no errno"),
    "negative errno": (rule(errnoRet=-1), "/syscalls/0/errnoRet: -1 is out of range: 0 to 4095"),
    "no index": (rule(args=[{"value": 1, "op": "SCMP_CMP_EQ"}]), "/syscalls/0/args/0/index: is required"),
    "no value": (rule(args=[{"index": 1, "op": "SCMP_CMP_EQ"}]), "/syscalls/0/args/0/value: is required"),
    "no operator": (rule(args=[{"index": 1, "value": 1}]), "/syscalls/0/args/0/op: is required"),
    "a seventh argument": (argument(index=6), "/syscalls/0/args/0/index: 6 is out of range: 0 to 5"),
    "value of 65 bits": (argument(value=2**64), f"/syscalls/0/args/0/value: {2**64} is out of range: 0 to {2**64 - 1}"),
    "negative second value": (
        argument(valueTwo=-1),
        f"/syscalls/0/args/0/valueTwo: -1 is out of range: 0 to {2**64 - 1}",
    ),
    "unknown operator": (argument(op="=="), '/syscalls/0/args/0/op: unknown operator "=="'),
}


@pytest.mark.parametrize(("profile", "text"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_field_is_refused_with_its_pointer(profile: Section, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(profile)
    assert str(caught.value) == "/linux/seccomp" + text


def test_every_name_of_the_specification_is_accepted() -> None:
    """SPEC-293, 296, 297, 307, 309; SCMP_ACT_NOTIFY is refused above."""
    names = [name for name in ACTIONS if name != "SCMP_ACT_NOTIFY"]
    conditions = [{"index": 5, "value": 2**64 - 1, "valueTwo": 0, "op": op} for op in OPERATORS]
    rules = [{"names": ["read"], "action": name, "args": conditions} for name in names]
    for name in names:
        check(section(defaultAction=name, architectures=list(ARCHITECTURES), flags=list(FLAGS), syscalls=rules))


def test_a_listener_is_ignored_when_nothing_notifies() -> None:
    """SPEC-302."""
    check(section(listenerPath="/run/listener.sock", listenerMetadata="x"))


def test_null_is_absent() -> None:
    check(section(defaultErrnoRet=None, architectures=None, flags=None, syscalls=None, listenerMetadata=None))


@pytest.mark.parametrize(
    ("name", "number", "result"),
    [
        ("SCMP_ACT_ERRNO", None, 0x50001),
        ("SCMP_ACT_ERRNO", 0, 0x50000),
        ("SCMP_ACT_ERRNO", 38, 0x50026),
        ("SCMP_ACT_TRACE", None, 0x7FF00001),
        ("SCMP_ACT_TRACE", 0xFFFF, 0x7FF0FFFF),
        ("SCMP_ACT_KILL", None, 0),
        ("SCMP_ACT_KILL_PROCESS", None, 0x80000000),
    ],
)
def test_an_action_has_its_errno_or_eperm(name: str, number: int | None, result: int) -> None:
    """SPEC-294, 308."""
    data: Data = {"action": name} if number is None else {"action": name, "errnoRet": number}
    assert action(Section(data), "action", "errnoRet") == result
