# SPDX-License-Identifier: Apache-2.0
"""Compiled filters in the running kernel: a process loads one, and tells what its system calls answered."""

import platform
import signal
import subprocess
import sys
from errno import EDOM, ENOSYS, EPERM

import pytest

from pyrunc.config.fields import Config, Section
from pyrunc.errors import HostError
from pyrunc.linux.syscalls import SYSCALLS
from pyrunc.plan import seccomp
from pyrunc.plan.program import Program
from pyrunc.seccomp import filter

try:
    filter.load()
except HostError as error:
    pytest.skip(str(error), allow_module_level=True)

CHILD = """
import ctypes, errno, os, struct, sys
number, flags = int(sys.argv[1]), int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
program = sys.stdin.buffer.read()
text = ctypes.create_string_buffer(program, len(program))
fprog = ctypes.create_string_buffer(struct.pack("HHIQ", len(program) // 8, 0, 0, ctypes.addressof(text)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
if libc.syscall(number, 1, flags, fprog) != 0:
    sys.exit("seccomp: " + os.strerror(ctypes.get_errno()))
def call(function, *args):
    try:
        function(*args)
    except OSError as error:
        return error.errno
    return 0
sys.stdout.write(repr([call(os.mkdir, "/proc/nonesuch"), call(os.getsid, 0)]))
sys.stdout.flush()
libc.syscall(9999)
sys.stdout.write(repr(ctypes.get_errno()))
"""


def observe(**profile: object) -> subprocess.CompletedProcess[str]:
    """Run CHILD under a profile, with the flags and the bytes that the plan would load."""
    config = Config({"linux": {"seccomp": profile}}, "/bundle")
    program = Program(platform.machine())
    bpf = filter.compile(Section({**profile}, "/linux/seccomp"))
    seccomp.compile(config, program, bpf, listener=False)
    call = SYSCALLS["seccomp"][program.machine]
    command = [sys.executable, "-IS", "-c", CHILD, str(call), str(program.ops[0].operands[1])]
    done = subprocess.run(command, input=bpf, capture_output=True, timeout=20, check=False)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def errno_for(name: str, number: int) -> dict[str, object]:
    return {"names": [name, name + "at"], "action": "SCMP_ACT_ERRNO", "errnoRet": number}


@pytest.mark.parametrize(
    "flags",
    [None, [], ["TSYNC"], ["LOG", "SPEC_ALLOW"], ["TSYNC", "WAIT_KILLABLE_RECV"]],
    ids=["default", "none", "tsync", "log", "listener"],
)
def test_errnos_reach_the_process_with_every_flag(flags: list[str] | None) -> None:
    """SPEC-297, 308: each flag of the specification can be loaded."""
    names = None if flags is None else ["SECCOMP_FILTER_FLAG_" + flag for flag in flags]
    rules = [errno_for("mkdir", EDOM), {"names": ["getsid"], "action": "SCMP_ACT_ERRNO"}]
    done = observe(defaultAction="SCMP_ACT_ALLOW", flags=names, syscalls=rules)
    assert (done.stdout, done.stderr, done.returncode) == (f"[{EDOM}, {EPERM}]{ENOSYS}", "", 0)


@pytest.mark.parametrize("action", ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"])
def test_actions_that_end_the_process(action: str) -> None:
    done = observe(
        defaultAction="SCMP_ACT_ALLOW", syscalls=[{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_" + action}]
    )
    assert (done.stdout, done.returncode) == ("", -signal.SIGSYS)


def test_trace_without_a_tracer_is_enosys() -> None:
    done = observe(
        defaultAction="SCMP_ACT_ALLOW", syscalls=[{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_TRACE"}]
    )
    assert done.stdout.startswith(f"[{ENOSYS}, 0]")


def test_log_lets_the_call_through() -> None:
    done = observe(defaultAction="SCMP_ACT_LOG", syscalls=[{"names": ["getsid"], "action": "SCMP_ACT_ALLOW"}])
    assert done.returncode == 0, done.stderr
