# SPDX-License-Identifier: Apache-2.0
"""SPEC-293 to SPEC-309: filters of system calls, as the process meets them."""

import platform

import pytest

from tests.containers.box import Box, Patch

NR = {"x86_64": {"getcwd": 79, "getsid": 124, "sync": 162}, "aarch64": {"getcwd": 17, "getsid": 156, "sync": 81}}
NUMBERS = NR[platform.machine()]
ARCH = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}[platform.machine()]
SYNC = f"call:{NUMBERS['sync']}"
ENOSYS, EPERM = 38, 1


def seccomp(*rules: Patch, default: str = "SCMP_ACT_ALLOW", **fields: object) -> Patch:
    return {
        "linux": {"seccomp": {"defaultAction": default, "architectures": [ARCH], "syscalls": list(rules), **fields}}
    }


def rule(action: str, *names: str, **fields: object) -> Patch:
    return {"names": list(names), "action": action, **fields}


def errno_of(box: Box, patch: Patch) -> int:
    return int(box.run(patch, "guest", SYNC).json[SYNC])


@pytest.mark.parametrize("privileges", [True, False])
@pytest.mark.parametrize(("number", "seen"), [(None, EPERM), (5, 5), (ENOSYS, ENOSYS), (0, 0)])
def test_errno(box: Box, privileges: bool, number: int | None, seen: int) -> None:
    patch = seccomp(rule("SCMP_ACT_ERRNO", "sync", errnoRet=number))
    assert errno_of(box, patch | {"process": {"noNewPrivileges": privileges}}) == seen


@pytest.mark.parametrize("privileges", [True, False])
def test_the_filter_is_on_without_any_other_change(box: Box, privileges: bool) -> None:
    patch = seccomp(rule("SCMP_ACT_ERRNO", "sync")) | {"process": {"noNewPrivileges": privileges}}
    rows = dict(line.split(":\t") for line in box.run(patch, "cat", "/proc/self/status").lines)
    assert (rows["Seccomp"], rows["NoNewPrivs"]) == ("2", str(int(privileges)))
    assert rows["CapEff"] == "0000000020000420"


@pytest.mark.parametrize(
    ("action", "status"),
    [("SCMP_ACT_KILL", 159), ("SCMP_ACT_KILL_PROCESS", 159), ("SCMP_ACT_KILL_THREAD", 159), ("SCMP_ACT_TRAP", 159)],
)
def test_kill(box: Box, action: str, status: int) -> None:
    box.run(seccomp(rule(action, "sync")), "guest", SYNC, status=status)


@pytest.mark.parametrize("action", ["SCMP_ACT_LOG", "SCMP_ACT_ALLOW"])
def test_what_lets_pass(box: Box, action: str) -> None:
    assert errno_of(box, seccomp(rule(action, "sync"))) == 0


def test_trace_without_a_tracer_is_enosys(box: Box) -> None:
    assert errno_of(box, seccomp(rule("SCMP_ACT_TRACE", "sync", errnoRet=7))) == ENOSYS


@pytest.mark.parametrize(
    ("op", "value", "two", "hit"),
    [
        ("SCMP_CMP_EQ", 0, 0, True),
        ("SCMP_CMP_NE", 0, 0, False),
        ("SCMP_CMP_LT", 1, 0, True),
        ("SCMP_CMP_LE", 0, 0, True),
        ("SCMP_CMP_GE", 1, 0, False),
        ("SCMP_CMP_GT", 0, 0, False),
        ("SCMP_CMP_MASKED_EQ", 3, 0, True),
        ("SCMP_CMP_MASKED_EQ", 3, 1, False),
    ],
)
def test_operators_on_an_argument_that_is_zero(box: Box, op: str, value: int, two: int, hit: bool) -> None:
    call = f"call:{NUMBERS['getsid']}"
    arguments = [{"index": 0, "value": value, "valueTwo": two, "op": op}]
    patch = seccomp(rule("SCMP_ACT_ERRNO", "getsid", errnoRet=5, args=arguments))
    assert box.run(patch, "guest", call).json[call] == (5 if hit else 0)


def test_a_default_that_refuses(box: Box) -> None:
    """What a program needs to start and to write is allowed, all else is not."""
    names = "execve exit_group exit write read brk arch_prctl mmap mprotect munmap uname readlink readlinkat fstat"
    names += " getrandom newfstatat prlimit64 set_tid_address set_robust_list rseq ioctl writev fcntl close"
    patch = seccomp(rule("SCMP_ACT_ALLOW", *names.split()), default="SCMP_ACT_ERRNO", defaultErrnoRet=9)
    assert errno_of(box, patch | {"process": {"noNewPrivileges": True}}) == 9


@pytest.mark.parametrize(
    "flags",
    [["SECCOMP_FILTER_FLAG_LOG"], ["SECCOMP_FILTER_FLAG_TSYNC"], ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], []],
)
def test_flags(box: Box, flags: list[str]) -> None:
    assert errno_of(box, seccomp(rule("SCMP_ACT_ERRNO", "sync"), flags=flags)) == EPERM


def test_names_that_the_machine_has_not_are_skipped(box: Box) -> None:
    assert errno_of(box, seccomp(rule("SCMP_ACT_ERRNO", "sync", "no_such_call", "arm_fadvise64_64"))) == EPERM


def test_the_filter_is_in_force_for_exec(box: Box) -> None:
    box.start(seccomp(rule("SCMP_ACT_ERRNO", "sync")), "sleep 100")
    assert box.exec("guest", SYNC).json[SYNC] == EPERM


def test_the_second_run_takes_the_cached_filter(box: Box) -> None:
    patch = seccomp(rule("SCMP_ACT_ERRNO", "sync", errnoRet=5))
    assert [errno_of(box, patch), errno_of(box, patch)] == [5, 5]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"defaultAction": None}, "defaultAction"),
        ({"defaultAction": "SCMP_ACT_NO"}, "defaultAction"),
        ({"defaultErrnoRet": 1}, "defaultErrnoRet"),
        ({"architectures": ["SCMP_ARCH_NO"]}, "architectures/0"),
        ({"flags": ["NO"]}, "flags/0"),
        ({"syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}]}, "syscalls/0/names"),
        ({"syscalls": [{"names": ["sync"]}]}, "syscalls/0/action"),
        ({"syscalls": [{"names": ["sync"], "action": "SCMP_ACT_KILL", "errnoRet": 1}]}, "syscalls/0/errnoRet"),
        ({"listenerMetadata": "x"}, "listenerMetadata"),
    ],
)
def test_refused(box: Box, fields: Patch, pointer: str) -> None:
    assert f"/linux/seccomp/{pointer}" in box.refused(
        {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", **fields}}}
    )
