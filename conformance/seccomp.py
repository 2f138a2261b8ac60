# SPDX-License-Identifier: Apache-2.0
"""linux.seccomp: actions, errno, architectures, flags, the seven operators, and what is refused."""

import errno
import platform
from typing import Any

from conformance.box import Box
from conformance.patch import Patch, linux
from conformance.requirements import Failed, Skipped, case, refusal
from conformance.scheduling import guest

NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64", "riscv64": "SCMP_ARCH_RISCV64"}
ARCH = NATIVE.get(platform.machine(), "SCMP_ARCH_X86_64")
CALLS = {
    # Calls that a program never needs: number by machine
    "getpriority": {"x86_64": 140, "aarch64": 141}.get(platform.machine(), 141),
    "lookup_dcookie": {"x86_64": 212, "aarch64": 18}.get(platform.machine(), 18),
    "sync": {"x86_64": 162, "aarch64": 81}.get(platform.machine(), 81),
}
GETPRIORITY = f"call:{CALLS['getpriority']}:0:0"
SYNC = f"call:{CALLS['sync']}"
ARCHITECTURES = ("X86", "X86_64", "X32", "ARM", "AARCH64", "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC64LE", "RISCV64")
"""Those of the byte order that nearly every machine has: libseccomp puts no others beside the machine's own."""

UNUSED = ("lookup_dcookie", "sync", "acct", "swapon", "swapoff", "reboot", "syslog", "init_module", "delete_module")
"""Calls that nobody makes here."""

FLAGS = ("SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW")
ACTIONS = ("KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG")


def rule(name: str, action: str = "SCMP_ACT_ERRNO", **fields: Any) -> Patch:
    return {"names": [name], "action": action, **fields}


def seccomp(*rules: Patch, **fields: object) -> Patch:
    return linux(
        seccomp={"defaultAction": "SCMP_ACT_ALLOW", "architectures": [ARCH], "syscalls": list(rules), **fields}
    )


@case("SPEC-293", "SPEC-307", "SPEC-308", "SPEC-306", needs="seccomp guest")
def errno_of_a_rule(box: Box) -> None:
    """A rule for one call: EPERM, or what errnoRet says; others go on."""
    rows: tuple[tuple[Patch, int], ...] = (({}, errno.EPERM), ({"errnoRet": 38}, 38), ({"errnoRet": 122}, 122))
    for fields, expected in rows:
        found = guest(box, seccomp(rule("sync", **fields)), SYNC, GETPRIORITY)
        box.same("SPEC-308", found[SYNC], expected, f"{fields}")
        for id in ("SPEC-293", "SPEC-307", "SPEC-306"):
            box.holds(id, found[SYNC] and not found[GETPRIORITY], f"{fields}: found {found}")


NEEDED = (
    "execve execveat exit exit_group brk mmap munmap mprotect arch_prctl set_tid_address set_robust_list rseq "
    "prlimit64 getrandom readlinkat readlink newfstatat fstat write writev read close ioctl openat open fcntl futex "
    "rt_sigaction rt_sigprocmask rt_sigreturn prctl capset capget setgid setuid setgroups setresuid setresgid chdir "
    "getppid getpid gettid sched_yield epoll_pwait epoll_ctl nanosleep clock_nanosleep clone clone3 tgkill dup dup2 "
    "dup3 poll access faccessat faccessat2 close_range lseek sigaltstack mkdirat umask getdents64 fstatfs statfs "
    "uname getcwd sendmsg recvmsg sendto sched_getaffinity pipe2 madvise seccomp getuid getgid geteuid getegid "
    "fstatat64 statx epoll_create1 eventfd2 wait4 waitid kill unlinkat pread64 mremap sched_setaffinity pidfd_open "
    "pidfd_send_signal epoll_wait pselect6 ppoll keyctl setsid umount2 mount setns unshare"
)
"""What the guest, and a runtime that has loaded the filter, may need."""


