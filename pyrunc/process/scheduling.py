# SPDX-License-Identifier: Apache-2.0
"""sched_setattr(2) and ioprio_set(2) on another process, which in its user namespace may not take such priorities."""

from pyrunc.errors import SetupError
from pyrunc.linux import errnos
from pyrunc.linux.scheduling import IOPRIO_WHO_PROCESS
from pyrunc.linux.syscalls import number


def apply(pid: int, machine: str, calls: list[tuple[str, bytes, int, str]]) -> None:
    """Make (call, its struct, its number, pointer) each; SetupError with the pointer when the kernel refuses one."""
    import ctypes

    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    word = ctypes.c_long
    for name, struct, value, pointer in calls:
        if name == "sched_setattr":
            operands = [word(pid), ctypes.c_char_p(struct), word(0)]
        else:
            operands = [word(IOPRIO_WHO_PROCESS), word(pid), word(value)]
        if syscall(word(number(name, machine)), *operands) < 0:
            code = ctypes.get_errno()
            raise SetupError(pointer, f"{name}({pid})", code, errnos.text(code))