@case("SPEC-294", "SPEC-293", needs="seccomp guest")
def default_errno(box: Box) -> None:
    """Everything that a small program needs is allowed; the rest has defaultErrnoRet."""
    for fields, expected in (({}, errno.EPERM), ({"defaultErrnoRet": 38}, 38)):
        allowed = {"names": NEEDED.split(), "action": "SCMP_ACT_ALLOW"}
        found = guest(box, seccomp(allowed, defaultAction="SCMP_ACT_ERRNO", **fields), SYNC)
        box.same("SPEC-294", found[SYNC], expected, f"{fields}")
        box.same("SPEC-293", found[SYNC], expected, f"{fields}")


OPERATORS = (
    # op, value, valueTwo, an argument that fits, one that does not
    ("SCMP_CMP_EQ", 5, None, 5, 6),
    ("SCMP_CMP_NE", 5, None, 6, 5),
    ("SCMP_CMP_LT", 5, None, 4, 5),
    ("SCMP_CMP_LE", 5, None, 5, 6),
    ("SCMP_CMP_GT", 5, None, 6, 5),
    ("SCMP_CMP_GE", 5, None, 5, 4),
    ("SCMP_CMP_MASKED_EQ", 12, 8, 11, 4),
)
BIG = 1 << 40


@case("SPEC-309", needs="seccomp guest")
def operators(box: Box) -> None:
    """On the second argument of getpriority(PRIO_PROCESS, who), which is 64 bits wide for the filter."""
    rules, calls = [], {}
    for which, (op, value, second, fits, other) in enumerate(OPERATORS):
        arg: dict[str, Any] = {"index": 1, "op": op, "value": value}
        if second is not None:
            arg["valueTwo"] = second
        first = {"index": 0, "op": "SCMP_CMP_EQ", "value": which}
        rules.append(rule("getpriority", errnoRet=77, args=[first, arg]))
        calls[op] = [f"call:{CALLS['getpriority']}:{which}:{number}" for number in (fits, other)]
    found = guest(box, seccomp(*rules), *(word for words in calls.values() for word in words))
    for op, (one, two) in calls.items():
        box.same("SPEC-309", (found[one] == 77, found[two] == 77), (True, False), op)
    arg = {"index": 1, "op": "SCMP_CMP_GE", "value": BIG}
    one, two = (f"call:{CALLS['getpriority']}:0:{number}" for number in (BIG + 1, 5))
    found = guest(box, seccomp(rule("getpriority", errnoRet=77, args=[arg])), one, two)
    box.same("SPEC-309", (found[one] == 77, found[two] == 77), (True, False), "a value of more than 32 bits")


@case("SPEC-309", needs="seccomp guest")
def two_arguments(box: Box) -> None:
    """Both must fit."""
    args = [{"index": index, "op": "SCMP_CMP_EQ", "value": 5} for index in (0, 1)]
    both, one = (f"call:{CALLS['getpriority']}:{first}:5" for first in (5, 0))
    found = guest(box, seccomp(rule("getpriority", errnoRet=77, args=args)), both, one)
    box.same("SPEC-309", (found[both] == 77, found[one] == 77), (True, False), "two arguments")


@case("SPEC-296", needs="seccomp")
def architectures(box: Box) -> None:
    names = [f"SCMP_ARCH_{name}" for name in ARCHITECTURES]
    mode = box.fact(seccomp(rule("sync"), architectures=[ARCH, *names]), "grep ^Seccomp: /proc/$$/status")
    box.same("SPEC-296", mode.split(), ["Seccomp:", "2"])


@case("SPEC-296", needs="seccomp guest x86_64")
def other_architecture(box: Box) -> None:
    """A rule is for the calls of each architecture that is listed: sync(2) of x86 is number 36, by int 0x80."""
    box.control({})
    try:
        guest(box, {}, "call32:36")
    except Failed:
        raise Skipped("this kernel takes no calls of x86") from None
    both = seccomp(rule("sync", errnoRet=77), architectures=[ARCH, "SCMP_ARCH_X86"])
    box.same("SPEC-296", guest(box, both, "call32:36")["call32:36"], 77, "sync(2) of x86")


@case("SPEC-297", needs="seccomp")
def flags(box: Box) -> None:
    for flag in FLAGS:
        mode = box.fact(seccomp(rule("sync"), flags=[flag]), "grep ^Seccomp: /proc/$$/status")
        box.same("SPEC-297", mode.split(), ["Seccomp:", "2"], flag)


@case("SPEC-307", needs="seccomp")
def actions(box: Box) -> None:
    """Each is taken; the call itself is never made."""
    rules = [rule(name, f"SCMP_ACT_{action}") for name, action in zip(UNUSED, ACTIONS, strict=False)]
    box.same("SPEC-307", box.fact(seccomp(*rules), "grep ^Seccomp: /proc/$$/status").split()[-1], "2", "mode")


@case("SPEC-302", needs="seccomp")
def listener_without_notify(box: Box) -> None:
    """Nobody listens there, and nobody needs to."""
    box.same("SPEC-302", box.fact(seccomp(rule("sync"), listenerPath=str(box.folder / "nobody")), "echo ran"), "ran")


FINE = seccomp(rule("sync"))
refusal("SPEC-293", linux(seccomp={"architectures": [ARCH], "syscalls": [rule("sync")]}), FINE, needs="seccomp")
refusal("SPEC-293", seccomp(rule("sync"), defaultAction="SCMP_ACT_CONFORMANCE"), FINE, needs="seccomp")
refusal("SPEC-295", seccomp(rule("sync"), defaultAction="SCMP_ACT_ALLOW", defaultErrnoRet=1), FINE, needs="seccomp")
refusal("SPEC-308", seccomp(rule("sync", "SCMP_ACT_LOG", errnoRet=1)), FINE, needs="seccomp")
refusal("SPEC-308", seccomp(rule("sync", "SCMP_ACT_KILL", errnoRet=1)), FINE, needs="seccomp")
refusal("SPEC-296", seccomp(rule("sync"), architectures=["SCMP_ARCH_PDP11"]), FINE, needs="seccomp")
refusal("SPEC-297", seccomp(rule("sync"), flags=["SECCOMP_FILTER_FLAG_CONFORMANCE"]), FINE, needs="seccomp")
refusal("SPEC-306", seccomp({"names": [], "action": "SCMP_ACT_ERRNO"}), FINE, needs="seccomp")
refusal("SPEC-306", seccomp({"action": "SCMP_ACT_ERRNO"}), FINE, needs="seccomp")
refusal("SPEC-307", seccomp({"names": ["sync"]}), FINE, needs="seccomp")
refusal("SPEC-307", seccomp(rule("sync", "SCMP_ACT_CONFORMANCE")), FINE, needs="seccomp")
refusal("SPEC-305", seccomp(rule("sync"), listenerMetadata="x"), FINE, needs="seccomp")
ARG = {"index": 0, "op": "SCMP_CMP_EQ", "value": 1}
for lost in ARG:
    bad = {key: value for key, value in ARG.items() if key != lost}
    refusal("SPEC-309", seccomp(rule("sync", args=[bad])), seccomp(rule("getpriority", args=[ARG])), needs="seccomp")
refusal("SPEC-309", seccomp(rule("sync", args=[{**ARG, "op": "SCMP_CMP_CONFORMANCE"}])), FINE, needs="seccomp")
refusal("SPEC-309", seccomp(rule("sync", args=[{**ARG, "index": 6}])), FINE, needs="seccomp")
refusal("SPEC-301", seccomp(rule("sync", "SCMP_ACT_NOTIFY"), listenerPath="/nonexistent/agent"), FINE, needs="seccomp")
